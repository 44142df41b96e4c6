"""Searching catalogues (STAC APIs) for scenes and pairs. One of the few modules that go online; needs pystac-client."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from l8s2._version import __version__
from l8s2.catalogs import http_policy
from l8s2.catalogs.endpoints import LANDSAT_L1, LANDSAT_L2, SENTINEL2, Catalog, Collection, choose, known_catalogs
from l8s2.catalogs.items import SceneItem, from_afar, scene_item
from l8s2.catalogs.pairing import PairRules, find_pairs
from l8s2.catalogs.query import Query
from l8s2.catalogs.recipe import Recipe
from l8s2.catalogs.versions import join_pan, newest
from l8s2.errors import InputError, TryAgainError

PAGE = 100
"""Items asked for at a time; with more, some servers fail on the size of their own answer."""
_KINDS = {"landsat": (LANDSAT_L2,), "sentinel-2": (SENTINEL2,), "both": (LANDSAT_L2, SENTINEL2)}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found: one version of each scene, ordered by time."""

    landsat: tuple[SceneItem, ...] = ()
    sentinel2: tuple[SceneItem, ...] = ()
    pans: dict[str, SceneItem] = field(default_factory=dict)
    """Scene -> Level-1 item with its pan band."""
    pan_searched: bool = True
    """Whether pan was searched for everywhere; if not, scenes that are not in ``pans`` may have a pan band too."""
    replaced: tuple[tuple[SceneItem, SceneItem], ...] = ()
    """Versions that gave way, each with the one that counts."""
    left_out: tuple[str, ...] = ()
    """Items that cannot be used: a line for each, with the reason."""
    warnings: tuple[str, ...] = ()
    catalogs: tuple[Catalog, ...] = ()
    """Catalogues of the search, with their collections."""


def search_scenes(query: Query, known: Mapping[str, Catalog] | None = None) -> Found:
    """Ask catalogues for scenes.

    Args:
        query: what is wanted.
        known: catalogues by name; by default the built-in ones and those of the user's file.

    Raises InputError, one line, where a catalogue cannot be reached, fails, or is none.
    """
    known = known_catalogs() if known is None else known
    apis = [_Api(catalog) for catalog in choose(query.catalogs, known)]
    found: dict[str, list[SceneItem]] = {LANDSAT_L2: [], SENTINEL2: []}
    replaced, left_out, said, pans, pan_searched = [], [], [], {}, query.pan
    for kind in _KINDS[query.sensor]:
        api = next((api for api in apis if api.holds(kind)), None)
        if api is None:
            raise InputError(
                f"{', '.join(query.catalogs)}: holds no {kind}; add a catalogue that does, such as `catalog`"
                f" {next((c.name for c in known.values() if c.of(kind)), 'planetary-computer')}"
            )
        items, out = api.items(kind, query)
        found[kind], gave_way = newest(items)
        found[kind] = found[kind][-(query.limit or len(found[kind])) :]
        replaced += gave_way
        left_out += out
        if kind == LANDSAT_L2 and query.pan and found[kind]:
            try:
                pans = _source_of_pan(api, apis, known).pans(found[kind], query)
            except InputError as error:  # without pan there is still something to work with
                said.append(f"pan was not looked for: {error}")
                pan_searched = False
    return Found(
        landsat=tuple(found[LANDSAT_L2]),
        sentinel2=tuple(found[SENTINEL2]),
        pans=pans,
        pan_searched=pan_searched,
        replaced=tuple(replaced),
        left_out=tuple(left_out),
        warnings=tuple(said),
        catalogs=tuple(api.catalog for api in apis),
    )


def search_pairs(query: Query, rules: PairRules, known: Mapping[str, Catalog] | None = None) -> tuple[Recipe, Found]:
    """Search for scenes of both sensors and pair them; ``query.limit`` keeps the last pairs.

    Raises InputError as ``search`` does.
    """
    query = replace(query, sensor="both")
    found = search_scenes(replace(query, limit=None), known)
    pairs = find_pairs(found.landsat, found.sentinel2, found.pans, rules)
    recipe = Recipe(
        l8s2=__version__,
        query=query,
        rules=rules,
        catalogs=found.catalogs,
        pairs=tuple(pairs[-(query.limit or len(pairs)) :]),
    )
    return recipe, found


