"""The folder of a run as every reader finds it: a record per trial, and the manifest."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import results

DATASET = {"name": "d", "version": "v1", "class_names": ["a", "b"], "colors": [(0, 0, 0), (9, 9, 9)]}


def write_folder(folder: Path, records: Iterable[results.Record], planned: list[dict[str, Any]], **manifest) -> Path:
    """Write records and the manifest that plans these cells; `manifest` holds further entries of it."""
    for record in records:
        results.write(folder / "trials" / record.trial, record)
    (folder / "run.json").write_text(json.dumps({"grid": "g", "command": "c", **manifest, "cells": planned}))
    return folder
