"""Whether the data of a recipe are the set that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import UsageError
from results import Recipe, counted, splits_of

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.spec import DataSpec

OWN = "for data of your own add --set data.dataset=folder, which leaves the published figures out"


def check(recipe: Recipe, spec: DataSpec, dataset: Dataset) -> None:
    """Refuse data that are not the set of a recipe, by their classes, number of images and size.

    Fewer images of the test split are accepted: some of it may be set aside. Limits of the spec are the user's choice.

    Raises:
        UsageError: names the folder, the difference and what to do; or the split that is scored is trained on.
    """
    if recipe.split in spec.trained:
        raise UsageError(
            f"data.train_on trainval trains on val, on which {recipe.title} is scored; set data.train_on to train"
        )
    if fault := _fault(recipe, spec, dataset):
        raise UsageError(f"{spec.root or dataset.name}: {fault}, so this is not {recipe.title}; {OWN}")


def _fault(recipe: Recipe, spec: DataSpec, dataset: Dataset) -> str:
    """Return how a data set differs from that of a recipe; empty if it does not."""
    if len(dataset.class_names) != recipe.classes:
        return f"{counted(len(dataset.class_names), 'class', 'classes')}, not {recipe.classes}"
    limits = {"train": spec.train_limit, "val": spec.val_limit, "test": spec.test_limit}
    for part, wanted in recipe.images.items():
        splits = splits_of(part)
        here = sum(len(dataset.splits[name]) for name in splits if name in dataset.splits)
        whole = part != "test" and not any(limits[name] for name in splits)
        if here > wanted or (whole and here < wanted):
            return f"{counted(here, 'image')} of {part}, not {wanted}"
    for name, split in dataset.splits.items() if recipe.size else ():
        (height, width), wanted_size = split.read(0)[1].shape, recipe.size
        if (height, width) != wanted_size:
            return f"images of {name} of {height}x{width} pixels, not {'x'.join(map(str, wanted_size or ()))}"
    return ""
