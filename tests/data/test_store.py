"""Decoded pixels kept in memory or in a file: the same pixels, made once, and made again when they are not whole."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench.core import CACHE_VARIABLE, UsageError
from bench.data import decoded_cache, pipeline
from bench.data.dataset import Split
from bench.spec import DataSpec


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Arrays of many shapes, and how often each was asked for."""

    def __init__(self):
        self.calls = []

    def __call__(self, index):
        self.calls.append(index)
        rng = np.random.default_rng(index)
        return tuple(rng.integers(0, 256, shape).astype(np.uint8) for shape in ((3 + index % 4, 5, 2), (index % 3, 2)))


def assert_same(item, other):
    assert len(item) == len(other)
    for one, two in zip(item, other, strict=True):
        np.testing.assert_array_equal(one, two)


def files(cache, suffix):
    return sorted(cache.glob(f"*{suffix}"))


@pytest.mark.parametrize("where", ["memory", "disk", "auto"])
def test_what_was_made_is_kept(where):
    make = Maker()
    kept = decoded_cache.keep(70, make, where, "set")
    assert len(kept) == 70
    for index in range(70):
        assert_same(kept[index], Maker()(index))
    with pytest.raises(IndexError):
        kept[70]


def test_a_file_is_made_once(cache):
    first, second, third = Maker(), Maker(), Maker()
    decoded_cache.keep(9, first, "disk", "set a")
    again = decoded_cache.keep(9, second, "disk", "set a")
    decoded_cache.keep(9, third, "disk", "set b")
    assert (len(first.calls), len(second.calls), len(third.calls)) == (9, 0, 9)
    assert_same(again[4], Maker()(4))
    assert len(files(cache, ".u8")) == 2
    assert not list(cache.glob(".*"))


@pytest.mark.parametrize("damage", ["cut", "no list", "bad list"])
def test_a_file_that_is_not_whole_is_made_again(cache, damage):
    decoded_cache.keep(9, Maker(), "disk", "set")
    path = files(cache, ".u8")[0]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "no list":
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text("{")
    make = Maker()
    assert_same(decoded_cache.keep(9, make, "disk", "set")[8], Maker()(8))
    assert len(make.calls) == 9


def test_a_making_that_fails_leaves_nothing_that_counts(cache):
    def fail(index):
        if index == 5:
            raise UsageError("no such picture")
        return (np.zeros((2, 2), np.uint8),)

    with pytest.raises(UsageError, match="no such picture"):
        decoded_cache.keep(9, fail, "disk", "set")
    assert not list(cache.glob(".*"))
    assert not files(cache, ".json")


def test_what_nobody_read_for_a_month_goes_when_another_file_is_made(cache):
    old = decoded_cache.keep(3, Maker(), "disk", "old")
    decoded_cache.keep(3, Maker(), "disk", "read again")
    left, long_ago = cache / ".x.u8.0123.tmp", time.time() - decoded_cache.FORGET - 60  # what a killed process leaves
    left.write_bytes(b"half")
    for path in [*files(cache, ".u8"), left]:
        os.utime(path, (long_ago, long_ago))
    again = Maker()
    decoded_cache.keep(3, again, "disk", "read again")
    assert not again.calls
    decoded_cache.keep(3, Maker(), "disk", "new")
    identities = {json.loads(path.read_text())["identity"] for path in files(cache, ".json")}
    assert identities == {"read again", "new"}
    assert len(files(cache, ".u8")) == 2
    assert not left.exists()
    assert_same(old[2], Maker()(2))  # whoever maps a file keeps it


def test_other_users_may_read_the_file(cache):
    before = os.umask(0o022)
    try:
        decoded_cache.keep(3, Maker(), "disk", "set")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o044 for path in cache.iterdir()} == {0o044}


def test_without_an_identity_the_file_goes_with_the_process(cache):
    kept = decoded_cache.keep(9, Maker(), "disk", "")
    assert_same(kept[3], Maker()(3))
    assert not cache.exists()


def test_auto_shares_what_has_an_identity_and_what_is_large(cache, monkeypatch):
    assert isinstance(decoded_cache.keep(3, Maker(), "auto", ""), list)
    assert not isinstance(decoded_cache.keep(3, Maker(), "auto", "known"), list)
    assert len(files(cache, ".u8")) == 1
    monkeypatch.setattr(decoded_cache, "MEMORY_LIMIT", 100)
    assert not isinstance(decoded_cache.keep(9, Maker(), "auto", ""), list)
    assert len(files(cache, ".u8")) == 1


