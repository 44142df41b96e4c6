"""Damaged texts: metadata, items, recipes, catalogues, configurations, fields, tables."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from pydantic import BaseModel

from damage.case import Case, Kind, digest, some
from damage.content import VALUES, accidents, cuts, of_json, of_lines, writes, wrong_values
from l8s2.acquire.fetch_request import parse_request
from l8s2.catalogs.endpoints import known_catalogs
from l8s2.catalogs.items import item_text, read_item
from l8s2.catalogs.query import read_area
from l8s2.catalogs.recipe import load_recipe, recipe_text, save_recipe
from l8s2.cube.fields import read_fields
from l8s2.landsat.mtl import parse_mtl
from l8s2.studies.generalisation import study_generalisation
from l8s2.training.archive_split import read_split
from l8s2.training.config import read_config
from making.items import landsat, sentinel2
from making.patches import box_at
from making.products import pair_of, recipe_of, sentinel2_item
from making.scenes import make, part

CONFIGS = Path(__file__).parents[2] / "configs"


def _mtl(form: str) -> Kind:
    name = f"MTL.{form}"

    def made(folder: Path) -> None:
        (folder / name).write_bytes(part(make(folder / "in", mtl=form), "MTL").read_bytes())

    def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
        content = (sound / name).read_bytes()
        lines = content.splitlines(keepends=True)
        at = 0
        for line in lines:
            yield from cuts(
                name, content, [at, at + len(line) // 2] if at < len(content.rstrip()) - 4 else [], "cut in a line"
            )
            at += len(line)
        yield from some(of_lines(name, content, rng), 120, rng)
        if form == "json":
            yield from some(wrong_values(name, json.loads(content), 2, rng), 120, rng)
        mark = b"=" if form == "txt" else b":" if form == "json" else b">"
        for number, line in enumerate(lines):
            key, found, rest = line.partition(mark)
            if found and rest.strip():
                for value in rng.sample(VALUES, 2):
                    value = b'"' + value + b'",' if form == "json" else value
                    if form == "xml":
                        value += b"<" + rest.partition(b"<")[2].rstrip()
                    changed = b"".join([*lines[:number], key + found + b" " + value + b"\n", *lines[number + 1 :]])
                    yield Case(f"{name}: line {number} = {value[:30]!r}", writes(name, changed))
        deep = {"txt": b"GROUP = X\n" * 200_000, "json": b'{"x":' * 900 + b"1" + b"}" * 900, "xml": b"<x>" * 100_000}[
            form
        ]
        yield Case(f"{name}: deep", writes(name, deep))
        yield Case(f"{name}: deep and closed", writes(name, b"<x>" * 100_000 + b"</x>" * 100_000))
        yield Case(f"{name}: 6 MB", writes(name, content + b" " * (6 << 20)))

    def read(folder: Path) -> bytes:
        content = (folder / name).read_bytes() if (folder / name).is_file() else b""
        return digest(parse_mtl(content, name))

    return Kind(name=f"mtl-{form}", make=made, cases=cases, read=read)


def _json_kind(
    name: str,
    file: str,
    make: Callable[[Path], object],
    read: Callable[[Path], object],
    each: int = 3,
    most: int = 400,
    command: Callable[[Path], list[str]] | None = None,
) -> Kind:
    def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
        yield from some(of_json(file, sound, each, rng), most, rng)

    return Kind(name=name, make=make, cases=cases, read=lambda folder: digest(read(folder / file)), command=command)


def _items(folder: Path) -> None:
    features = [landsat(), sentinel2()]
    for feature, name in zip(features, ("usgs", "earth-search"), strict=True):
        feature["properties"]["l8s2:catalog"] = name
    content = {"type": "FeatureCollection", "features": features}
    (folder / "items.json").write_text(json.dumps(content), encoding="utf-8")


def _read_items(path: Path) -> object:
    request = parse_request(str(path), known_catalogs())
    return [item_text(item) for item in request.items()]


def _recipe(folder: Path) -> None:
    boxes = [box_at(187_001, 11_001), box_at(187_101, 11_101)]
    save_recipe(recipe_of([pair_of(box) for box in boxes], boxes), folder / "recipe.json")


def _fields(folder: Path) -> None:
    from l8s2.grid import footprint

    west, south, east, north = footprint(box_at(187_001, 11_001, 40))[1]
    x, y = (east - west) / 4, (north - south) / 4
    ring = [
        [west + x, south + y],
        [east - x, south + y],
        [east - x, north - y],
        [west + x, north - y],
        [west + x, south + y],
    ]
    features = [
        {
            "type": "Feature",
            "id": i,
            "properties": {"name": f"field {i}"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for i in range(2)
    ]
    (folder / "fields.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _read_fields(path: Path) -> object:
    found = read_fields(path, "polygons", box_at(187_001, 11_001, 40))
    return [(f.id, f.rows.tolist(), f.columns.tolist(), f.weights.tolist(), f.size, repr(f.properties)) for f in found]


def _yaml_cases(file: str) -> Callable[[Path, random.Random], Iterator[Case]]:
    def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
        content = (sound / file).read_bytes()
        yield from some(of_lines(file, content, rng, 10), 70, rng)
        tree = yaml.safe_load(content)
        yield from some(wrong_values(file, tree, 6, rng), 200, rng)  # JSON is YAML

    return cases


def _plain(config: BaseModel) -> object:
    return config.model_dump(mode="json")


def _make_catalogs(folder: Path) -> None:
    (folder / "catalogs.toml").write_text(
        '[mine]\nurl = "https://example.org/stac"\ntitle = "Mine"\npan_from = "usgs"\n[mine.collections.l2]\n'
        'kind = "landsat-l2"\naccess = ["https"]\noffset_removed = false\n[mine.collections.l2.assets]\nred = "B4"\n'
        'blue = ["B2", "blue"]\n'
    )


def _toml_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    name = "catalogs.toml"
    content = (sound / name).read_bytes()
    yield from of_lines(name, content, rng)
    yield from accidents(name, content, 30, rng)
    lines = content.splitlines()
    for number, line in enumerate(lines):
        key, found, _ = line.partition(b" = ")
        for value in (
            (b"1", b"nan", b"true", b"[]", b"{}", b'""', b"2023-02-30", b"1979-05-27", b"[" * 3000, b"[" * 100_000)
            if found
            else ()
        ):
            yield Case(
                f"{name}: {key.decode()} = {value[:20]!r}",
                writes(name, b"\n".join([*lines[:number], key + found + value, *lines[number + 1 :]])),
            )


def _make_scores(folder: Path) -> None:
    sites = [f"site{i}" for i in range(6)]
    (folder / "places.csv").write_text(
        "site,continent\n" + "".join(f"{s},{'AB'[i % 2]}\n" for i, s in enumerate(sites))
    )
    lines = [f"x,{m},{s},psnr,10 m,{20 + i},9\n" for i, s in enumerate(sites) for m in ("compact", "bicubic")]
    (folder / "scores.csv").write_text("image,model,site,metric,bands,value,n\n" + "".join(lines))


def _read_scores(folder: Path) -> bytes:
    study = study_generalisation(
        [folder / "scores.csv"], folder / "places.csv", ["continent"], metric="psnr", bands="10 m"
    )
    return digest(study.rows, study.paragraph)


def _table_cases(*names: str) -> Callable[[Path, random.Random], Iterator[Case]]:
    def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
        for name in names:
            content = (sound / name).read_bytes()
            yield from of_lines(name, content, rng, 6)
            lines = content.splitlines()
            for number in range(min(len(lines), 3)):
                cells = lines[number].split(b",")
                for column in range(len(cells)):
                    for value in rng.sample(VALUES, 5):
                        row = b",".join([*cells[:column], value, *cells[column + 1 :]])
                        changed = b"\n".join([*lines[:number], row, *lines[number + 1 :]]) + b"\n"
                        yield Case(f"{name}: line {number} cell {column} = {value[:20]!r}", writes(name, changed))

    return cases


def _scene(folder: Path) -> None:
    (folder / "scene.json").write_text(item_text(sentinel2_item(box_at(187_001, 11_001))), encoding="utf-8")


def _split(folder: Path) -> None:
    (folder / "split.yaml").write_bytes((CONFIGS / "embedded-split.yaml").read_bytes())


KINDS = [
    *map(_mtl, ("txt", "json", "xml")),
    _json_kind(
        "stac-items",
        "items.json",
        _items,
        _read_items,
        2,
        700,
    ),
    _json_kind(
        "recipe",
        "recipe.json",
        _recipe,
        lambda path: recipe_text(load_recipe(path)),
        2,
        500,
    ),
    _json_kind("scene-json", "scene.json", _scene, lambda path: item_text(read_item(path)), 2, 250),
    _json_kind("geojson-fields", "fields.geojson", _fields, _read_fields, 6, 300),
    _json_kind(
        "geojson-area",
        "fields.geojson",
        _fields,
        lambda path: read_area(path),
        5,
        250,
        lambda folder: ["search", "--intersects", str(folder / "fields.geojson"), "--datetime", "2023-05"],
    ),
    Kind(
        name="yaml-configuration",
        make=lambda folder: (folder / "run.yaml").write_bytes((CONFIGS / "compact.yaml").read_bytes()),
        cases=_yaml_cases("run.yaml"),
        read=lambda folder: digest(_plain(read_config(folder / "run.yaml")[0])),
        command=lambda folder: ["train", "--config", str(folder / "run.yaml"), "-o", str(folder / "out")],
    ),
    Kind(
        name="yaml-split",
        make=_split,
        cases=_yaml_cases("split.yaml"),
        read=lambda folder: digest(_plain(read_split(folder / "split.yaml"))),
    ),
    Kind(
        name="toml-catalogues",
        make=_make_catalogs,
        cases=_toml_cases,
        read=lambda folder: digest(known_catalogs(folder / "catalogs.toml")),
        command=lambda folder: [
            "search",
            "--catalog-file",
            str(folder / "catalogs.toml"),
            "--catalog",
            "nothing",
            "--bbox",
            "1",
            "1",
            "2",
            "2",
            "--datetime",
            "2023-05",
        ],
    ),
    Kind(
        name="scores-csv",
        make=_make_scores,
        cases=_table_cases("scores.csv", "places.csv"),
        read=_read_scores,
    ),
]
