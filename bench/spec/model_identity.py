"""What the structure of a model, and with it its cost, depends on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import models
from bench.core import hash_of, own_code, package_versions


def structure(model: models.ModelSpec) -> str:
    """Return 24 hexadecimal digits, a hash of all that the layers of a model depend on, without its weights.

    These are its fields, the row of its backbone, the code that builds it, code of the user's own too, and the versions
    of packages.
    """
    fields = model.model_dump(mode="json", exclude={"weights"})
    row = dataclasses.asdict(dataclasses.replace(models.row_of(model.backbone), arguments={}))
    arguments = dict(models.row_of(model.backbone).arguments)
    own = [own_code.source(name).digest for name in own_names(model)]
    text = json.dumps([fields, row, arguments, package_versions(), _source(), own], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def own_names(model: models.ModelSpec) -> list[str]:
    """Return the names in a model that mean code of the user's own."""
    return [name for name in (model.backbone, model.head) if own_code.is_own(name)]


@functools.cache
def _source() -> str:
    """Return a hash of the code that builds models and counts their cost."""
    return hash_of(Path(models.__file__).parent.rglob("*.py"))
