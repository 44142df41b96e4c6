"""STAC items shaped as the catalogues return them, made in code; and STAC APIs on loopback to search them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Item = dict[str, Any]
BANDS = ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22")
USGS = "https://landsatlook.usgs.gov/data/collection02"


def box(lon: float, lat: float, width: float = 2.2, height: float = 1.8) -> Item:
    """A footprint; longitudes wrap at 180 as catalogues without care write them."""
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    ring = [[(lon + x * width / 2 + 180) % 360 - 180, lat + y * height / 2] for x, y in corners]
    return {"type": "Polygon", "coordinates": [ring]}


def _item(name: str, collection: str, geometry: Item, properties: Item, assets: Item) -> Item:
    xs, ys = zip(*geometry["coordinates"][0], strict=True)
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": name, "collection": collection,
        "geometry": geometry, "bbox": [min(xs), min(ys), max(xs), max(ys)], "properties": properties, "assets": assets,
        "links": [],
    }  # fmt: skip


def landsat(
    day: str = "20230520",
    place: str = "143054",
    *,
    level: str = "L2SP",
    satellite: int = 8,
    sensor: str = "C",
    processed: str | None = None,
    tier: str = "T1",
    clock: str = "04:56:25.123456",
    cloud: float | None = 3.2,
    lon: float = 79.0,
    lat: float = 8.7,
    zone: int = 44,
    sun: tuple[float, float] = (62.1, 70.3),
    style: str = "usgs",
) -> Item:
    """An item of LandsatLook (Level 1 or 2) or, with style pc, of the Planetary Computer."""
    level1 = level.startswith("L1")
    product = f"L{sensor}{satellite:02d}_{level}_{place}_{day}_{processed or day}_02_{tier}"
    folder = f"level-{1 + (not level1)}/standard/oli-tirs/{day[:4]}/{place[:3]}/{place[3:]}/{product}"
    files = {name: f"{'B' if level1 else 'SR_B'}{number}.TIF" for number, name in enumerate(BANDS, 1)}
    files |= {"qa_pixel": "QA_PIXEL.TIF", "qa_radsat": "QA_RADSAT.TIF"}
    files |= {"pan": "B8.TIF"} if level1 else {}
    metadata = ("mtl.json", "mtl.txt") if style == "pc" else ("MTL.json", "MTL.txt")
    files |= {name: name.upper().replace("JSON", "json").replace("TXT", "txt") for name in metadata}
    if style == "pc":
        azure = "https://landsateuwest.blob.core.windows.net/landsat-c2/"
        assets: Item = {name: {"href": f"{azure}{folder}/{product}_{file}"} for name, file in files.items()}
    else:
        assets = {
            name: {
                "href": f"{USGS}/{folder}/{product}_{file}",
                "alternate": {
                    "s3": {
                        "storage:platform": "AWS",
                        "storage:requester_pays": True,
                        "href": f"s3://usgs-landsat/collection02/{folder}/{product}_{file}",
                    }
                },
            }
            for name, file in files.items()
        }
    properties = {
        "datetime": f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock}Z",
        "platform": f"landsat-{satellite}" if style == "pc" else f"LANDSAT_{satellite}",
        "view:off_nadir": 0, "view:sun_elevation": sun[0], "view:sun_azimuth": sun[1],
        "landsat:wrs_path": place[:3], "landsat:wrs_row": place[3:], "landsat:collection_category": tier,
        "landsat:collection_number": "02", "landsat:correction": level, "proj:epsg": 32600 + zone,
        "proj:shape": [7711, 7561], "proj:transform": [30, 0, 353685, 0, -30, -683685 if lat < 0 else 1083315],
    }  # fmt: skip
    if cloud is not None:
        properties["eo:cloud_cover"] = cloud
    name = {"usgs": product if level1 else f"{product}_SR", "pc": product.replace(f"_{processed or day}_02", "_02")}[
        style
    ]
    collection = {"usgs": "landsat-c2l1" if level1 else "landsat-c2l2-sr", "pc": "landsat-c2-l2"}[style]
    return _item(name, collection, box(lon, lat), properties, assets)


def sentinel2(
    when: str = "20230520T050651",
    tile: str = "44PKR",
    *,
    platform: str = "S2A",
    baseline: str = "05.09",
    processed: str = "20230520T081200",
    strip: str | None = None,
    cloud: float | None = 1.4,
    lon: float = 79.2,
    lat: float = 8.6,
    removed: bool = True,
    sun: tuple[float, float] = (66.0, 75.0),
    style: str = "earth-search",
) -> Item:
    """An item of Earth Search (sentinel-2-l2a), its Collection 1 (c1), the Planetary Computer (pc), or CDSE (cdse)."""
    n = f"N{baseline.replace('.', '')}"
    uri = f"{platform}_MSIL2A_{when}_{n}_R062_T{tile}_{processed}"
    strip_id = f"{platform}_OPER_MSI_L2A_DS_2APS_{processed}_S{strip or when}_N{baseline}"
    clock = f"{when[:4]}-{when[4:6]}-{when[6:8]}T{when[9:11]}:{when[11:13]}:{when[13:]}"
    names = ("blue", "green", "red", "nir08", "swir16", "swir22", "scl")
    bands = ("B02", "B03", "B04", "B8A", "B11", "B12", "SCL")
    made = (
        f"{processed[:4]}-{processed[4:6]}-{processed[6:8]}"
        f"T{processed[9:11]}:{processed[11:13]}:{processed[13:]}.000000Z"
    )
    properties: Item = {"datetime": f"{clock}.024000Z", "platform": f"sentinel-{platform[1:].lower()}"}
    if cloud is not None:
        properties["eo:cloud_cover"] = cloud
    if style == "cdse":
        keys = [f"{band}_{10 if band in bands[:3] else 20}m" for band in bands]
        assets: Item = {
            key: {"href": f"s3://eodata/Sentinel-2/MSI/L2A/{uri}.SAFE/{key}.jp2",
                  "alternate": {"https": {"href": f"https://download.dataspace.copernicus.eu/odata/v1/{key}"}}}
            for key in keys
        }  # fmt: skip
        properties |= {
            "grid:code": f"MGRS-{tile}", "processing:version": baseline, "processing:datetime": made,
            "eopf:datastrip_id": strip_id, "eopf:datatake_id": f"G{platform}_{when}_041859_N{baseline}",
            "view:sun_elevation": sun[0], "view:sun_azimuth": sun[1], "view:incidence_angle": 4.2,
            "view:azimuth": 105.0,
        }  # fmt: skip
        return _item(uri, "sentinel-2-l2a", box(lon, lat, 1.0, 1.0), properties, assets)
    properties |= {
        "s2:product_uri": f"{uri}.SAFE", "s2:processing_baseline": baseline, "s2:generation_time": made,
        "s2:datastrip_id": strip_id, "s2:datatake_id": f"G{platform}_{when}_041859_N{baseline}",
    }  # fmt: skip
    if style == "pc":
        folder = f"https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/{tile}/{uri}.SAFE"
        assets = {band: {"href": f"{folder}/{band}.tif"} for band in bands} | {"B08": {"href": f"{folder}/B08.tif"}}
        assets["product-metadata"] = {"href": f"{folder}/MTD_MSIL2A.xml"}
        properties |= {"s2:mgrs_tile": tile, "s2:mean_solar_zenith": 90 - sun[0], "s2:mean_solar_azimuth": sun[1]}
        properties["platform"] = f"Sentinel-{platform[1:]}"
        return _item(uri.replace(f"_{n}", ""), "sentinel-2-l2a", box(lon, lat, 1.0, 1.0), properties, assets)
    c1 = style == "c1"
    name = f"{platform}_T{tile}_{when}_L2A" if c1 else f"{platform}_{tile}_{when[:8]}_{int(strip is not None)}_L2A"
    host = "e84-earth-search-sentinel-data" if c1 else "sentinel-cogs"
    keys = [*names, "nir", "granule_metadata", *(["product_metadata"] if c1 else [])]
    files = [*(f"{band}.tif" for band in bands), "B08.tif", "granule_metadata.xml", "product_metadata.xml"]
    assets = {
        key: {"href": f"https://{host}.s3.us-west-2.amazonaws.com/{name}/{file}"}
        for key, file in zip(keys, files, strict=False)
    }
    properties |= {
        "grid:code": f"MGRS-{tile}", "view:sun_elevation": sun[0], "view:sun_azimuth": sun[1],
        "earthsearch:boa_offset_applied": removed and not c1,
    }  # fmt: skip
    if c1:
        properties |= {"view:azimuth": 105.0, "view:incidence_angle": 4.2}
    collection = "sentinel-2-c1-l2a" if c1 else "sentinel-2-l2a"
    return _item(name, collection, box(lon, lat, 1.0, 1.0), properties, assets)


@contextmanager
def rustac(items: list[Item], folder: Path) -> Iterator[str]:
    """A real STAC API that holds the items. It pages and filters by place, time and collection; not by properties."""
    pytest.importorskip("rustac")
    program = shutil.which("rustac", path=str(Path(sys.executable).parent)) or shutil.which("rustac")
    assert program
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = (folder / "rustac.log").open("w")
    server = subprocess.Popen(
        [program, "serve", "-a", address, "--create-collections", str(path)], stdout=log, stderr=log
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://{address}/", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "rustac.log").read_text()
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()
        log.close()


Answer = tuple[int, dict[str, str], str]
"""Status, headers, body."""


@dataclass
class Front:
    """What stands before a STAC API: it answers as told as long as it is told, and then lets through."""

    url: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """(path, body) of every request."""
    script: list[Answer] = field(default_factory=list)
    """Answers to the next searches."""
    always: Answer | None = None
    """Answer to everything."""


@contextmanager
def front(behind: str | Callable[[str, Any], Item]) -> Iterator[Front]:
    """A server before another one (its address), or before a function of path and body."""
    state = Front()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.asked.append((self.path, json.loads(body or b"null")))
            status, headers, text = self.answer(body)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def answer(self, body: bytes) -> Answer:
            if state.always:
                return state.always
            if state.script and self.path.startswith("/search"):
                return state.script.pop(0)
            if callable(behind):
                return 200, {}, json.dumps(behind(self.path, json.loads(body or b"null")))
            request = urllib.request.Request(behind + self.path, body or None, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return 200, {}, answer.read().decode().replace(behind, state.url)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def landing(url: str, *conforms: str) -> Item:
    """The landing page of a STAC API."""
    return {
        "type": "Catalog", "id": "made", "stac_version": "1.0.0", "description": "made",
        "conformsTo": [
            "https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search", *conforms,
        ],
        "links": [{"rel": "search", "type": "application/geo+json", "href": f"{url}/search", "method": "POST"}],
    }  # fmt: skip
