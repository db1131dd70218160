"""Several hosts on one machine, made of Linux namespaces and joined by a bridge that lies in a namespace of its own.

Each host has a network, process ids, a name, /tmp, /dev/shm and a home of its own. They share the other files of the
machine, and SHARED, which stands for a network disk: it can be reached while a cable is pulled. The clock and the cores
are those of the machine.
"""

import contextlib
import itertools
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[2]
SHARED = Path("/tmp/shared")
HOME = "/tmp/home"
NETWORK = "10.77.0"
_SPACES = ("--net", "--mount", "--uts", "--ipc", "--pid")
_USER = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
NO_LOSS = "" if shutil.which("nft") else "no nft here (package nftables)"
NO_STORAGE = "" if shutil.which("bindfs") and Path("/dev/fuse").exists() else "no bindfs or no /dev/fuse here"


def why_not():
    """Why this machine cannot make hosts; empty if it can."""
    lacking = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if lacking:
        return f"no {', '.join(lacking)} here (packages util-linux and iproute2)"
    script = "mount -t tmpfs tmpfs /mnt && ip link add try0 type bridge && ip link add try1 type veth peer name try2"
    command = ["unshare", *_USER, *_SPACES, "--fork", "--mount-proc", "sh", "-ec", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or ["no reason told"])[-1]
    return "" if done.returncode == 0 else f"this machine does not allow namespaces: {last}"


