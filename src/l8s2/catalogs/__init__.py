"""STAC catalogues searched for scenes and for pairs of scenes; recipes that keep what was found."""

from l8s2.catalogs.endpoints import Catalog, Collection, known_catalogs
from l8s2.catalogs.items import SceneItem, read_item, scene_item
from l8s2.catalogs.pairing import Pair, PairRules, find_pairs
from l8s2.catalogs.query import Query
from l8s2.catalogs.recipe import Recipe, load_recipe, save_recipe
from l8s2.catalogs.search import search_pairs, search_scenes

__all__ = [
    "Catalog",
    "Collection",
    "Pair",
    "PairRules",
    "Query",
    "Recipe",
    "SceneItem",
    "find_pairs",
    "known_catalogs",
    "load_recipe",
    "read_item",
    "save_recipe",
    "scene_item",
    "search_pairs",
    "search_scenes",
]
