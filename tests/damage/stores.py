"""Damaged stores of arrays: shards and tables of a training set, pair archives, imagery, a cube, weights, ONNX."""

from __future__ import annotations

import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from damage.case import Case, Kind, digest, some
from damage.content import WRONG, accidents, cuts, encoded, instead, of_json, of_lines, writes
from l8s2.cube.extract import extract
from l8s2.cube.store import Cube
from l8s2.datasets.pair_archive import PairArchive
from l8s2.patches.patch_set import PatchSet
from l8s2.simulate.archives import load_archive
from making.pairs import write_pair_archive
from making.training_set import made

SHARD = "set/shards/pan0.h5"


def _h5_edit(how: Callable[[Any], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        import h5py

        with h5py.File(folder / SHARD, "r+") as file:
            how(file)

    return damage


def _replaced(name: str, **what: Any) -> Callable[[Any], object]:
    def how(file: Any) -> None:
        del file[name]
        file.create_dataset(name, **what)

    return how


def _linked(name: str) -> Callable[[Any], object]:
    def how(file: Any) -> None:
        import h5py

        del file[name]
        file[name] = h5py.ExternalLink("/etc/passwd", "/x")

    return how


def _outside(name: str) -> Callable[[Any], object]:
    """Its pixels lie in another file."""

    def how(file: Any) -> None:
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, shape, "u2", external=[("/etc/passwd", 0, 2 * int(np.prod(shape)))])

    return how


def _column(name: str, value: Any) -> Callable[[Any], object]:
    def how(file: Any) -> None:
        table = file["facts"][()]
        table[name] = value
        file["facts"][...] = table

    return how


def shard_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    import h5py

    content = (sound / SHARD).read_bytes()
    yield from instead(SHARD)
    signatures = [at for mark in (b"TREE", b"HEAP", b"SNOD", b"OHDR", b"GCOL", b"FRHP") for at in _found(content, mark)]
    yield from some(cuts(SHARD, content, [p + d for p in (0, 8, *signatures) for d in (0, 4, 40)]), 60, rng)
    yield from cuts(SHARD, content, [rng.randrange(len(content)) for _ in range(30)])
    yield from accidents(SHARD, content, 60, rng)
    for at in signatures[:12]:
        for number in range(4):
            where = at + rng.randrange(4, 60)
            yield Case(
                f"{SHARD}: bytes of ones {number} at {where}",
                writes(SHARD, content[:where] + b"\xff" * 4 + content[where + 4 :]),
            )
    with h5py.File(sound / SHARD) as file:
        names, columns = list(file), file["facts"].dtype
    for name in names:
        for what, how in {
            "gone": lambda file, name=name: file.__delitem__(name),
            "a link outside": _linked(name),
            "declared huge": _replaced(name, shape=(1, 6, 1 << 20, 1 << 20), dtype="u2", chunks=(1, 1, 64, 64)),
            "of texts": _replaced(name, data=["x"]),
            "a number": _replaced(name, data=7),
            "empty": _replaced(name, shape=(0,), dtype="f4"),
            "of NaN": _replaced(name, data=np.full((1, 6, 20, 20), np.nan)),
            "pixels in another file": _outside(name),
            "a link to itself": lambda file, name=name: (
                file.__delitem__(name),
                file.__setitem__(name, h5py.SoftLink(f"/{name}")),
            ),
            "a group": lambda file, name=name: (file.__delitem__(name), file.create_group(name)),
            "a bomb": _replaced(
                name, shape=(1, 20_000, 20_000), dtype="u2", chunks=(1, 500, 500), compression="gzip", fillvalue=3
            ),
        }.items():
            yield Case(f"{SHARD}: {name} {what}", _h5_edit(how))
    for what, value in {"schema 9": 9, "schema a text": "x", "schema NaN": np.nan, "schema a list": [1, 2]}.items():
        yield Case(f"{SHARD}: {what}", _h5_edit(lambda file, v=value: file.attrs.__setitem__("schema", v)))
    for value in ("[]", "null", "7", "x", "[" * 100_000, '{"a":1e999}', b"\xff"):
        yield Case(f"{SHARD}: pair {value[:9]!r}", _h5_edit(lambda file, v=value: file.attrs.__setitem__("pair", v)))
    for column in columns.names:
        texts: tuple[Any, ...] = (b"", b"\xff\xfe", b"x" * 1000, b"EPSG:1", b"EPSG:4326", b"9999-99-99")
        numbers: tuple[Any, ...] = (np.nan, np.inf, -1e308, 0.0, 1e308)
        values = texts if columns[column].kind == "O" else numbers
        for value in rng.sample(values, 3):
            yield Case(f"{SHARD}: {column} = {value!r}"[:90], _h5_edit(_column(column, value)))
    table = (sound / "set/split.csv").read_bytes()
    yield from some(of_lines("set/split.csv", table, rng), 50, rng)


def _found(content: bytes, mark: bytes) -> Iterator[int]:
    at = content.find(mark)
    while at >= 0:
        yield at
        at = content.find(mark, at + 1)


def _make_set(folder: Path) -> None:
    made(folder / "set", count=3)


def _read_set(folder: Path) -> bytes:
    from l8s2.datasets import open_pairs

    patches = PatchSet(folder / "set")
    pairs = open_pairs(folder / "set")
    found = [pairs[i] for i in range(len(pairs))]
    patches.pair("pan0")
    return digest([(p.id, p.ms.tobytes(), p.truth.tobytes(), p.date) for p in found], patches.sides(), patches.index())


def _npz(path: Path, **changes: Any) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays |= changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


def _member(name: str, content: bytes) -> Callable[[Path], None]:
    """A member that is not written by NumPy."""

    def change(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            parts = {info.filename: archive.read(info) for info in archive.infolist()}
        parts[name] = content
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for key, value in parts.items():
                archive.writestr(key, value)

    return change


def _header(shape: str, dtype: str = "<i2") -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def npz_cases(name: str, arrays: tuple[str, ...]) -> Callable[[Path, random.Random], Iterator[Case]]:
    def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
        content = (sound / name).read_bytes()
        marks = [
            *_found(content, b"PK\3\4"),
            *_found(content, b"PK\1\2"),
            *_found(content, b"PK\5\6"),
            *_found(content, b"\x93NUMPY"),
        ]
        yield from instead(name)
        yield from some(cuts(name, content, [p + d for p in marks for d in (0, 4, 26, 60)]), 60, rng)
        yield from accidents(name, content, 60, rng)
        for at in marks:
            yield Case(
                f"{name}: ones at {at + 18}", writes(name, content[: at + 18] + b"\xff" * 8 + content[at + 26 :])
            )
            yield Case(
                f"{name}: noise at {at + 4}", writes(name, content[: at + 4] + rng.randbytes(6) + content[at + 10 :])
            )
        with np.load(sound / name) as archive:
            meta = json.loads(str(archive["meta"]))
            there = {key: archive[key] for key in arrays}
        for key, array in there.items():
            for what, value in {
                "gone": None,
                "of floats": array.astype(float),
                "NaN": np.full(array.shape, np.nan, np.float32),
                "flat": array.ravel(),
                "empty": array[..., :0],
                "one pixel": array[..., :1, :1],
                "of texts": np.array(["x"]),
                "complex": array.astype(complex),
                "no dates": array[:0],
                "one more band": np.concatenate([array, array[:, :1]], 1),
                "a number": np.int16(3),
                "int64 huge": np.full(array.shape, 2**62),
                "all nodata": np.full_like(array, -32768),
                "uint64": np.full(array.shape, 2**64 - 1, np.uint64),
                "all of ones": np.full_like(array, 32767),
                "of bools": array > 0,
                "dates twice": np.concatenate([array, array]),
            }.items():
                yield Case(f"{name}: {key} {what}", lambda folder, k=key, v=value: _npz(folder / name, **{k: v}))
            for what, part in {
                "pickled": b"\x93NUMPY\1\0" + _header("(1,)", "|O")[8:] + b"\x80\4.",
                "of shape 2^60": _header("(1, 6, 1073741824, 1073741824)"),
                "of shape below 0": _header("(1, 6, -5, 20)"),
                "of 100 dimensions": _header("(" + "1, " * 30 + ")"),
                "shape of code": _header("__import__('os')"),
                "of 3 GB": _header("(1, 6, 16000, 16000)"),
                "without its pixels": _header("(1, 6, 24, 24)"),
                "of version 9": b"\x93NUMPY\x09\0xxxx",
                "not of NumPy": b"x",
                "empty": b"",
                "structured": _header("(1,)", "V999999999"),
            }.items():
                yield Case(f"{name}: {key} {what}", lambda folder, k=key, p=part: _member(f"{k}.npy", p)(folder / name))
            yield Case(
                f"{name}: {key} a bomb",
                lambda folder, k=key: _member(f"{k}.npy", _header("(1, 6, 10000, 10000)") + bytes(1_200_000_000))(
                    folder / name
                ),
            )
            yield Case(
                f"{name}: {key} a smaller bomb",
                lambda folder, k=key: _member(f"{k}.npy", _header("(1, 6, 3000, 3000)") + bytes(108_000_000))(
                    folder / name
                ),
            )
        for key in meta:
            for value in rng.sample(WRONG, 8):
                text = encoded(meta | {key: value}).decode()
                yield Case(
                    f"{name}: meta {key} = {str(value)[:30]!r}", lambda folder, t=text: _npz(folder / name, meta=t)
                )
        for value in ("", "[]", "null", "x", "[" * 100_000, "1e999"):
            yield Case(f"{name}: meta {value[:9]!r}", lambda folder, v=value: _npz(folder / name, meta=v))
        yield Case(f"{name}: meta of bytes", lambda folder: _npz(folder / name, meta=np.array([1, 2])))
        yield Case(f"{name}: a member upwards", lambda folder: _member("../evil.npy", b"x")(folder / name))

    return cases


def _make_pair(folder: Path) -> None:
    write_pair_archive(folder / "pair.npz", count=12)


def _read_pair(folder: Path) -> bytes:
    pair = PairArchive(folder / "pair.npz")[0]
    assert pair.ms.shape[0] == pair.truth.shape[0] == 6
    return digest(pair.ms.tobytes(), pair.truth.tobytes(), pair.valid.tobytes(), pair.date)


def _make_imagery(folder: Path) -> None:
    rng = np.random.default_rng(0)
    fine, coarse = (rng.integers(100, 3000, (1, b, n, n)).astype(np.int16) for b, n in ((4, 48), (3, 24)))
    np.savez_compressed(folder / "imagery.npz", x10=fine, x20=coarse, meta=json.dumps({"missing": []}))


def _read_imagery(folder: Path) -> bytes:
    archive = load_archive(folder / "imagery.npz")
    return digest([(i.name, i.stack.tobytes(), i.known_bands) for i in archive.images], archive.count)


def _make_cube(folder: Path) -> None:
    from l8s2.cube.build import build_cube
    from l8s2.cube.inputs import find_sources
    from l8s2.target import WHOLE
    from making.cubes import BOX, landsat

    build_cube(find_sources([landsat(folder / "in")]), folder / "c.zarr", WHOLE, to_nadir=False, mask=False)
    shutil.rmtree(folder / "in")
    from l8s2.grid import footprint

    west, south, east, north = footprint(BOX)[1]
    point = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Point", "coordinates": [(west + east) / 2, (south + north) / 2]},
    }
    (folder / "point.geojson").write_text(json.dumps(point))


def _read_cube(folder: Path) -> bytes:
    cube, out = Cube(folder / "c.zarr"), folder / "out"
    out.mkdir(exist_ok=True)
    extract(folder / "c.zarr", folder / "point.geojson", "points", out / "t.csv", indices=["ndvi"], overwrite=True)
    text = (out / "t.csv").read_bytes()
    shutil.rmtree(out)
    return digest(text, cube.times, cube.box)


def cube_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    root = "c.zarr/zarr.json"
    yield from some(of_json(root, sound, 2, rng), 420, rng)
    for name in ("red", "time", "nbar_factor", "item_id", "qa"):
        yield from some(of_json(f"c.zarr/{name}/zarr.json", sound, 1, rng), 12, rng)
        for chunk in sorted((sound / "c.zarr" / name / "c").rglob("*")):
            if chunk.is_file():
                file, content = str(chunk.relative_to(sound)), chunk.read_bytes()
                yield from some([*instead(file)], 6, rng)
                yield from cuts(file, content, [0, 1, 4, len(content) // 2, len(content) - 1])
                yield from accidents(file, content, 10, rng)


KINDS = [
    Kind(
        name="training-set",
        make=_make_set,
        cases=shard_cases,
        read=_read_set,
        command=lambda folder: ["dataset", "stats", str(folder / "set")],
    ),
    Kind(
        name="npz-pairs",
        make=_make_pair,
        cases=npz_cases("pair.npz", ("ms", "x10", "x20")),
        read=_read_pair,
        command=lambda folder: ["evaluate", str(folder / "pair.npz"), "-o", str(folder / "out")],
    ),
    Kind(
        name="npz-imagery",
        make=_make_imagery,
        cases=npz_cases("imagery.npz", ("x10", "x20")),
        read=_read_imagery,
        command=lambda folder: ["evaluate", str(folder), "-o", str(folder / "out")],
    ),
    Kind(
        name="cube",
        make=_make_cube,
        cases=cube_cases,
        read=_read_cube,
        command=lambda folder: [
            "extract",
            str(folder / "c.zarr"),
            "--points",
            str(folder / "point.geojson"),
            "-o",
            str(folder / "t.csv"),
        ],
    ),
]
