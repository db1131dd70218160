"""The real command with trials that train nothing, whose run is in an object store."""

import json
import shutil
from pathlib import Path

import results
from bench import compare, report, run, status
from bench.storage import Address, Store
from tests.commands.here import call
from tests.faults.driver import Driver, grid

SECRETS = (b"AKIAINTHETEST", b"the-secret-of-the-test", b"the-token-of-the-test")


def _told(folder):
    """All bytes that were written into a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_run_in_a_bucket_is_watched_reported_and_compared_from_there(store, tmp_path, monkeypatch, capsys):
    runs = f"s3://{store.bucket}/some/runs"
    code, output = Driver(tmp_path, *grid("--out", runs, losses=("focal",)), faults={}).end()
    assert code == 0, output
    assert f"Run {runs}/r: 1 trial to do." in output
    puts = [request.rpartition("/r/")[2] for request in store.requests if request.startswith("PUT")]
    (trial,) = (name.removesuffix("/record.json") for name in puts if name.endswith("/record.json"))
    assert puts.index(f"{trial}/log.txt") < puts.index(f"{trial}/record.json"), "the record comes last"
    there = Store(Address.of(f"{runs}/r"))
    assert json.loads(there.read("run.json"))["status"] == "complete"
    assert "progress.json" not in there.listed()
    shutil.rmtree(tmp_path / "cache")  # from here on it is another machine

    def called(command, *arguments):
        return call(command.main, *arguments, cwd=tmp_path, patch=monkeypatch, capsys=capsys)

    code, told, _ = called(status, f"{runs}/r", "--log", "focal")
    assert (code, f"Run {runs}/r: complete" in told) == (0, True), told
    assert "1 done" in told
    code, _, told = called(status, f"{runs}/x")
    assert (code, told) == (2, f"error: {runs}/x: no run there; known: r\n")
    there.remove("report/report.html")
    code, told, _ = called(report, f"{runs}/r")
    assert code == 0
    assert b"focal" in there.read("report/report.html")
    assert results.read(Path(told.splitlines()[0]).parents[1] / trial).status == "ok"
    code, told, error = called(compare, f"{runs}/r", f"{runs}/r", "--format", "md")
    assert code == 0, told + error
    assert there.read("BLESSED").startswith(b"head r against base r")
    code, _, told = called(run, "--name", "r", "--out", runs, "--grid", "losses", "--preset", "smoke")
    assert (code, f"run {runs}/r exists; choose another --name, or finish it with: " in told) == (2, True), told
    for name in there.listed():
        there.get(name, tmp_path / "all" / name)
    assert not [secret for secret in SECRETS if secret in _told(tmp_path) + output.encode()]
