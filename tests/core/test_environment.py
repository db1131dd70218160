"""What every process sets before TensorFlow is imported, and what it says of itself."""

import gc

import pytest

from bench.core import environment, prepare_process


@pytest.mark.parametrize(("users", "kept"), [(None, "1"), ("0", "0")])
def test_onednn_is_asked_for_unless_the_user_said_otherwise(monkeypatch, users, kept):
    """Without it TensorFlow has no gradient of dilated convolutions on processors without AVX-512."""
    import os

    for name in ("KERAS_BACKEND", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "what it was")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    if users:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", users)
    prepare_process(3)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == kept
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert {os.environ[f"TF_NUM_{kind}_THREADS"] for kind in ("INTRAOP", "INTEROP")} == {"3"}
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_tracing_is_not_interrupted_to_look_for_garbage_that_is_not_there():
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)  # Python's default
        prepare_process()
        assert gc.get_threshold()[0] >= 10_000
    finally:
        gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("line", "widest"),
    [
        ("flags\t\t: fpu avx f16c avx2 avx512f avx512dq", "avx512f"),
        ("flags\t\t: fpu avx f16c avx2", "avx2"),
        ("flags\t\t: fpu avx", "avx"),
        ("flags\t\t: fpu sse2\nvmx flags\t: avx2", ""),
        ("Features\t: fp asimd crc32", "neon"),
    ],
)
def test_processors_of_one_name_are_told_apart_by_their_instructions(monkeypatch, tmp_path, line, widest):
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: AMD EPYC\n{line}\n\nprocessor\t: 1\n")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    said = environment.describe.__wrapped__()
    assert (said["processor"], said["instructions"], said["onednn"]) == ("AMD EPYC", widest, "1")


def test_a_copy_of_the_project_is_told_its_commit(monkeypatch):
    monkeypatch.setenv("SEGMENTATION_BENCH_COMMIT", "0123456789ab+")
    assert environment.describe.__wrapped__()["git_commit"] == "0123456789ab+"


def test_a_record_says_what_made_the_pixels():
    """A part of `MADE_BY`, so that a trial of other pixels is never taken for one of these."""
    import cv2
    import PIL

    said = environment.describe()
    assert said["augmentation"] == environment.AUGMENTATION_VERSION
    assert said["opencv_python_headless"].startswith(cv2.__version__)
    assert said["pillow"] == PIL.__version__
    for name, other in {"augmentation": 1, "opencv_python_headless": "4.5", "pillow": "9.0"}.items():
        assert environment.differences({**said, name: other}, environment.made_by()) == [name]


def test_keras_hub_counts_where_both_have_it():
    """It comes by an extra: a trial that was made without it is not outdated by its installation."""
    said = {**environment.made_by(), "keras_hub": "0.32.0"}
    assert environment.differences({**said, "keras_hub": "0.31.0"}, said) == ["keras_hub"]
    for without in ({**said, "keras_hub": None}, {name: value for name, value in said.items() if name != "keras_hub"}):
        assert environment.differences(without, said) == environment.differences(said, without) == []
