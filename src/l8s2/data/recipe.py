"""A recipe of pairs: what was searched, where, by which rules, and every pair found; a JSON file. Pure."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import types
import typing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from l8s2.data.endpoints import Catalog
from l8s2.data.items import SceneItem
from l8s2.data.pairing import Pair, PairRules
from l8s2.data.query import Query
from l8s2.errors import InputError
from l8s2.whole_folder import whole_file

SCHEMA, SCENE_SCHEMA = "l8s2-pairs/1", "l8s2-scene/1"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Pairs, and all that it takes to find them again."""

    l8s2: str
    """Version that made it."""
    query: Query
    rules: PairRules
    catalogs: tuple[Catalog, ...]
    """The catalogues searched, as they were known then."""
    pairs: tuple[Pair, ...]


def recipe_text(recipe: Recipe) -> str:
    """The recipe as JSON, without the raw items."""
    return text_of(recipe, SCHEMA)


def text_of(value: Any, schema: str) -> str:
    """A dataclass of plain values, tuples, times and such dataclasses as JSON; ``load`` is the inverse."""
    return json.dumps({"schema": schema, **_plain(value)}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises InputError where a file is in the way, or none can be made; the folders above it are."""
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; give --overwrite to replace it, or another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be made ({error.strerror}); give another name") from None
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written; give another name, or change permissions")


def save_recipe(recipe: Recipe, path: Path, *, overwrite: bool = False) -> None:
    """Write a recipe; the file appears when it is whole. Raises InputError where there is one already."""
    check_free(path, overwrite=overwrite)
    write_whole(path, recipe_text(recipe))


def write_whole(path: Path, text: str) -> None:
    """Write a file, which appears when it is whole. Raises InputError."""
    try:
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another name") from None


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; equal to the one saved, except that its items are without ``raw``.

    Raises InputError for anything else, and for a schema of another version.
    """
    recipe: Recipe = load(path, Recipe, SCHEMA, "recipe", "give a recipe saved by l8s2 search --pairs -o")
    return recipe


def item_text(item: SceneItem) -> str:
    """A scene as JSON, in the form that recipes have, without the raw item: the ``scene.json`` beside its files."""
    return text_of(item, SCENE_SCHEMA)


def read_item(path: Path) -> SceneItem:
    """The scene in a file written from ``item_text``. Raises InputError for anything else."""
    item: SceneItem = load(path, SceneItem, SCENE_SCHEMA, "scene.json", "delete the folder and fetch the scene again")
    return item


def load(path: Path, kind: Any, schema: str, what: str, remedy: str) -> Any:
    """The dataclass ``kind`` in a file written from ``text_of``; ``what`` it is and the ``remedy`` are for messages.

    Raises InputError for anything else, and for another schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=_finite, parse_constant=_finite)
        found = content.pop("schema")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {remedy}") from None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise InputError(f"{path}: no {what}; {remedy}") from None
    if found != schema:
        raise InputError(f"{path}: schema {str(found)[:40]!r}, this l8s2 reads {schema}; {remedy}, or update l8s2")
    try:
        return _built(kind, content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: damaged {what} ({error}); {remedy}") from None


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number")
    return value


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and times as JSON has them."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "raw"}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value


def _built(kind: Any, value: Any) -> Any:
    """The inverse, guided by type annotations; TypeError where something does not fit."""
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
