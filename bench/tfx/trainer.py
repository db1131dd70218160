"""`run_fn` for TFX's own Trainer, named by its path: Trainer(run_fn="bench.tfx.trainer.run_fn", ...).

A path and not a `module_file`, because Trainer packs every file beside such a module, so that an edit of a neighbour
trains again. Nothing here imports TFX.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core import UsageError, nearest
from bench.tfx import processes
from bench.tfx.trials import hand_over

KEYS = ("settings", "preset", "python")
"""Keys of `custom_config`: a list of FIELD=VALUE, the name of a preset, the interpreter of the project."""


def run_fn(fn_args: Any) -> None:
    """Train one trial on the examples of a Trainer, and write its model for Evaluator, Pusher and a model server.

    Args:
        fn_args: those of TFX: `train_files`, `eval_files`, `train_steps`, `custom_config` (see `KEYS`),
            `model_run_dir`, where the trial's folder is made, and `serving_model_dir`. `eval_steps` is ignored: the
            whole validation split is scored.

    Raises:
        UsageError: a key is unknown, the examples are not those of one artifact, or the trial did not end well.
    """
    config = _config(fn_args.custom_config)
    python = processes.interpreter(config.get("python", ""))
    folder = Path(fn_args.model_run_dir) / "trial"
    folder.parent.mkdir(parents=True, exist_ok=True)
    status = processes.run(python, "bench.trial", arguments(fn_args, folder)).status
    if status:
        raise UsageError(f"{folder}: the trial ended with status {status}, its reason is above")
    # A Trainer names the folder `Format-Serving` in that of the artifact, which `bench.export` makes.
    hand_over(python, folder, Path(fn_args.serving_model_dir).parent, folder.with_name("benchmark.json"))


def arguments(fn_args: Any, folder: Path) -> list[str]:
    """Return the arguments of `bench.trial`: later settings win, so those of `custom_config` come last.

    Args:
        fn_args: as for `run_fn`.
        folder: of the trial.

    Raises:
        UsageError: a key is unknown, or the examples are not those of one artifact.
    """
    config = _config(fn_args.custom_config)
    settings = ["data.dataset=tfrecord", f"data.root={_root(fn_args)}"]
    if fn_args.train_steps:
        settings += ["train.epochs=1", f"train.steps_per_epoch={fn_args.train_steps}"]
    settings += config.get("settings", [])
    return [
        "--preset", config.get("preset", "smoke"), "--out", str(folder),
        *(word for setting in settings for word in ("--set", setting)),
    ]  # fmt: skip


def _config(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    for key in given or {}:
        if key not in KEYS:
            raise UsageError(f"custom_config: no key {key!r}{nearest(key, KEYS)}")
    return given or {}


def _root(fn_args: Any) -> Path:
    """Return the folder of the Examples artifact from the patterns of its files, `ROOT/Split-NAME/*`.

    Raises:
        UsageError: there are several, or none.
    """
    roots = {Path(pattern).parent.parent for pattern in (*fn_args.train_files, *fn_args.eval_files)}
    if len(roots) != 1:
        found = ", ".join(sorted(map(str, roots))) or "none"
        raise UsageError(f"Trainer: the examples to train and to validate have to lie in one artifact; found {found}")
    return roots.pop()
