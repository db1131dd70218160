"""A small git repository that looks like this project from outside: `bench.trial` is a script of a second.

Its trials write records with the numbers of `losses/__init__.py` and some noise, so that commits can differ in them.
"""

import os
import subprocess

TRIAL = """
import argparse, json, os, random, sys, time
from pathlib import Path
import losses

HOME = Path(__file__).resolve().parents[1]
options = argparse.ArgumentParser()
options.add_argument("--preset")
options.add_argument("--set", action="append", default=[])
options.add_argument("--out", type=Path)
asked = options.parse_args()
fields = dict(text.split("=", 1) for text in asked.set)
for field in fields:
    if field in losses.UNKNOWN:
        print(f"error: --set: unknown field {field!r}", file=sys.stderr)
        sys.exit(2)
if (asked.out / "record.json").exists():
    print(f"error: --out {asked.out}: holds a trial already", file=sys.stderr)
    sys.exit(2)
print("step 1", flush=True)
time.sleep(losses.SECONDS)
if losses.DIES:
    os.kill(os.getpid(), 9)
seed = int(fields["seed"])
noise, own = random.Random(seed), random.Random()
commit = losses.COMMIT or os.popen(f"git -C {HOME} rev-parse --short=12 HEAD").read().strip()
miou = losses.MIOU + noise.gauss(0, 0.01) + own.gauss(0, 0.001)
rate = losses.RATE * (1 + own.gauss(0, losses.NOISE))
spec = {"seed": seed, "train": {"epochs": losses.EPOCHS or int(fields["train.epochs"])}, "data": {"name": "scenes"}}
record = {
    "schema_version": losses.SCHEMA, "scoring": 2, "trial": asked.out.name, "cell": "of its own",
    "label": fields["loss.name"],
    "seed": seed, "status": "ok", "spec": spec,
    "environment": {"git_commit": commit, "replicas": 1, "device": "cpu", "gpu_names": [], "precision": "float32"},
    "clocks": {"init_s": losses.START / 2, "compile_s": losses.START / 2 * (1 + own.gauss(0, losses.NOISE))},
    "views": [{"images": 4, "miou": miou}],
    "throughput": {"images_per_second": rate, "windows": [rate] * 5, "comparable": True},
    "memory": {"peak_rss_mb": losses.MEMORY},
}
asked.out.mkdir(parents=True, exist_ok=True)
(asked.out / "record.json").write_text(json.dumps(record))
(asked.out / "where.json").write_text(json.dumps([__file__, losses.__file__, sys.path, sys.executable, seed]))
"""
NUMBERS = {
    "RATE": 100.0, "NOISE": 0.01, "MIOU": 0.5, "START": 10.0, "MEMORY": 1000.0, "SECONDS": 0.0, "DIES": False,
    "UNKNOWN": (), "COMMIT": "", "EPOCHS": 0, "SCHEMA": 5,
}  # fmt: skip


def git(folder, *arguments):
    """Run git in a folder and return what it prints."""
    who = {f"GIT_{role}_{what}": "toy@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env={**os.environ, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def make(folder):
    """Make the repository with one commit, and return the folder."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name in ("bench", "losses"):
        (folder / name).mkdir()
    (folder / "bench" / "__init__.py").touch()
    (folder / "bench" / "trial.py").write_text(TRIAL)
    (folder / ".gitignore").write_text("__pycache__/\n")
    commit(folder, "First")
    return folder


def edit(folder, **numbers):
    """Set numbers of the project's trials, without a commit."""
    lines = [f"{name} = {value!r}\n" for name, value in {**NUMBERS, **numbers}.items()]
    (folder / "losses" / "__init__.py").write_text("".join(lines))


def commit(folder, message, **numbers):
    """Commit the project with these numbers, and return the commit."""
    edit(folder, **numbers)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def traces(folder, place):
    """What is left of checkouts: git's entries of worktrees besides the first, and the entries of their place."""
    entries = git(folder, "worktree", "list", "--porcelain").count("worktree ") - 1
    return entries, sorted(entry.name for entry in place.iterdir()) if place.exists() else []
