"""Print docs/losses.md, which is made from the code: `python -m losses.page > docs/losses.md`.

Formulas, sources and conventions come from the docstrings. Parameters and laws come from the classes. Gradient scales
are measured here. Times come from docs/losses-cost.json (`python -m bench.perf.losses --json docs/losses-cost.json`).
"""

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import losses
from losses.core.base import AVERAGES, SegmentationLoss

DOCS = Path(__file__).parents[1] / "docs"
COST = DOCS / "losses-cost.json"
SHARED = {"reduction", "name", "ignore_index", "from_logits", "average", "class_weights"}

HEAD = """\
# Losses

<!-- Made by `python -m losses.page > docs/losses.md` from losses/; edit the docstrings, not this page. -->

`losses.get(name, **params)` builds one of the {count} losses below, `losses.names()` and `losses.parameters(name)` list
them without importing TensorFlow. `0.5 * losses.get("dice") + losses.get("focal")` is a loss too, and serialisable.
`losses.DeepSupervision` takes a loss to several outputs. How to add one: [adding-a-loss.md](adding-a-loss.md).
Where other libraries give other numbers, and why: [losses-elsewhere.md](losses-elsewhere.md).

## What holds for all

{contract}

Every loss has the parameters `ignore_index = 255`, `from_logits = True`, `average` and `class_weights = None`. In a
trial, `class_weights` may be `median_frequency`, `enet` or `effective_number`, computed from the training labels; so
may `priors` of `logit_adjusted`, `train`, without which that loss is cross-entropy.

The laws of `losses/laws`, and that of `tests/losses/test_replicas.py`, are checked for each of them: void has no
gradient and changes nothing; the order of classes and of pixels does not matter, nor does tiling; ids equal
one-hot labels; weights are repetitions; float16, bfloat16 and float64 logits are computed in float32; logits of ±10 000
have finite values and gradients; eager, graph and XLA agree; one device and two take the same step to 1e-6. What a loss
breaks by its definition stands with it.

## Overview

*Gradient*: the norm of the gradient at the logits relative to `cross_entropy`, before training → once every pixel is
right by a margin of 3 (three classes; `losses.gradient_scale`). Under plain SGD a loss of scale 0.3 trains as
cross-entropy at 0.3 of the rate; `loss.calibrated: true` divides the first number out.
{cost_note}
"""


class Cost(NamedTuple):
    """Milliseconds and MiB (None: not measured) per step by (loss, classes), and what they were measured on."""

    of: Mapping[tuple[str, int], tuple[float, float | None]]
    note: str


def render() -> str:
    """Return the page as Markdown."""
    built = {name: losses.get(name) for name in losses.names()}
    cost = read_cost()
    parts = [HEAD.format(count=len(built), contract=contract(), cost_note=cost.note), overview(built, cost)]
    return wrapped("\n".join([*parts, "## One by one\n", *(section(loss) for loss in built.values())]).rstrip() + "\n")


def wrapped(text: str) -> str:
    """Break lines of more than 120 characters, except in tables."""
    fill = textwrap.TextWrapper(120, break_long_words=False, break_on_hyphens=False)
    lines: list[str] = []
    for line in text.splitlines():
        fill.subsequent_indent = "  " if line.startswith(("- ", "  ")) else ""
        lines += [line] if len(line) <= 120 or line.startswith("|") else fill.wrap(line)
    return "\n".join([*lines, ""])


def contract() -> str:
    """Return the conventions of `losses.core.base` as a list."""
    _, *entries = inspect.getdoc(sys.modules["losses.core.base"]).split("\n\n", 1)  # type: ignore[union-attr]
    lines: list[str] = []
    for line in entries[0].splitlines():
        lines.append(f"- **{line}".replace(":", ":**", 1) if not line.startswith(" ") else f"  {line.strip()}")
    return "\n".join(lines)


