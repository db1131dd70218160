"""Data sets in an object store: brought once, checked, held by those who use them, removed for others."""

import numpy as np
import pytest
from PIL import Image

from bench.core import UsageError
from bench.data import load
from bench.plan import data_of
from bench.storage import LIMIT_VARIABLE, Address, Store, local_data
from bench.storage import store as stores
from tests.storage.server import Fault


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """Each test begins as a new process, and a try that may pass is repeated soon."""
    monkeypatch.setattr(stores, "FIRST_WAIT", 0.01)
    yield
    local_data.cache_clear()


def make_set(folder, shade=0, number=6, side=32):
    """Pairs of a picture and a mask with the classes 0 and 1."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index in range(number):
        mask = np.zeros((side, side), np.uint8)
        mask[:, 16 + index :] = 1
        Image.fromarray(np.stack([mask * 200 + shade] * 3, -1)).save(folder / "images" / f"{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    return folder


def upload(folder, address):
    there = Store(Address.of(address))
    for path in sorted(folder.rglob("*.png")):
        there.put(path, path.relative_to(folder).as_posix())
    return there


def _gets(store):
    found = [request for request in store.requests if request.startswith("GET") and request.endswith(".png")]
    store.requests.clear()
    return len(found)


def test_a_set_is_brought_once_and_is_the_same_set_as_in_a_folder(store, tmp_path, capsys):
    root = f"s3://{store.bucket}/sets/mine"
    there = upload(make_set(tmp_path / "mine"), root)
    spec = data_of(None, root, [])
    assert (spec.dataset, spec.root, spec.name) == ("folder", root, "mine")
    local = data_of(None, tmp_path / "mine", [])
    with store.answering(Fault("GET.*png", "SlowDown", times=4)):
        assert load(spec).version == load(local).version
    assert capsys.readouterr().err.endswith("12 of 12 files, 0 of 0 MB\n")
    assert _gets(store) == 12 + 4
    local_data.cache_clear()
    assert load(spec).version == load(local).version
    assert _gets(store) == 0, "what is here is not brought again"

    make_set(tmp_path / "other", shade=1)
    there.put(tmp_path / "other/images/0.png", "images/0.png")
    there.remove("images/1.png")
    there.remove("masks/1.png")
    local_data.cache_clear()
    folder = local_data(root)[0]
    assert len([*folder.rglob("*.png")]) == 10
    assert (folder / "images/0.png").read_bytes() == (tmp_path / "other/images/0.png").read_bytes()
    (folder / "images/2.png").write_bytes(b"cut off")
    local_data.cache_clear()
    local_data(root)
    assert (folder / "images/2.png").read_bytes() == (tmp_path / "mine/images/2.png").read_bytes()


def test_a_set_that_is_used_stays_as_it_is(store, tmp_path, monkeypatch):
    from bench.storage import data_copies

    root = f"s3://{store.bucket}/mine"
    there = upload(make_set(tmp_path / "mine"), root)
    _, held = local_data(root)  # as a run that goes on
    make_set(tmp_path / "other", shade=1)
    there.put(tmp_path / "other/images/0.png", "images/0.png")
    monkeypatch.setattr(data_copies, "TURN_SECONDS", 0.3)
    local_data.cache_clear()
    with pytest.raises(UsageError, match="it has changed, and other processes on this machine use the copy"):
        local_data(root)
    with store.answering(Fault("", "ExpiredToken")):
        local_data.cache_clear()
        folder = local_data(root)[0]  # the copy, without the store
    assert (folder / "images/0.png").read_bytes() == (tmp_path / "mine/images/0.png").read_bytes()
    held.close()


def test_the_set_that_was_not_used_for_longest_makes_room(store, tmp_path, monkeypatch):
    size = sum(path.stat().st_size for path in make_set(tmp_path / "a").rglob("*.png"))
    for name in "abc":
        upload(tmp_path / "a", f"s3://{store.bucket}/{name}")
    monkeypatch.setenv(LIMIT_VARIABLE, str(2.9 * size / 1e9))
    folders = {}
    for name in "ab":
        folders[name], held = local_data(f"s3://{store.bucket}/{name}")
    local_data.cache_clear()  # b is held by `held`
    monkeypatch.setenv(LIMIT_VARIABLE, str(0.9 * size / 1e9))
    with pytest.raises(UsageError, match=r"c: \S+ GB do not fit \S+ GB \(--data-cache-limit\), of which copies in use"):
        local_data(f"s3://{store.bucket}/c")
    assert [folder.exists() for folder in folders.values()] == [False, True]
    held.close()
    monkeypatch.setenv(LIMIT_VARIABLE, str(2.9 * size / 1e9))
    local_data.cache_clear()
    assert len([*local_data(f"s3://{store.bucket}/c")[0].rglob("*.png")]) == 12


def test_a_set_that_is_not_there_is_refused_in_one_line(store):
    for root, words in {
        f"s3://{store.bucket}/nothing": "nothing is there; name the folder of the data set in the bucket",
        "s3://absent/x": "there is no such bucket",
        "s3://key:secret@bucket/x": "credentials belong into the environment",
    }.items():
        with pytest.raises(UsageError, match=words) as refused:
            load(data_of("folder", root, []))
        assert "\n" not in str(refused.value)
