"""`tf.keras` is `keras`, whatever TF_USE_LEGACY_KERAS says. A whole run with it: tests/faults/driver.py."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core import check_rooms, prepare_process, settle_keras

PROJECT = Path(__file__).resolve().parents[2]
VARIABLE = "TF_USE_LEGACY_KERAS"
PATH = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.mark.parametrize("prepare", [settle_keras, prepare_process, check_rooms])
def test_the_variable_is_taken_from_this_process_and_its_children(monkeypatch, prepare):
    monkeypatch.setenv(VARIABLE, "1")
    prepare()
    assert VARIABLE not in os.environ


def python(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": PATH, "CUDA_VISIBLE_DEVICES": "-1", **variables},
    )  # fmt: skip


@pytest.mark.slow
def test_a_library_is_told_in_one_line():
    """Who imports `models` into a process of their own decides about it; the words say what to change."""
    build = "import models; models.build(models.ModelSpec(backbone='efficientnetlite_b0'), 2)"
    refused = python(build, **{VARIABLE: "1"})
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: tf.keras is not the package keras: unset TF_USE_LEGACY_KERAS before")


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("tf_keras"), reason="tf_keras is not installed")
def test_where_tensorflow_has_chosen_before_it_is_one_line():
    """As where a sitecustomize.py imports it. With tf_keras installed; without it TensorFlow has chosen nothing."""
    late = "import tensorflow as tf; tf.keras.Model; from bench.core import settle_keras; settle_keras()"
    refused = python(late, **{VARIABLE: "1"})
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("bench.core.errors.UsageError: tf.keras is tf_keras in this process, because TensorFlow was")
    assert f"{VARIABLE}=1" in last
    assert python(f"from bench.core import settle_keras; settle_keras(); {late}", **{VARIABLE: "1"}).returncode == 0


def test_importing_kerascv_prints_nothing_of_its_backend_and_keeps_other_lines(tmp_path):
    (tmp_path / "keras_cv.py").write_text("print('Using TensorFlow backend'); print('kept'); import keras_core")
    (tmp_path / "keras_core.py").write_text("print('Using TensorFlow backend')")
    code = "from models.compat import import_keras_cv; import_keras_cv(); print('end')"
    real = python(code)
    assert (real.returncode, real.stdout) == (0, "end\n"), real.stderr
    assert "backend" not in real.stderr
    other = python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}")
    assert (other.returncode, other.stdout) == (0, "kept\nend\n"), other.stderr
