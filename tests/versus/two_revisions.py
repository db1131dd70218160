"""A small repository with two tagged revisions, one of them slow, and requests to compare them."""

import yaml

from bench.plan import GridRequest
from bench.versus import Request
from tests.revisions import toy_project as toy

BASE = {
    "model.weights": "none", "data.size": 64, "data.crop": 64, "data.train_limit": 8, "data.val_limit": 4,
    "data.test_limit": 2, "train.steps_per_epoch": 2, "eval.window_steps": 1,
}  # fmt: skip


def made(folder, seeds=3):
    """A repository with two tagged revisions: `slow` takes 25 % longer per image and starts 5 s later."""
    project = toy.make(folder / "project")
    toy.git(project, "tag", "fast")
    toy.commit(project, "Slow", RATE=80.0, START=15.0)
    toy.git(project, "tag", "slow")
    text = {"preset": "smoke", "seeds": seeds, "base": BASE, "axes": {"loss": ["cross_entropy", "dice"]}}
    (folder / "small.yaml").write_text(yaml.safe_dump(text))
    return project


def request(project, **changes):
    """A request for `fast` against `slow` whose checkouts and results lie beside the project."""
    sides = {"base": changes.pop("base", "fast"), "head": changes.pop("head", "slow")}
    what = GridRequest(grid=str(project.parent / "small.yaml"), **changes.pop("what", {}))
    return Request(sides=sides, what=what, out=project.parent / "out", repository=project, **changes)