def overview(built: Mapping[str, SegmentationLoss], cost: Cost) -> str:
    """Return the table of all losses: formula, gradient scale and cost."""
    classes = sorted({c for _, c in cost.of})
    head = ["loss", "formula", "gradient", *(f"ms / MiB, {c} classes" for c in classes)]
    rows = [
        [f"[`{name}`](#{name})", formula(loss), gradient(loss), *(spent(cost, name, c) for c in classes)]
        for name, loss in built.items()
    ]
    return table(head, rows)


def spent(cost: Cost, name: str, classes: int) -> str:
    """Return the cost of a loss as `ms / MiB`; a dash for what was not measured."""
    if (name, classes) not in cost.of:
        return "–"
    milliseconds, mebibytes = cost.of[name, classes]
    return f"{milliseconds:.0f} / {'–' if mebibytes is None else f'{mebibytes:.0f}'}"


def formula(loss: SegmentationLoss) -> str:
    """Return the first sentence of the docstring, without its source."""
    source = r" \((?=[^()]*(?:\d{4}|arXiv))"
    first = re.split(rf"{source}|, the mean over (?:classes|(?:channels and )?valid pixels)", paragraphs(loss)[0])[0]
    return first.rstrip(".:").replace("|", "\\|").replace("*", "\\*")


def gradient(loss: SegmentationLoss) -> str:
    """Return the gradient scale before training and at a margin of 3."""
    scale = losses.gradient_scale(loss)
    return f"{scale.initial:.2g} → {scale.at_margin_3:.2g}"


def section(loss: SegmentationLoss) -> str:
    """Return the section of one loss: its docstring, its own parameters and the laws it breaks or keeps."""
    name = str(loss.loss_name)
    own = {key: value for key, value in losses.parameters(name).items() if key not in SHARED}
    listed = ", ".join(f"`{key} = {value!r}`" for key, value in own.items())
    facts = [f"Parameters of its own: {listed}."] if listed else []
    averages = getattr(loss, "averages", AVERAGES)
    if averages != AVERAGES:
        facts.append(f"Average: {' or '.join(averages)} only; the batch would need more than one all-reduce.")
    if loss.exceptions:
        facts.append(f"Laws broken by definition: {', '.join(sorted(loss.exceptions)).replace('_', ' ')}.")
    if not loss.trains_alone:
        facts.append("It does not train a model alone.")
    equal = [
        f"{call(name, params)} = {call(other, others)}"
        for params, other, others in vars(type(loss)).get("identities", ())
    ]
    if equal:
        facts.append(f"Equal, and tested: {'; '.join(equal)}.")
    return "\n\n".join([f"### {name}", *(text.replace("*", "\\*") for text in paragraphs(loss)), *facts]) + "\n"


def call(name: str, params: Mapping[str, Any]) -> str:
    """Return a loss with its parameters as code."""
    return f"`{name}({', '.join(f'{key}={value!r}' for key, value in params.items())})`"


def paragraphs(loss: SegmentationLoss) -> list[str]:
    """Return the paragraphs of the class docstring, one line each."""
    return [" ".join(text.split()) for text in str(inspect.getdoc(type(loss))).split("\n\n")]


def read_cost() -> Cost:
    """Return time and memory per loss and number of classes from the stored measurement; empty if there is no file."""
    if not COST.exists():
        return Cost({}, "")
    stored = json.loads(COST.read_text())
    rows = [row for row in stored["rows"] if row["milliseconds"].get("ours")]
    machine = stored["environment"]
    batches = ", ".join(f"{b} at {c} classes" for c, b in sorted({(row["classes"], row["batch"]) for row in rows}))
    note = (
        f"\n*ms / MiB*: one step of the loss, forward and backward, and its peak memory above labels and logits, at "
        f"{rows[0]['size']} x {rows[0]['size']} pixels, batch {batches}, on {machine['cores']} cores of "
        f"{machine['processor']}, TensorFlow {machine['tensorflow']} (`python -m bench.perf.losses`).\n"
    )
    costs = {(row["loss"], row["classes"]): (row["milliseconds"]["ours"], row["mebibytes"].get("ours")) for row in rows}
    return Cost(costs, note)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
