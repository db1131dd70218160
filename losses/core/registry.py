"""Registry of the losses by name. Names and parameters are read from the source: listing them imports no TensorFlow.

A loss is a class with `@register("name")` anywhere in this package. Its parameters are its annotated class attributes
with literal defaults, and those of its bases.
"""

import ast
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench.core.suggestions import nearest

T = TypeVar("T", bound=type)
_HOME = Path(__file__).resolve().parents[1]


def register(name: str) -> Callable[[T], T]:
    """Register a loss as `name` (class decorator). The name must be a literal, because it is read from the source."""

    def mark(cls: T) -> T:
        cls.loss_name = name  # type: ignore[attr-defined]
        return cls

    return mark


def names() -> tuple[str, ...]:
    """Return the names of all losses, sorted."""
    return tuple(sorted(_registered()))


def names_alone() -> tuple[str, ...]:
    """Return the names of the losses that can train a model alone, sorted."""
    return tuple(name for name in names() if _literal(_entry(name).cls, "trains_alone"))


def parameters(name: str) -> dict[str, Any]:
    """Return the parameters of a loss with their defaults. For `package.module:Class` that module is imported.

    Raises:
        ValueError: unknown name (the message has the nearest right one).

    >>> parameters("tversky")["alpha"], parameters("tversky")["beta"]
    (0.3, 0.7)
    """
    if ":" in name:
        return import_module("losses.own").parameters(name)
    return dict(_parameters(_entry(name).cls))


def described(name: str) -> dict[str, str]:
    """Return what the docstring of a loss says: "formula", its first paragraph, and "use", when to take it.

    Raises:
        ValueError: unknown name (the message has the nearest right one).

    >>> described("dice")["use"]
    'when overlap is what counts and classes are of unequal size; slow and noisy at the start of a training.'
    """
    text = ast.get_docstring(_classes()[_entry(name).cls][1]) or ""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    use = next((part.removeprefix("Use: ") for part in paragraphs if part.startswith("Use: ")), "")
    return {"formula": paragraphs[0], "use": use}


def get(name: str, **params: Any) -> Any:
    """Build the loss `name`, or that of a `package.module:Class`; parameters left out keep their defaults.

    >>> loss = get("dice", average="image") + 0.5 * get("cross_entropy")
    >>> labels, logits = [[[0, 1, 255]]], [[[[20.0, 0.0], [0.0, 20.0], [0.0, 0.0]]]]  # (B, H, W) and (B, H, W, C)
    >>> round(float(loss(labels, logits)), 6)
    0.0
    >>> get("focal", gama=1.0)
    Traceback (most recent call last):
    ValueError: loss 'focal' has no parameter 'gama'; did you mean 'gamma'?

    Raises:
        ValueError: unknown name or parameter (the message has the nearest right one), or a value out of its range.
    """
    if ":" in name:
        return import_module("losses.own").build(name, **params)
    entry = _entry(name)
    for param in params:
        if param not in (known := parameters(name)):
            raise ValueError(f"loss {name!r} has no parameter {param!r}{nearest(param, known)}")
    return getattr(import_module(f"losses.{entry.module}"), entry.cls)(**params)


class _Entry(NamedTuple):
    module: str
    cls: str


def _entry(name: str) -> _Entry:
    try:
        return _registered()[name]
    except KeyError:
        raise ValueError(f"unknown loss {name!r}{nearest(name, names())}") from None


@cache
def _classes() -> dict[str, tuple[str, ast.ClassDef]]:
    """Return {name: (module, syntax tree)} of every class of the package."""
    found: dict[str, tuple[str, ast.ClassDef]] = {}
    for path in sorted(_HOME.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                if node.name in found:
                    raise RuntimeError(f"class {node.name} is defined in both losses.{found[node.name][0]} and {path}")
                found[node.name] = (".".join(path.relative_to(_HOME).with_suffix("").parts), node)
    return found


@cache
def _registered() -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    for cls, (module, node) in _classes().items():
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "register":
                name = ast.literal_eval(mark.args[0])
                if name in found:
                    raise RuntimeError(f"loss {name!r} is registered by both {found[name].cls} and {cls}")
                found[name] = _Entry(module, cls)
    return found


def _literal(cls: str, attribute: str) -> Any:
    """Return the value of a class attribute that is a literal, from the class or, left to right, from its bases."""
    _, node = _classes()[cls]
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id == attribute:
            return ast.literal_eval(item.value) if item.value else None
    bases = (base.id for base in node.bases if isinstance(base, ast.Name) and base.id in _classes())
    return next((value for base in bases if (value := _literal(base, attribute)) is not None), None)


def _parameters(cls: str) -> dict[str, Any]:
    """Return the annotated attributes that have defaults: those of the bases in this package, then the class's own."""
    if cls not in _classes():
        return {}
    _, node = _classes()[cls]
    params: dict[str, Any] = {}
    for base in reversed(node.bases):
        if isinstance(base, ast.Name):
            params |= _parameters(base.id)
    for item in node.body:
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.value is not None):
            continue
        if not ast.unparse(item.annotation).startswith("ClassVar"):
            params[item.target.id] = ast.literal_eval(item.value)
    return params
