"""A recipe of pairs: what was searched, where, by which rules, and every pair found; a JSON file. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from l8s2.catalogs.endpoints import Catalog
from l8s2.catalogs.pairing import Pair, PairRules
from l8s2.catalogs.query import Query
from l8s2.files import check_free, write_whole
from l8s2.serialization import load, text_of

SCHEMA = "l8s2-pairs/1"


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
    """Return the recipe as JSON, without the raw items."""
    return text_of(recipe, SCHEMA)


def save_recipe(recipe: Recipe, path: Path, *, overwrite: bool = False) -> None:
    """Write a recipe; the file appears when it is whole. Raises InputError where there is one already."""
    check_free(path, overwrite=overwrite)
    write_whole(path, recipe_text(recipe))


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; equal to the one saved, except that its items are without ``raw``.

    Raises InputError for anything else, and for a schema of another version.
    """
    recipe: Recipe = load(path, Recipe, SCHEMA, "recipe", "give a recipe of pairs saved by l8s2 search")
    return recipe
