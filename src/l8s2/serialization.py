"""JSON files of strangers read within limits, and frozen dataclasses as JSON files of a named schema."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from datetime import datetime
from pathlib import Path
from typing import Any

from l8s2.errors import InputError

LARGEST = 16 << 20
"""Bytes; an Item of l8s2 has about 15 000, a catalogue with ten thousand links two million."""
_DEEPEST = 50
"""Lists in lists; a footprint has four."""


def text_of(value: Any, schema: str) -> str:
    """Return a dataclass of plain values, tuples, times and such dataclasses as JSON; ``load`` is the inverse."""
    return json.dumps({"schema": schema, **_plain(value)}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def read_json_file(path: Path, what: str, remedy: str, largest: int | None = LARGEST) -> Any:
    """Parse a JSON file; messages name ``what`` it was to be and the ``remedy``.

    Raises InputError for more than ``largest`` bytes, for lists and objects that are too deep, for numbers that are not
    finite, and for what is no JSON.
    """
    try:
        if largest is not None and path.stat().st_size > largest:
            raise InputError(f"{path}: larger than {largest} bytes; {remedy}")
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=_finite, parse_constant=_finite)
        _check_depth(content)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {remedy}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: no {what}; {remedy}") from None
    return content


def load(path: Path, kind: Any, schema: str, what: str, remedy: str) -> Any:
    """Read the dataclass ``kind`` from a file of ``text_of``; messages name ``what`` it is and the ``remedy``.

    Raises InputError for anything else, and for another schema.
    """
    content = read_json_file(path, what, remedy, largest=None)
    if not (isinstance(content, dict) and "schema" in content):
        raise InputError(f"{path}: no {what}; {remedy}")
    found = content.pop("schema")
    if found != schema:
        raise InputError(f"{path}: schema {str(found)[:40]!r}, this l8s2 reads {schema}; {remedy}, or update l8s2")
    try:
        return _built(kind, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ArithmeticError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged {what} ({error}); {remedy}") from None


def _check_depth(content: Any) -> None:
    """Raise ValueError for lists and objects so deep that they could not be written again."""
    inner = [content] if isinstance(content, (list, dict)) else []
    for _ in range(_DEEPEST):
        groups = [value.values() if isinstance(value, dict) else value for value in inner]
        inner = [value for group in groups for value in group if isinstance(value, (list, dict))]
        if not inner:
            return
    raise ValueError("too deep")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number")
    return value


def _plain(value: Any) -> Any:
    """Convert dataclasses, tuples and times to what JSON has."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "raw"}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value


def _built(kind: Any, value: Any) -> Any:
    """Rebuild a value by its type annotation. Raises TypeError where something does not fit."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if isinstance(kind, types.UnionType):
        return None if value is None else _built(next(part for part in parts if part is not types.NoneType), value)
    if hasattr(kind, "__dataclass_fields__"):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _built(hints[name], part) for name, part in value.items()})
    if origin is tuple:
        inner = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_built(part, v) for part, v in zip(inner, value, strict=True))
    if origin is not None:  # a mapping
        return {key: _built(parts[1], v) for key, v in value.items()}
    if kind is datetime:
        return datetime.fromisoformat(value)
    if not isinstance(value, (int, float) if kind is float else kind):
        raise TypeError(f"{str(value)[:40]!r} is no {kind.__name__}")
    return value