class Host:
    """A host: `run` starts a command on it."""

    def __init__(self, bed, name, number):
        self.name, self.address, self._bed = name, f"{NETWORK}.{number}", bed
        self.pid = bed.hold([*_SPACES, "--fork", "--kill-child", "--mount-proc"], _script(name, bed))
        bed.switch("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        bed.switch("ip", "link", "set", name, "master", "bridge", "up")
        self.call("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.call("ip", "link", "set", "eth0", "up")

    def run(self, *words, environment=None, **options):
        """Start a command in SHARED; `signalled` is the process that takes signals."""
        inside = ["nsenter", f"--target={self.pid}", *_SPACES, f"--wd={SHARED}", *_user(), *map(str, words)]
        return subprocess.Popen(inside, env={**self._bed.environment, **(environment or {})}, **options)

    def call(self, *words):
        """Run a command to its end, which has to be a good one."""
        process = self.run(
            *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, f"{self.name}: {shlex.join(map(str, words))}: {output}"
        return output

    def ray(self, *words):
        """`ray start` with one CPU and these words: the words of that command."""
        common = ("--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats")
        start = (sys.executable, "-m", "ray.scripts.scripts", "start", f"--node-ip-address={self.address}", *common)
        return (*start, *words)

    def unplug(self):
        """Pull the cable: nothing reaches the host, and nobody is told."""
        self._bed.switch("ip", "link", "set", self.name, "down")

    def plug(self):
        """Put the cable back."""
        self._bed.switch("ip", "link", "set", self.name, "up")

    def slow_down(self, rate):
        """Let the cable carry so much in either direction, such as "1mbit", from now on."""
        limits = ("root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms")
        self._bed.switch("tc", "qdisc", "add", "dev", self.name, *limits)
        self.call("tc", "qdisc", "add", "dev", "eth0", *limits)

    def lose(self, percent):
        """Let the cable lose so many of a hundred packets in either direction, from now on."""
        self.call("nft", "add", "table", "inet", "wire")
        for way, device in (("input", "iifname"), ("output", "oifname")):
            chain = ("inet", "wire", way)
            self.call("nft", "add", "chain", *chain, f"{{ type filter hook {way} priority 0; }}")
            self.call(
                "nft", "add", "rule", *chain, device, "eth0", "numgen", "random", "mod", 100, "<", percent, "drop"
            )

    def mount_storage(self):
        """Reach SHARED through a process, as a network disk is; the process is returned. Stopped, the disk hangs."""
        mounting = self.run("bindfs", "-f", SHARED, SHARED, stdin=subprocess.DEVNULL)
        self.call("sh", "-c", f"until grep -q ' {SHARED} fuse' /proc/mounts; do sleep 0.1; done")
        (inside,) = psutil.Process(mounting.pid).children()
        return inside

    def fill_disk(self):
        """Leave no room for files of the host's own: its /tmp gets the size that is taken, and the rest is filled."""
        size = "$(($(df --output=used -k /tmp | tail -1) + 1024))k"
        self.call("sh", "-c", f"mount -o remount,size={size} /tmp; dd if=/dev/zero of=/tmp/filler bs=4k; df /tmp")

    def kill_ray(self):
        """Let Ray's own processes crash; commands and trials live on for as long as they can without."""
        for process in psutil.Process(self.pid).children(recursive=True):
            if process.name() in ("gcs_server", "raylet"):
                process.kill()

    def kill(self):
        """Cut the power: the cable first, or the kernel would still say goodbye on every connection."""
        self.unplug()
        os.kill(self.pid, signal.SIGKILL)


class Bed:
    """Hosts with the given names, and `head` is the first. A context: at its end all of it is gone."""

    def __init__(self, folder, *names):
        self.shared = folder / "shared"
        self.shared.mkdir()
        self.stage = folder / "stage"
        self.stage.mkdir()
        self.token = secrets.token_hex(32)
        self._held = contextlib.ExitStack()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TMP", "XDG_"))}
        self.environment = {
            **kept, "HOME": HOME, "RAY_AUTH_MODE": "token", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests' / 'faults'}", "ENTRY": "bench.trial:worker",
            "SEGMENTATION_BENCH_CACHE": f"{HOME}/cache",
        }  # fmt: skip
        with self._held:
            self._net = self.hold(["--net"], "echo ready; exec cat")
            self.switch("ip", "link", "add", "bridge", "type", "bridge")
            self.switch("ip", "link", "set", "bridge", "up")
            self.hosts = {name: Host(self, name, number) for number, name in enumerate(names, 1)}
            self._held = self._held.pop_all()
        self.head = self.hosts[names[0]]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._held.close()

    def start_ray(self, *words, everywhere=()):
        """Start Ray on every host, with a token, and on the first with these words besides."""
        head, *others = self.hosts.values()
        head.call(*head.ray("--head", "--port=6379", "--include-dashboard=false", *everywhere, *words))
        for host in others:
            host.call(*host.ray(f"--address={head.address}:6379", *everywhere))

    def switch(self, *words):
        """Run a command where the bridge is."""
        subprocess.run(["nsenter", f"--target={self._net}", "--net", *_user(), *words], check=True)

    def hold(self, spaces, script):
        """Make namespaces that live as long as this object, and return the process id of their first process."""
        holder = subprocess.Popen(
            ["unshare", *_USER, *spaces, "sh", "-ec", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._held.callback(_let_go, holder)
        assert holder.stdout.readline() == "ready\n", script
        children = psutil.Process(holder.pid).children()
        return children[0].pid if children else holder.pid


def _let_go(holder):
    """End a holder, and with it all that runs in its namespaces: the first process ends with its input."""
    holder.stdin.close()
    try:
        holder.wait(10)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.wait()
    holder.stdout.close()


def _user():
    return ["--user", "--preserve-credentials"] if _USER else []


def _script(name, bed):
    """What the first process of a host does: name, files, and the wait for the end of its input."""
    stage, tmp = bed.stage, Path("/tmp")
    needed = {Path(path).resolve() for path in (PROJECT, sys.prefix, sys.base_prefix)}
    lines = [f"hostname {name}", f"mount -t tmpfs tmpfs {stage}"]
    for path in sorted(path for path in needed if tmp in path.parents):  # what a new /tmp would hide
        place = stage / path.relative_to(tmp)
        lines += [f"mkdir -p {place}", f"mount --bind {path} {place}"]
    lines += [
        f"mkdir -p {stage}/shared {stage}/home/.ray", f"printf %s {bed.token} > {stage}/home/.ray/auth_token",
        f"mount --bind {bed.shared} {stage}/shared", f"mount --rbind {stage} /tmp", "chmod 1777 /tmp",
        "mount -t tmpfs tmpfs /dev/shm", "ip link set lo up", "echo ready", "exec cat",
    ]  # fmt: skip
    return "\n".join(lines)


class Changes:
    """The moments at which files changed, by their time of change, looked at ten times a second."""

    def __init__(self, *files):
        self.files = files
        self.seen = {file: [] for file in files}

    def look(self, seconds):
        """Look for so long."""
        until = time.time() + seconds
        while time.time() < until:
            self.once()
            time.sleep(0.1)

    def once(self):
        for file in self.files:
            with contextlib.suppress(OSError, ValueError):
                changed = max(path.stat().st_mtime for path in file.parent.glob(file.name))
                if changed not in self.seen[file]:
                    self.seen[file].append(changed)

    def longest(self, file, since):
        """The longest time without a change around and after a moment."""
        before = [moment for moment in self.seen[file] if moment <= since][-1:]
        after = [moment for moment in self.seen[file] if moment > since]
        moments = [*before, *after]
        return max((b - a for a, b in itertools.pairwise(moments)), default=float("inf"))
