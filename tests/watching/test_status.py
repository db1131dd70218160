"""`bench.status` on a run that is under way, on one that its command has left, and on folders made by hand."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import bench
import results
from bench import status
from bench.core import PROGRESS_FILE, RunProgress, Underway, UsageError, cli, read_progress
from bench.watching import check_url, look, notifier, reading
from tests.commands.here import call
from tests.faults.driver import Driver, grid
from tests.invented_runs.folder import write_folder

PROJECT = Path(bench.__file__).parents[1]


class Listener:
    """An HTTP server on loopback that keeps what is posted to it, and answers with a status."""

    def __init__(self, answer=200):
        posted = self.posted = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                posted.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(answer)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?token=secret"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The command in this process: its exit status, and what it wrote."""
    return lambda *arguments: call(status.main, *arguments, cwd=tmp_path, patch=monkeypatch, capsys=capsys)


def test_a_run_under_way_is_told_from_its_folder_until_it_ends(tmp_path, here, listener):
    driver = Driver(tmp_path, *grid("--notify", listener.url), faults={"dice": "wait"})

    def waits():
        found = read_progress(driver.run)
        return found and any(name.startswith("dice") and one.epoch for name, one in found.running.items())

    driver.wait_for(waits)
    code, told, _ = here("runs/r")
    head, counts, _, columns, dice, _, best, first = told.splitlines()
    assert code == 0
    assert head.startswith("Run runs/r: running, last sign of life ")
    assert head.endswith(f"(command on {os.uname().nodename}, process {driver.process.pid})")
    assert counts.startswith("1 done, 1 running, 1 waiting, 0 failed of 3 trials; ")
    assert counts.endswith(" left (from 1 complete trial)")
    assert columns.split() == ["trial", "host", "epoch", "loss", "mIoU", "img/s", "for"]
    name, host, epoch, loss, *_ = dice.split()
    assert name.startswith("dice-")
    assert (host, epoch.partition("/")[0], loss) == (os.uname().nodename, "1", "1.0000")
    assert best.split() == ["best", "so", "far", "mIoU", "from", "seeds", "seeds"]
    assert first.split() == ["1.", "cross_entropy", "80.0", "%", "–", "1"]

    assert here("runs/r", "--log", "dice")[1].splitlines()[-1] == "the trial waits"
    assert here("runs/r", "--log", "focal")[0] == 2, "it has not begun"

    code = (
        "import sys; from bench.core import start; from bench.status import main; sys.argv[0] = 'bench.status'\n"
        "try: start(main)\n"
        "finally: print([name for name in ('ray', 'tensorflow', 'keras', 'pandas') if name in sys.modules])"
    )
    watching = subprocess.Popen(
        [sys.executable, "-c", code, "runs/r", "--watch", "--every", "0.5", "--json"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        driver.process.send_signal(signal.SIGINT)
        status, output = driver.end()
        rest, _ = watching.communicate(timeout=60)
    finally:
        watching.kill()
    assert status == 130, output
    *later, heavy = rest.splitlines()
    assert heavy == "[]"
    assert (looks[0]["state"], looks[0]["done"], [*looks[0]["running"]]) == ("running", 1, [name])
    last = json.loads([json.dumps(looks[-1]), *later][-1])
    assert (last["state"], last["done"], last["left"], last["running"]) == ("interrupted", 1, 2, {})
    assert not (driver.run / PROGRESS_FILE).exists()

    (body,) = listener.posted
    assert body.count(b"\n") == 1
    news = json.loads(body)
    assert (news["run"], news["folder"]) == ("r", str(driver.run.resolve()))
    assert (news["status"], news["trials"], news["done"]) == ("interrupted", 3, 1)
    assert (news["failed"], news["not_done"]) == (0, 2)
    assert (news["best"]["label"], news["best"]["seeds"]) == ("cross_entropy", 1)
    assert "secret" not in (driver.run / "run.json").read_text() + output


def _record(trial, seed, miou=None, ending="ok", message=""):
    label = trial.partition("-")[0]
    scores = [{"view": "default", "split": "val", "images": 1, "miou": miou}] if miou is not None else []
    error = {"kind": "X", "message": message} if message else None
    return results.Record(trial=trial, cell=label, label=label, seed=seed, status=ending, views=scores, error=error)


@pytest.fixture
def folder(tmp_path):
    """Two cells of three seeds: three are done, one ran out of memory, one was interrupted, one never began."""
    records = [
        _record("dice-s0", 0, 0.5), _record("dice-s1", 1, 0.7), _record("focal-s0", 0, 0.9),
        _record("focal-s1", 1, ending="oom", message="out of memory"), _record("dice-s2", 2, ending="interrupted"),
    ]  # fmt: skip
    cells = [{"cell": label, "label": label, "seeds": [0, 1, 2]} for label in ("dice", "focal")]
    return write_folder(tmp_path / "runs" / "r", records, cells, status="running")


def _progress(folder, age=0.0, pid=None, host=None, **more):
    written = datetime.now(UTC) - timedelta(seconds=age)
    since = (written - timedelta(seconds=90)).isoformat()
    values = {"running": {"dice-s2": Underway(since, 2, "node7", 3, 8, 0.5, 0.25, 30.0)}, "waiting": ("focal-s2",)}
    found = RunProgress(host or os.uname().nodename, pid or os.getpid(), written.isoformat(), **values | more)
    folder.mkdir(exist_ok=True)
    (folder / PROGRESS_FILE).write_bytes(found.as_bytes())


def test_counts_and_words_of_a_run_that_goes_on(folder, here):
    _progress(folder, left=(3600.0, 4000.0, 7200.0), told_by=3)
    _, told, _ = here("runs/r")
    assert "3 done, 1 running, 1 waiting, 1 failed of 6 trials; 1 to 2 h left (from 3 complete trials)" in told
    assert " ".join(told.splitlines()[4].split()) == "dice-s2 node7 3/8 0.5000 0.250 30.0 1.5 min attempt 2"
    assert "failed: focal-s1: oom: out of memory" in told
    assert [line.split() for line in told.splitlines()[-2:]] == [
        ["1.", "focal", "90.0", "%", "–", "1"], ["2.", "dice", "60.0", "%", "50.0", "to", "70.0", "2"],
    ]  # fmt: skip
    _progress(folder, held={"node9": "host node9 cannot write /runs/r: Stale file handle"})
    _, told, _ = here("runs/r")
    assert told.splitlines()[2] == "host node9 cannot write /runs/r: Stale file handle; no trial is started there"
    assert json.loads(here("runs/r", "--json")[1])["held"] == {"node9": look(folder).held["node9"]}
    _progress(folder, running={}, waiting=("focal-s1", "dice-s2", "focal-s2"))
    found = look(folder)
    assert (found.failed, found.left) == ((), 3), "what failed before is tried again"


def test_a_command_that_is_silent_or_gone_is_told_apart_from_one_that_works(folder, here, monkeypatch):
    assert look(folder).state == "preparing"
    ended = subprocess.Popen(["true"])
    ended.wait()
    _progress(folder, pid=ended.pid)
    assert look(folder).state == "running", "its file is fresh"
    _progress(folder, age=60, pid=ended.pid)
    _, told, _ = here("runs/r")
    assert "its command has ended without a message" in told
    assert "3 done, 0 running, 2 not done, 1 failed of 6 trials" in told
    assert "Go on with: python -m bench.run --resume runs/r (on a cluster with its --address)" in told
    _progress(folder, age=60, pid=ended.pid, host="elsewhere")
    assert look(folder).state == "running", "processes of another machine are not seen"
    _progress(folder, age=400, pid=ended.pid, host="elsewhere")
    assert look(folder).state == "silent"
    assert "SILENT, last sign of life 6.7 min ago by the clocks of both machines" in here("runs/r")[1]
    _progress(folder, age=-100)
    assert look(folder).age == 0, "a clock that is behind"


def test_the_trials_of_a_search_are_told_while_they_run(folder, here):
    write_folder(folder / "search", [_record("candidate-s0", 0, 0.5)], [])
    _progress(folder / "search", running={}, waiting=("candidate-s1",))
    assert "1 done, 0 running, 1 waiting, 0 failed of 2 trials of the search" in here("runs/r")[1]
    _progress(folder)
    assert "of 6 trials;" in here("runs/r")[1], "then those of the run"


def test_a_record_is_read_again_only_when_it_has_changed(folder, monkeypatch):
    read = []
    monkeypatch.setattr(reading.results, "read_in_place", lambda path: read.append(path) or _record("dice-s0", 0, 0.5))
    reading._read.cache_clear()
    look(folder)
    look(folder)
    assert len(read) == 5
    os.utime(folder / "trials" / "dice-s0" / "record.json", (1, 1))
    look(folder)
    assert len(read) == 6
    reading._read.cache_clear()


def test_bad_input_is_one_line_and_a_broken_record_hides_no_other(folder, here):
    for arguments, message in {
        ("runs/s",): "runs/s: no run there; known: r",
        ("runs/r", "--log", "dic"): "--log dic: it may be dice-s0, dice-s1, dice-s2",
        ("runs/r", "--log", "focle-s0"): "--log focle-s0: no such trial; did you mean 'focal-s0'?",
        ("runs/r", "--log", "focal-s0"): "a trial has a log once it has begun",
        ("runs/r", "--log", "focal-s0", "--json"): "--log and --json: leave out one of the two",
    }.items():
        code, _, told = here(*arguments)
        assert (code, told.count("\n")) == (2, 1), told
        assert message in told
    (folder / "trials" / "dice-s0" / "record.json").write_text("{")
    found = look(folder)
    assert (found.done, len(found.problems)) == (2, 1)
    assert f"cannot be read: {folder / 'trials' / 'dice-s0' / 'record.json'}: not JSON" in here(folder)[1]
    (folder / "run.json").write_text("{")
    assert (here("runs/r")[0], here("runs/r")[2].count("\n")) == (2, 1)


def test_only_the_end_of_a_log_is_shown(folder, here):
    log = folder / "trials" / "dice-s0" / "log.txt"
    log.write_text("".join(f"line {i}\n" for i in range(50_000)))
    assert here("runs/r", "--log", "dice-s0", "--lines", 2)[1].splitlines()[-2:] == ["line 49998", "line 49999"]


def test_a_url_that_does_not_take_the_news_is_one_warning_without_its_secret(folder):
    refused = Listener(answer=503)
    (folder / "run.json").write_text(json.dumps({**results.read_manifest(folder), "status": "complete"}))
    warned = []
    notifier(refused.url, warned.append)(folder)
    refused.close()
    notifier(refused.url, warned.append)(folder)
    notifier(refused.url, warned.append)(folder / "nowhere")
    assert warned[0] == "--notify: 127.0.0.1 refused the message that this run has ended: status 503"
    assert warned[1].startswith("--notify: 127.0.0.1 refused the message that this run has ended: Connection refused")
    assert len(warned) == 3
    assert not any("secret" in line or "\n" in line for line in warned)
    assert json.loads(refused.posted[0])["status"] == "complete"


@pytest.mark.parametrize("url", ["ftp://host/x", "host/secret", "http://", "http://host:port/secret", "file:///etc"])
def test_a_url_that_cannot_be_posted_to_is_refused_before_the_run(url):
    with pytest.raises(UsageError) as caught:
        check_url(url)
    assert str(caught.value) == "--notify: expected http://HOST/PATH or https://HOST/PATH"


def test_a_command_line_is_kept_without_its_secrets(monkeypatch):
    hidden = ["--notify", "http://h/secret"]
    words = ["bench.run", "--grid", "losses", *hidden, "--name", "a b", "=".join(hidden)]
    monkeypatch.setattr(sys, "argv", words)
    assert cli.typed("bench.run", without=("--notify",)) == "python -m bench.run --grid losses --name 'a b'"
    monkeypatch.setattr(sys, "argv", ["segbench", "run", "--notify", "x"])
    assert cli.typed("bench.run", without=("--notify",)) == "segbench run"