def test_auto_does_without_a_file_where_none_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    assert_same(decoded_cache.keep(3, Maker(), "auto", "known")[2], Maker()(2))
    monkeypatch.setattr(decoded_cache, "MEMORY_LIMIT", 10)
    with pytest.raises(UsageError, match="no cache of decoded images"):
        decoded_cache.keep(3, Maker(), "auto", "known")


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match=r"data\.cache=memory") as caught:
        decoded_cache.keep(3, Maker(), "disk", "set")
    assert "\n" not in str(caught.value)


def test_the_stream_is_the_same_from_memory_and_from_disk():
    rng = np.random.default_rng(0)
    pairs = [
        (rng.integers(0, 256, (40, 64, 3)).astype(np.uint8), rng.integers(0, 5, (40, 64)).astype(np.uint8))
        for _ in range(4)
    ]
    split = Split(tuple("abcd"), lambda key: pairs["abcd".index(key)], version="v1")
    made = {}
    for cache in ("memory", "disk"):
        spec = DataSpec(size=64, crop=48, cache=cache, augment="strong")
        crops, table = pipeline.Crops(split, spec, 0), pipeline.Table(split, spec)
        made[cache] = [crops[i] for i in range(6)] + [(table[i]["image"], table[i]["label"]) for i in range(4)]
    for one, other in zip(*made.values(), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_file_follows_size_keys_content_and_code(cache, monkeypatch):
    split = Split(("a", "b"), lambda key: (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8)), version="v1")
    for changed in (split, split.limited(1), Split(split.keys, split.reader, "v2")):
        for size in (32, 64):
            pipeline.Crops(changed, DataSpec(size=size, crop=32, cache="disk"), 0)
    assert len(files(cache, ".u8")) == 6
    pipeline.Crops(split, DataSpec(size=32, crop=64, cache="disk", augment="strong"), 3)
    assert len(files(cache, ".u8")) == 6, "neither crop, policy nor seed change what is decoded"
    monkeypatch.setattr(pipeline, "_code", lambda: "other code")
    pipeline.Crops(split, DataSpec(size=32, crop=32, cache="disk"), 0)
    assert len(files(cache, ".u8")) == 7


def test_a_set_on_disk_need_not_fit_into_memory(cache):
    """400 MB of pictures in a process that may hold 200 MB of data: mapped pages of a file are not its own."""
    code = (
        "import resource, numpy as np\n"
        "from bench.data import decoded_cache as store\n"
        "limit = 200 << 20\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (limit + 150 * (1 << 20), limit + 150 * (1 << 20)))\n"
        "kept = store.keep(200, lambda i: (np.full((1024, 512, 4), i, np.uint8),), 'auto', 'large')\n"
        "print(type(kept).__name__, sum(int(kept[i][0][5, 5, 0]) for i in range(200)))\n"
    )
    environment = os.environ | {CACHE_VARIABLE: str(cache), "OPENBLAS_NUM_THREADS": "1"}
    limited = "from bench.data import decoded_cache as store\nstore.MEMORY_LIMIT = 64 << 20\n"
    small = code.replace("from bench.data import decoded_cache as store\n", limited).replace("'large'", "''")
    done = subprocess.run([sys.executable, "-c", small], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == ["_Mapped", str(sum(range(200)))], done.stderr[-500:]
    memory = code.replace("'auto'", "'memory'")
    done = subprocess.run([sys.executable, "-c", memory], capture_output=True, text=True, env=environment, check=False)
    assert "MemoryError" in done.stderr, "the limit is one"


def test_kept_pixels_depend_on_all_code_that_reads_or_paints():
    home = Path(pipeline.__file__).parent
    hashed = {str(path.relative_to(home)) for path in pipeline._decoding()}
    assert {"image_io.py", "sources/mask_codes.py", "sources/exports/labelme.py", "scenes/painter.py"} <= hashed
    assert not hashed & {"augment.py", "pixel_weights.py", "decoded_cache.py"}
    assert {f"{stem}.py" for stem in pipeline._AFTER_DECODING} <= {path.name for path in home.glob("*.py")}
