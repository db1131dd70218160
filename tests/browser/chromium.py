"""A headless Chromium over its debugging pipe: enough of the protocol to open a page, act in it and look at it.

https://chromedevtools.github.io/devtools-protocol: JSON messages, each ended by a zero byte, on the file descriptors 3
(to the browser) and 4 (from it).
"""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find():
    """The browser's executable, or None: `$CHROMIUM` or the usual names."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def missing():
    """Why no browser can be had here, in one line; empty when one can.

    Asked for its version it needs its libraries and nothing else. What happens after that is a matter for the tests.
    """
    executable = find()
    if executable is None:
        return "no Chromium here (`apt-get install chromium`, or $CHROMIUM names one)"
    try:
        asked = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{executable} cannot be run: {error}"
    if asked.returncode:
        return f"{executable} cannot be run (status {asked.returncode}): {_last_line(asked.stderr)}"
    return ""


def _last_line(text):
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


class Page:
    """One page. `said` collects console messages and uncaught errors, `asked` the addresses of all requests."""

    def __init__(self, executable, profile: Path, width=1280, height=900, dark=False, seconds=60):
        self._seconds, self._ids, self._buffer = seconds, itertools.count(1), b""
        self.said, self.asked, self._loaded = [], [], 0
        inner_in, self._out = self._pipe()
        self._in, inner_out = self._pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        flags += ["--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        wire = "import os, sys; [os.dup2(int(sys.argv[n]), n + 2) for n in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"
        ends = [str(inner_in), str(inner_out)]
        Path(profile).mkdir(parents=True, exist_ok=True)
        self._log = Path(profile) / "stderr.txt"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-c", wire, *ends, executable, *flags, "about:blank"],
                pass_fds=(inner_in, inner_out), stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        os.close(inner_in)
        os.close(inner_out)
        self._session = None
        try:
            self._set_up(width, height, dark)
        except BaseException:
            self.__exit__()
            raise

    def _set_up(self, width, height, dark):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    @staticmethod
    def _pipe():
        """A pipe whose ends stay clear of the descriptors 3 and 4."""
        ends = os.pipe()
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in ends]
        for end in ends:
            os.close(end)
        return moved

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.terminate()
        self._process.wait(10)
        os.close(self._in)
        os.close(self._out)

    def call(self, method, **params):
        """Send a command and wait for its answer; events on the way are noted."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        try:
            os.write(self._out, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise self._gone() from None
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _next(self):
        until = time.monotonic() + self._seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"the browser was silent for {self._seconds} s"
            part = os.read(self._in, 1 << 20)
            if not part:
                raise self._gone()
            self._buffer += part
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(raw)
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled":
                self.said.append(str(params["args"]))
            case "Runtime.exceptionThrown":
                self.said.append(str(params["exceptionDetails"]))
            case "Log.entryAdded":
                self.said.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])
            case "Page.loadEventFired":
                self._loaded += 1
        return message

    def _gone(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        said = _last_line(self._log.read_text(errors="replace"))
        return AssertionError(f"the browser went away (status {self._process.poll()}): {said}")

    def open(self, address):
        """Go to an address and wait until it is loaded."""
        with self._arriving():
            self.call("Page.navigate", url=address)

    def follow(self, script):
        """Click a link and wait until the page that it leads to is loaded."""
        with self._arriving():
            self.click(script)

    @contextlib.contextmanager
    def _arriving(self):
        before = self._loaded
        yield
        while self._loaded == before:
            self._next()

    def run(self, script):
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, script):
        """A real mouse click in the middle of the element that a JavaScript expression gives, once it lies still."""
        x, y = self.run(f"({_AT_REST})(() => ({script}))")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path, whole=True):
        """Write a PNG of the page."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        Path(path).write_bytes(base64.b64decode(picture))

    def pdf(self, path: Path):
        """Write the page as it prints."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"]))


# Pages scroll smoothly: a click at a place measured during such a scroll meets what lies there by then. The element is
# at rest when it lies in the same place, uncovered, in three frames in a row.
_AT_REST = """
async (element) => {
  for (let still = 0, x, y; ; ) {
    if (!still) element().scrollIntoView({block: "center", behavior: "instant"});
    await new Promise(requestAnimationFrame);
    const r = element().getBoundingClientRect(), at = [r.x + r.width / 2, r.y + r.height / 2];
    const hit = document.elementFromPoint(...at);
    still = at[0] === x && at[1] === y && hit && element().contains(hit) ? still + 1 : 0;
    [x, y] = at;
    if (still === 2) return at;
  }
}
"""
