"""A recipe: the data set that it is for, and what others published on it, with their protocol. It is part of a grid."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

Part = Literal["train", "val", "train and val", "test"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedScore(_Part):
    """A mean IoU that others published.

    Attributes:
        method: name of the model.
        miou: 0 to 1.
        source: author, year, arXiv id or address.
        reading: where the figure was read, as words for a reader; empty: in the source itself.
        train: what it was trained on.
        size: of the images that the model sees, height x width in pixels, or of the crops.
        pretraining: what the backbone had seen.
        test_time: what was done beyond one look at each image, such as scales and flips.
    """

    method: str
    miou: Annotated[float, Field(gt=0, lt=1)]
    source: str
    reading: str = ""
    train: str
    size: str
    pretraining: str
    test_time: str = "none"


class Recipe(_Part):
    """The data set that a grid is a recipe for, and the published scores.

    Attributes:
        title: name of the data set.
        classes: number of classes.
        images: number of images per split. `train and val` is that of both together, where the publisher divides no
            further.
        size: (height, width) of every image in pixels; None if they vary.
        split: the split that the published scores are of.
        published: the scores; empty if none is known.
        ours: whether this recipe was run, and in which release its records are.
        note: what else a reader of the scores has to know.
    """

    title: str
    classes: PositiveInt
    images: dict[Part, PositiveInt]
    size: tuple[PositiveInt, PositiveInt] | None = None
    split: Literal["val", "test"]
    published: tuple[PublishedScore, ...] = ()
    ours: str = "not run"
    note: str = ""

    @model_validator(mode="after")
    def _counted(self) -> "Recipe":
        counted = {split for part in self.images for split in splits_of(part)}
        if missing := {"train", "val", self.split} - counted:
            raise ValueError(f"images: no number of images of {', '.join(sorted(missing))}")
        return self


def splits_of(part: str) -> list[str]:
    """Return the splits that a part of `Recipe.images` counts together.

    >>> splits_of("train and val")
    ['train', 'val']
    """
    return part.split(" and ")
