"""A run of a recipe beside what others published on its data set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import results
from reports.format import number, percent, plus_minus
from reports.summary import Summary
from results import counted
from results.statistics import Interval


@dataclass(frozen=True)
class Outcome:
    """What a run of a recipe reached.

    Attributes:
        recipe: the recipe.
        reached: mIoU on its split; None if that was not scored.
        val: mIoU on the validation split; None if that was trained on.
        lacking: what of the data set was not there, such as "62 of 233 images of test"; empty if all was.
        cpu_hours: of all trials whose record says it; NaN if none does.
        unrecorded: the number of trials, such as interrupted ones, whose record does not say it.
    """

    recipe: results.Recipe
    reached: Interval | None
    val: Interval | None
    lacking: tuple[str, ...]
    cpu_hours: float
    unrecorded: int


def recipe_of(run: results.Run) -> results.Recipe | None:
    """Return the recipe that a run followed, from its manifest; None if it followed none."""
    found = run.manifest.get("recipe")
    return results.Recipe.model_validate(found) if found else None


def outcome(run: results.Run, summary: Summary) -> Outcome | None:
    """Return what the best cell of a run of a recipe reached; None without a recipe or a score."""
    recipe = recipe_of(run)
    if recipe is None or not summary.measured:
        return None
    best = summary.measured[0]
    records = [one.record for one in run.trials if one.record.cell == best.key and one.record.status == "ok"]
    sets = [record.dataset for record in records if record.dataset]
    here = {part: min((_count(one, part) for one in sets), default=0) for part in recipe.images}
    judged = {
        part: wanted for part, wanted in recipe.images.items() if {"train", recipe.split} & {*results.splits_of(part)}
    }
    scores: dict[str, Interval | None] = {"test": summary.test.get(best.key), summary.split: best.interval}
    spent = [one.record.clocks.cpu_s for one in run.trials]
    known = [seconds for seconds in spent if seconds is not None]
    return Outcome(
        recipe,
        scores.get(recipe.split),
        scores.get("val"),
        tuple(f"{here[part]} of {wanted} images of {part}" for part, wanted in judged.items() if here[part] < wanted),
        sum(known) / 3600 if known else math.nan,
        len(spent) - len(known),
    )


def _count(dataset: results.Dataset, part: str) -> int:
    return sum(dataset.images.get(name, 0) for name in results.splits_of(part))


def in_a_line(found: Outcome) -> str:
    """Return published and reached mIoU, seeds and CPU-hours in one line.

    If a part of the data set was missing, the line says which part there was, and names no published score.
    """
    recipe, split = found.recipe, found.recipe.split
    hours = _hours(found)
    if found.lacking:
        parts = " and ".join(found.lacking)
        scores = [f"{_score(found.reached)} on that part of {split}"] if found.reached and split == "test" else []
        scores += [f"{_score(found.val)} on val"] if found.val else []
        reached = ", ".join(scores)
        return f"Not beside the published figures, because only {parts} were there: reached {reached}, {hours}."
    if found.reached is None:
        reached = f": reached {_score(found.val)} on val" if found.val else ""
        return f"Not beside the published figures, because {split} was not scored{reached}."
    reached = f"reached {_score(found.reached)}, {hours}"
    if not recipe.published:
        return f"No published figure is known for {recipe.title}: reached {_score(found.reached)} on {split}, {hours}."
    ranked = sorted(recipe.published, key=lambda one: one.miou)
    ends = " to ".join(f"{percent(one.miou)} % ({one.method})" for one in dict.fromkeys((ranked[0], ranked[-1])))
    return f"Published {ends} on {split}, {reached}."


def _hours(found: Outcome) -> str:
    if math.isnan(found.cpu_hours):
        return "CPU-hours not recorded"
    hours = f"{number(found.cpu_hours, 2)} CPU-hours"
    if not found.unrecorded:
        return hours
    return f"at least {hours} (not recorded for {counted(found.unrecorded, 'trial')})"


def _score(interval: Interval) -> str:
    half = plus_minus(interval.high - interval.mean)
    return f"{percent(interval.mean)} % ({counted(interval.n, 'seed')}{f', {half}' if half else ''})"