def rerun(recipe: Recipe) -> tuple[Recipe, Found]:
    """Search again as a recipe says, in the catalogues as it describes them."""
    return search_pairs(recipe.query, recipe.rules, {catalog.name: catalog for catalog in recipe.catalogs})


def find_pan(item: SceneItem, known: Mapping[str, Catalog]) -> SceneItem | None:
    """Search for the Level-1 item with the pan band of one Landsat scene; None where there is none.

    Raises InputError as ``search`` does.
    """
    from shapely.geometry import mapping, shape  # type: ignore[import-untyped]

    day = item.acquired.date().isoformat()
    point = dict(mapping(shape(item.footprint).representative_point()))
    api = _Api(known[item.catalog])
    return _source_of_pan(api, [api], known).pans([item], Query(datetime=day, intersects=point)).get(item.scene)


def read_address(url: str) -> Any:
    """Read the JSON at an address, such as an item. Raises InputError, one line."""
    with _explained(url):
        return _io().read_json(url)


def catalog_problem(url: str, timeout: float) -> str | None:
    """Say why a catalogue does not answer within ``timeout`` seconds; None where it does."""
    try:
        with _explained(url):
            _io(attempts=1, timeout=timeout).read_json(url)
    except InputError as error:
        return str(error)
    return None


def _source_of_pan(api: _Api, apis: list[_Api], known: Mapping[str, Catalog]) -> _Api:
    """Choose the catalogue to ask for the pan bands of ``api``: itself, or one of ``apis``, which it is put into."""
    source = next((each for each in (api, *apis) if each.holds(LANDSAT_L1)), None)
    if source is None and (other := known.get(api.catalog.pan_from or "")):
        source = _Api(other)
        apis.append(source)
    if source is None:
        raise InputError(f"{api.catalog.name}: holds no {LANDSAT_L1}; add a catalogue that does")
    return source


