"""`python -m bench.data sheet | check | split | convert | prepare | download`: look at data sets and convert them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bench.core import EXIT_OK, EXIT_USAGE, UsageError, cli, command, nearest, prepare_process
from bench.data.registry import load
from bench.spec import DataSpec, parse
from results import counted

if TYPE_CHECKING:
    from bench.data.check import Findings
    from bench.data.dataset import Dataset

_MOST_TILES = 50  # of a sheet, in a row and in a column: the pixels that a picture may have
_EMPTY_ROWS = 10  # rows of classes without a pixel; a table of more is not read
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=cli.HELP)
console = cli.console()

Name = Annotated[str, typer.Option(help="A data set by name: `python -m bench.list datasets`.")]
Masks = Annotated[str, typer.Option(help="Mask folder of the folder layout.")]
MaskValues = Annotated[str, typer.Option(help="Meaning of the values in masks: auto, ids, binary or colors.")]
Root = Annotated[str | None, typer.Argument(help="Folder of the data set.", show_default=False)]
DataRoot = Annotated[str | None, typer.Option(help="Folder of the data set; another way to name ROOT.")]
AnyName = Annotated[str | None, typer.Option(help="A data set by name; default: folder with a ROOT, else scenes.")]


@app.callback()
def _group() -> None:
    """Check, show, convert and download data sets."""


@app.command()
@command
def sheet(
    places: Annotated[list[Path], typer.Argument(metavar="[ROOT] OUT", help="Folder of the data set; PNG to write.")],
    dataset: AnyName = None,
    data_root: DataRoot = None,
    masks: Masks = "masks",
    mask_values: MaskValues = "auto",
    split: str = "train",
    augment: Annotated[
        str | None, typer.Option(help="An augmentation policy; each row shows an image and samples made from it.")
    ] = None,
    columns: Annotated[int, typer.Option(min=1, max=_MOST_TILES)] = 6,
    rows: Annotated[int, typer.Option(min=1, max=_MOST_TILES)] = 3,
) -> int:
    """Draw examples from all over a split with their labels and a legend."""
    from bench.data.sheet import variations

    root, out = _root_and_out(places, data_root)
    _drawable(out)
    more = {"augment": augment} if augment else {}
    spec = _spec(_named(dataset, root), root, masks, mask_values=mask_values, **more)
    found = _opened(spec)
    if split not in found.splits:
        raise UsageError(f"data set {found.name!r} has no split {split!r}{nearest(split, found.splits)}")
    _draw(variations(found, split, spec, columns, rows) if augment else found, split, columns, rows, out)
    for note in found.notes:
        print(note)
    print(out)
    return EXIT_OK


@app.command()
@command
def check(
    root: Root = None,
    dataset: AnyName = None,
    data_root: DataRoot = None,
    masks: Masks = "masks",
    mask_values: MaskValues = "auto",
    out: Annotated[Path | None, typer.Option(help="PNG to write: a sheet of images with their labels.")] = None,
) -> int:
    """Read a whole data set: all faults, class frequencies, and images that are in two splits.

    Exit status: 0 no fault, 2 faults that a run would stop at.
    """
    from bench.data.check import look

    root = _root(root, data_root)
    if out is not None:
        _drawable(out)
    found = _opened(_spec(_named(dataset, root), root, masks, mask_values=mask_values, on_error="skip"))
    with _progress() as progress:
        task = progress.add_task("Reading", total=sum(len(split) for split in found.splits.values()))
        findings = look(found, lambda: progress.advance(task))
    _tell(found, findings)
    if out is not None:
        _draw(found, "train", 6, 3, out)
        print(out)
    return EXIT_USAGE if found.faults else EXIT_OK


@app.command()
@command
def split(
    root: Annotated[str | None, typer.Argument(help="Folder with images/ and masks, without split files.")] = None,
    val: Annotated[float, typer.Option(min=0.01, max=0.98, help="Share of the images that validates.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=0.98, help="Share of the images that tests.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    group_by: Annotated[
        str, typer.Option(help="Regular expression: images whose keys match it alike stay together, e.g. '[^_]+'.")
    ] = "",
    data_root: DataRoot = None,
    masks: Masks = "masks",
) -> int:
    """Divide a folder into train.txt, val.txt and, if asked, test.txt."""
    from bench.data.division import divide, pairs_of, write

    if val + test >= 1:
        raise UsageError(f"--val {val:g} and --test {test:g} leave nothing to train")
    folder, keys = pairs_of(_needed(_root(root, data_root)), masks)
    shares = {"train": 1 - val - test, "val": val, **({"test": test} if test else {})}
    found = divide(keys, shares, seed, group_by)
    write(folder, found)
    print(f"{folder}: {', '.join(f'{name}.txt with {len(chosen)}' for name, chosen in found.items())} of {len(keys)}")
    return EXIT_OK


@app.command()
@command
def prepare(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="[ROOT] OUT",
            help="Folder of the data set; folder for the shards: new, empty, or of an interrupted call.",
        ),
    ],
    dataset: Name = "folder",
    data_root: DataRoot = None,
    masks: Masks = "masks",
    mask_values: MaskValues = "auto",
    per_shard: Annotated[int, typer.Option(min=1, help="Examples per shard.")] = 1000,
) -> int:
    """Write a set as sharded TFRecords with a schema, for --dataset tfrecord. Shards that exist already are kept."""
    from bench.data.sources.tfrecords import write

    root, out = _root_and_out(places, data_root)
    found = _opened(_spec(dataset, root, masks, mask_values=mask_values))
    for note in found.notes:
        print(note)
    with _progress() as progress:
        task = progress.add_task("Writing", total=sum(len(split) for split in found.splits.values()))
        for count in write(found, out, per_shard):
            progress.advance(task, count)
    print(f"{out}: use it with --dataset tfrecord --data-root {out}")
    return EXIT_OK


@app.command()
@command
def convert(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="ROOT OUT",
            help="Folder of the data set: an export as it is, or any other layout; folder to write, new or empty.",
        ),
    ],
    dataset: Name = "folder",
    data_root: DataRoot = None,
    val: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of images for validation, if the set has no splits.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of that choice.")] = 0,
    masks: Masks = "masks",
    mask_values: MaskValues = "auto",
) -> int:
    """Write a set in the folder layout: images/, masks/ of class ids, classes.yaml, train.txt, val.txt."""
    from bench.data.folder_writer import convert as write
    from bench.data.sources import folder

    root, out = _root_and_out(places, data_root)
    spec = _spec(dataset, _needed(root), masks, mask_values=mask_values)
    found = folder.load(spec, (val, seed)) if dataset == "folder" else _opened(spec)
    for note in found.notes:
        print(note)
    with _progress() as progress:
        task = progress.add_task("Writing", total=sum(len(split) for split in found.splits.values()))
        for _ in write(found, out):
            progress.advance(task)
    print(f"{out}: use it with --dataset folder --data-root {out}")
    return EXIT_OK


@app.command()
@command
def download(
    dataset: Annotated[str, typer.Argument(help="A data set by name.")],
    data_root: Annotated[Path, typer.Option(help="Folder to write it to.")] = Path("~/tensorflow_datasets"),
) -> int:
    """Download a set through tensorflow-datasets, if that has it with masks. You are responsible for its licence."""
    from bench.data.sources.catalog import entries
    from bench.data.sources.public import how_to_get

    if dataset not in entries():
        raise UsageError(f"unknown dataset {dataset!r}{nearest(dataset, entries())}")
    entry = entries()[dataset]
    if entry.download is None:
        raise UsageError(f"{dataset}: no command downloads it; {how_to_get(entry)}")
    print(f"{entry.title}; licence: {entry.licence}", flush=True)
    _fetch(entry.download, data_root.expanduser(), how_to_get(entry, by_hand=True))
    print(f"use it with --dataset {dataset} --data-root {data_root}")
    return EXIT_OK


def _fetch(builder: str, folder: Path, manual: str) -> None:
    import importlib.resources.abc
    import os
    import sys

    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # tensorflow-datasets 4.9.10 imports this backport, which it asks for below Python 3.9 only.
    sys.modules.setdefault("importlib_resources", importlib.resources)
    import requests
    import tensorflow_datasets as tfds

    try:
        found = tfds.builder(builder, data_dir=folder)
        for url in found.url_infos or ():  # first, because tfds retries an unreachable host for minutes
            requests.head(url, timeout=30, allow_redirects=True).raise_for_status()
        found.download_and_prepare()
    except Exception as error:  # of requests, urllib3, tfds or the file system
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"{builder} could not be downloaded ({reason[0][:200]}); {manual}") from None


def _named(dataset: str | None, root: str | None) -> str:
    return dataset or ("folder" if root else "scenes")


def _root(root: str | None, data_root: str | None) -> str | None:
    """Return the folder of the data set, which is named by the argument or by the option.

    Raises:
        UsageError: both are given.
    """
    if root and data_root:
        raise UsageError(f"{root} and --data-root {data_root}: name the folder of the data set once")
    return root or data_root


def _needed(root: str | None) -> str:
    if root is None:
        raise UsageError("name the folder of the data set: ROOT, or --data-root ROOT")
    return root


def _root_and_out(places: Sequence[Path], data_root: str | None) -> tuple[str | None, Path]:
    """Return the folder of the data set, if it is named, and the place to write, which is the last argument.

    Raises:
        UsageError: there are more arguments, or the folder is named twice.
    """
    *roots, out = places
    if len(roots) > 1:
        raise UsageError(f"{' '.join(map(str, places))}: expected ROOT OUT, or OUT and --data-root ROOT")
    return _root(str(roots[0]) if roots else None, data_root), out


def _spec(dataset: str, root: str | None, masks: str, **more: Any) -> DataSpec:
    return parse({"data": {"dataset": dataset, "root": root, "masks": masks, "crop": 160} | more}, "bench.data").data


def _opened(spec: DataSpec) -> Dataset:
    """Open a data set. TensorFlow, which reads shards, does not report the libraries of GPUs that are not there."""
    prepare_process()
    return load(spec)


def _drawable(out: Path) -> None:
    """Refuse a place for a sheet at once: a whole data set is read before it is drawn.

    Raises:
        UsageError: it is no PNG in a folder that exists.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: the sheet is a PNG; end its name in .png")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: cannot be written (no folder {out.parent}); make it first")
    if out.is_dir():
        raise UsageError(f"{out}: cannot be written (a folder of this name is there); name a file")


