"""Whole objects in a real S3 server that answers with faults: what is tried again, what is refused, what it says."""

import os

import pytest

from bench import run
from bench.core import UsageError
from bench.storage import Address, Mirror, Store, StoreError, is_address, mirror_of, shown, spooled
from bench.storage import store as stores
from tests.commands.here import call
from tests.storage.server import Fault


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(stores, "FIRST_WAIT", 0.01)


def test_an_address_is_read_from_text_and_from_a_path_and_never_holds_credentials():
    assert str(Address.of("s3://b/some/runs/")) == "s3://b/some/runs"
    assert Address.of("s3:/b/runs?region=eu-west-1") == Address("s3", "b", "runs", (("region", "eu-west-1"),))
    assert str(Address.of("gs://b") / "r") == "gs://b/r"
    assert [is_address(text) for text in ("s3://b", "az:/b/c", "runs/s3", "C:/runs", "/s3://b")] == [True, True] + [
        False
    ] * 3
    for text in ("s3://key:secret@bucket/x", "s3://bucket/x?access_key=key&secret_key=secret"):
        with pytest.raises(UsageError, match="credentials belong into the environment") as refused:
            Address.of(text)
        assert "secret" not in str(refused.value).replace("'secret_key'", "")
    for text in ("ftp://b/x", "s3://", "s3://b/../x"):
        with pytest.raises(UsageError):
            Address.of(text)


def test_a_path_tells_its_address_and_an_address_its_path(store):
    address = Address.of(f"s3://{store.bucket}/runs/r")
    folder = spooled(address)
    assert mirror_of(folder).address == address
    assert shown(folder / "trials") == f"s3://{store.bucket}/runs/r/trials"
    assert mirror_of(folder.parents[4]) is None


def test_what_is_written_comes_back_and_only_what_changed_is_sent_or_brought_again(store, tmp_path):
    address = Address.of(f"s3://{store.bucket}/runs/r")
    here = Mirror(spooled(address), address)
    big = os.urandom(stores.WHOLE + 1)
    for name, data in {"trials/a/record.json": b"{}", "trials/a/weights": big, "empty": b"", ".lock": b""}.items():
        (here.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (here.folder / name).write_bytes(data)
    here.push_all()
    assert [*map(store.requests[-1:].count, ["GET /" + store.bucket])] == [1]
    there = Mirror(tmp_path / "other", address)
    assert sorted(there.fetch()) == ["empty", "trials/a/record.json", "trials/a/weights"]
    assert (there.folder / "trials/a/weights").read_bytes() == big
    (here.folder / "empty").write_bytes(b"x")
    for again in (here.push_all, there.fetch, here.push_all, there.fetch):
        again()
    assert (there.folder / "empty").read_bytes() == b"x"
    wrote = [request for request in store.requests if "/trials/a/weights" in request]
    assert [request.split()[0] for request in wrote].count("GET") == 1, "an object that is here is not brought again"
    record = f"PUT /{store.bucket}/runs/r/trials/a/record.json"
    assert store.requests.count(record) == 1
    assert store.requests.index(record) > max(store.requests.index(one) for one in wrote if "GET" not in one)


@pytest.mark.parametrize(
    ("fault", "times"), [(Fault("PUT", "SlowDown", times=7), 8), (Fault("PUT", seconds=60, times=1), 2)]
)
def test_what_may_pass_is_tried_again(store, quick, monkeypatch, fault, times):
    if fault.seconds:
        monkeypatch.setattr(stores, "REQUEST_SECONDS", 3.0)
    there = Store(Address.of(f"s3://{store.bucket}/runs"))
    with store.answering(fault):
        there.put_bytes(b"whole", "record.json")
    assert there.read("record.json") == b"whole"
    assert len([request for request in store.requests if request.startswith("PUT")]) == times


def test_what_does_not_pass_is_told_in_one_line_without_a_second_try(store, quick):
    there = Store(Address.of(f"s3://{store.bucket}/runs"))
    for error, words in {
        "ExpiredToken": "the credentials have expired; get new ones",
        "AccessDenied": "access is denied; the credentials need the right to list, read, write and delete there",
    }.items():
        store.requests.clear()
        with store.answering(Fault("", error)), pytest.raises(StoreError) as refused:
            there.put_bytes(b"x", "record.json")
        assert str(refused.value) == f"s3://{store.bucket}/runs: cannot be written: {words}"
        assert len(store.requests) == 1
    with store.answering(Fault("", "SlowDown")), pytest.raises(StoreError, match="it asks to slow down"):
        there.put_bytes(b"x", "record.json")
    assert "record.json" not in there.listed()


def test_a_store_that_cannot_be_used_is_refused_before_the_first_trial(store, quick, tmp_path, monkeypatch, capsys):
    def refused(out):
        arguments = ("--grid", "losses", "--preset", "smoke", "--gpus-per-trial", 0, "--out", out)
        code, _, told = call(run.main, *arguments, cwd=tmp_path, patch=monkeypatch, capsys=capsys)
        assert code == 2, told
        assert told.count("\n") == 1
        return told.strip()

    assert refused("s3://absent/runs") == (
        "error: s3://absent/runs: cannot be written: there is no such bucket; make it, or check its name"
    )
    assert refused("s3://key:secret@bucket/runs").startswith("error: s3://...: an address with a user: credentials")
    for error, words in {"ExpiredToken": "credentials have expired", "AccessDenied": "access is denied"}.items():
        with store.answering(Fault("", error)):
            assert words in refused(f"s3://{store.bucket}/runs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert refused("s3://bucket/runs").endswith("cannot be reached; is the endpoint right?")
    assert not (tmp_path / "runs").exists()
