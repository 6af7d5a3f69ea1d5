"""Long forms of short ones, by the grammar's own models; and the models and keys along a path.

`expand` walks values and models side by side once per file. What it does not know it
leaves alone, for validation to refuse at its place.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from engine.registry.findings import Path
from engine.registry.grammar import Model, Short


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """What an annotation says, as far as it matters here: short forms, and what is inside."""

    shorts: tuple[Short, ...] = ()
    model: type[Model] | None = None
    values: _Shape | None = None  # of a mapping
    items: _Shape | None = None  # of a list
    is_open: bool = False  # anything may stand here, null among it


_ANYTHING = _Shape(is_open=True)


def expand(model: type[Model], value: Any) -> Any:
    """The long form of a value that should be a model's."""
    return _expand(_Shape(model=model), value)


def find_nulls(model: type[Model], value: Any) -> list[Path]:
    """Paths of keys that say nothing, where only something can be said."""
    found: list[Path] = []
    _find_nulls(_Shape(model=model), value, (), found)
    return found


def model_at(root: type[Model], path: Path) -> type[Model] | None:
    """The model whose keys stand at a path, if one does."""
    shape: _Shape | None = _Shape(model=root)
    for step in path:
        shape = _inside(shape, step) if shape else None
    return shape.model if shape else None


@cache
def keys_of(model: type[Model]) -> tuple[str, ...]:
    """The keys of a model as a file writes them."""
    return tuple(info.alias or name for name, info in model.model_fields.items())


# ---------------------------------------------------------------- private


@cache
def _shapes_of(model: type[Model]) -> dict[str, _Shape]:
    hints = get_type_hints(model, include_extras=True)
    return {info.alias or name: _read(hints[name]) for name, info in model.model_fields.items()}


def _read(hint: Any) -> _Shape:
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *metadata = get_args(hint)
        shape = _read(inner)
        shorts = tuple(one for one in metadata if isinstance(one, Short))
        return replace(shape, shorts=(*shorts, *shape.shorts))
    if origin in (Union, types.UnionType):
        return _read(next(one for one in get_args(hint) if one is not type(None)))
    if origin is dict:
        return _Shape(values=_read(get_args(hint)[1]))
    if origin is list:
        return _Shape(items=_read(get_args(hint)[0]))
    if isinstance(hint, type) and issubclass(hint, Model):
        return _Shape(shorts=(hint.short,) if hint.short else (), model=hint)
    return _ANYTHING if hint is Any else _Shape()


def _inside(shape: _Shape, step: str | int) -> _Shape | None:
    if shape.model is not None:
        return _shapes_of(shape.model).get(step) if isinstance(step, str) else None
    return shape.values or shape.items


def _expand(shape: _Shape, value: Any) -> Any:
    for short in shape.shorts:
        value = short.expand(value)
    if isinstance(value, dict):
        if shape.model is not None:
            shapes = _shapes_of(shape.model)
            return {key: _expand(shapes.get(key, _ANYTHING), one) for key, one in value.items()}
        if shape.values is not None:
            return {key: _expand(shape.values, one) for key, one in value.items()}
    if isinstance(value, list) and shape.items is not None:
        return [_expand(shape.items, one) for one in value]
    return value


def _find_nulls(shape: _Shape, value: Any, path: Path, found: list[Path]) -> None:
    if value is None:
        if not shape.is_open:
            found.append(path)
    elif isinstance(value, dict):
        if shape.model is not None:
            shapes = _shapes_of(shape.model)
            for key, one in value.items():
                _find_nulls(shapes.get(key, _ANYTHING), one, (*path, key), found)
        elif shape.values is not None:
            for key, one in value.items():
                _find_nulls(shape.values, one, (*path, key), found)
    elif isinstance(value, list) and shape.items is not None:
        for index, one in enumerate(value):
            _find_nulls(shape.items, one, (*path, index), found)