def _draw(found: Dataset, split: str, columns: int, rows: int, out: Path) -> None:
    from bench.data.sheet import sheet as draw

    try:
        draw(found, split, columns, rows).save(out, optimize=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror or error})") from None


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=(shown := cli.console(stderr=True)),
        transient=True,
        disable=not shown.is_terminal,
    )


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _tell(found: Dataset, findings: Findings) -> None:
    sizes = (
        f"{name} {len(found.splits[name])} ({_size(low)}{'' if low == high else f' to {_size(high)}'})"
        for name, (low, high) in findings.sizes.items()
    )
    console.print(f"{found.name}, version {found.version}: {', '.join(sizes)}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("\nid", justify="right", no_wrap=True)
    table.add_column("\nclass", no_wrap=True)
    for name in findings.pixels:
        table.add_column(f"{name}\npixels", justify="right", no_wrap=True)
        table.add_column("\nimages", justify="right", no_wrap=True)
    empty = np.all([pixels == 0 for pixels in findings.images.values()], axis=0)
    empty[-1] = False
    for index, name in enumerate((*found.class_names, "void")):
        if empty[index] and empty.sum() > _EMPTY_ROWS:
            continue
        row = [str(index) if index < len(found.class_names) else str(found.ignore_index), name]
        for split, pixels in findings.pixels.items():
            # A class is a share of the labelled pixels; void is a share of all pixels.
            of = pixels.sum() if name == "void" and index == len(found.class_names) else pixels[:-1].sum()
            row += [f"{100 * pixels[index] / max(1, of):.2f} %", str(findings.images[split][index])]
        table.add_row(*row)
    console.print(table)
    if empty.sum() > _EMPTY_ROWS:
        console.print(f"not shown: {counted(empty.sum(), 'class', 'classes')} without a pixel")
    for note in found.notes:
        if not (found.faults and note.endswith(found.faults[0])):  # all faults follow
            console.print(note, soft_wrap=True)
    for twin in findings.twins:
        how = "the same image" if twin.exact else f"similar ({twin.bits} of 256 bits differ)"
        console.print(f"{twin.one} and {twin.other}: {how}", soft_wrap=True)
    for fault in found.faults:
        console.print(Text.assemble(("fault", "red"), f" {fault}"), soft_wrap=True)
    faults = counted(len(found.faults), "fault")
    twins = counted(len(findings.twins), "pair of duplicates", "pairs of duplicates")
    console.print(f"{faults}, {twins} across splits")


if __name__ == "__main__":
    cli.start(app)