class _Api:
    """A catalogue that is asked; opened when first needed."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._client: Any = None

    def holds(self, kind: str) -> bool:
        """Whether it has collections of that kind. One known by its address alone is asked which it has."""
        if not self.catalog.collections:
            kinds = {c.id: c.kind for other in known_catalogs().values() for c in other.collections}
            with _explained(self.catalog.url):
                ids = [collection.id for collection in self._open().get_collections()]
            if not kinds.keys() & set(ids):
                raise InputError(
                    f"{self.catalog.url}: holds none of {', '.join(kinds)}; list the catalogue in a file,"
                    " docs/search.md shows how"
                )
            rows = tuple(Collection(id=name, kind=kinds[name]) for name in kinds if name in ids)
            self.catalog = replace(self.catalog, collections=rows)
        return bool(self.catalog.of(kind))

    def items(self, kind: str, query: Query) -> tuple[list[SceneItem], list[str]]:
        """Return the scenes of one kind, all versions, and a line for each item that cannot be used."""
        found: dict[tuple[str, str], SceneItem] = {}
        left_out: list[str] = []
        rows = {row.id: row for row in self.catalog.of(kind)}
        for area in query.areas():
            scenes = set()
            for raw in self._raw(list(rows), area, query):
                try:
                    item = from_afar(scene_item(raw, self.catalog.name, rows[raw["collection"]]))
                except InputError as error:
                    left_out.append(str(error))
                    continue
                if query.max_cloud is not None and (item.cloud_cover is None or item.cloud_cover > query.max_cloud):
                    continue
                scenes.add((item.scene, item.datastrip))
                if query.limit and len(scenes) > query.limit:  # one more, for all versions of the last one to be there
                    break
                found[item.collection, item.id] = item
        return list(found.values()), left_out

    def pans(self, level2: list[SceneItem], query: Query) -> dict[str, SceneItem]:
        """Scene -> Level-1 item."""
        days = sorted(item.acquired.date().isoformat() for item in level2)
        narrowed = replace(query, datetime=f"{days[0]}/{days[-1]}", max_cloud=None, limit=None)
        return join_pan(level2, self.items(LANDSAT_L1, narrowed)[0])

    def _raw(self, collections: list[str], area: dict[str, Any], query: Query) -> Iterator[dict[str, Any]]:
        """Items as the server sends them, page by page, each once."""
        with _explained(self.catalog.url):
            client = self._open()
            wanted: dict[str, Any] = {"collections": collections, "datetime": query.datetime, "limit": PAGE, **area}
            if query.max_cloud is not None and client.conforms_to("QUERY"):
                wanted["query"] = {"eo:cloud_cover": {"lte": query.max_cloud}}
            seen: set[tuple[str, str]] = set()
            for page in client.search(**wanted).pages_as_dicts():
                fresh = {
                    (raw["collection"], raw["id"]): raw for raw in page["features"] if raw["collection"] in collections
                }
                if fresh and not fresh.keys() - seen:
                    raise InputError(f"{self.catalog.url}: sends the same page again and again; give another catalogue")
                yield from (raw for key, raw in fresh.items() if key not in seen)
                seen |= fresh.keys()

    def _open(self) -> Any:
        if self._client is None:
            io = _io()
            import pystac_client

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._client = pystac_client.Client.open(self.catalog.url, stac_io=io)
        return self._client


def _io(attempts: int = http_policy.ATTEMPTS, timeout: Any = http_policy.TIMEOUT) -> Any:
    """Make pystac-client's connection to a server, which asks again where it fails."""
    try:
        from pystac_client import stac_api_io
        from urllib3.util.retry import Retry
    except ImportError:
        raise InputError("searching needs pystac-client; install it with: pip install 'l8s2[stac]'") from None

    class CappedRetry(Retry):
        def get_retry_after(self, response: Any) -> float | None:
            seconds = super().get_retry_after(response)
            return None if seconds is None else min(seconds, http_policy.LONGEST_WAIT)

    again = attempts - 1
    policy = CappedRetry(
        total=again, connect=min(again, 1), read=min(again, 1), status=again, backoff_factor=http_policy.BACKOFF,
        backoff_max=http_policy.LONGEST_WAIT, allowed_methods=None, status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
    )  # fmt: skip
    return stac_api_io.StacApiIO(headers={"User-Agent": http_policy.USER_AGENT}, max_retries=policy, timeout=timeout)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn whatever goes wrong with a server into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a server may send anything, and its client fail on it anywhere
        kind = TryAgainError if _may_pass(error) else InputError
        raise kind(f"{url}: {_reason(error)}") from None


def _may_pass(error: Exception) -> bool:
    """Tell whether a server could not be reached, or was busy."""
    from pystac_client.exceptions import APIError

    status = getattr(error, "status_code", None)
    return isinstance(error, APIError) and (status is None or status == 429 or status >= 500)


def _reason(error: Exception) -> str:
    from pystac_client.exceptions import APIError

    if not isinstance(error, APIError):
        return (
            f"answers, but not as a STAC API that can be searched ({type(error).__name__}); check the address,"
            " and that no login page of your network is in between"
        )
    status = getattr(error, "status_code", None)
    if status is None:
        return f"cannot be reached ({http_policy.explain(error)}); check the network and the address"
    if status in (401, 403):
        return f"wants a login that l8s2 does not have ({status}); give another catalogue"
    if status == 404:
        return "not there (404); check the address, or search again"
    if status == 429 or status >= 500:
        return (
            f"still fails after {http_policy.ATTEMPTS} attempts ({status}); try again later, or give another catalogue"
        )
    said = " ".join(str(error).split())
    return f"refuses the search ({status}{'' if said.startswith('<') else ': ' + said[:200]}); check place and time"
