"""Damaged archives: tar, tar.gz, and zip where l8s2 reads it."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from damage.case import Case, Cases, Kind
from damage.content import accidents, cuts, instead, writes
from damage.rasters import read_product
from making.scenes import ID, archive, make

BAND = f"{ID}_SR_B4.TIF"
BLOCK = tarfile.BLOCKSIZE


def make_tar(folder: Path, ending: str = ".tar", mode: str = "w") -> None:
    made = make(folder / "in", with_pan=False)
    archive(made, folder / f"{ID}{ending}", mode=mode)
    for path in sorted((folder / "in").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "in").rmdir()


def _numbered(header: bytes, at: int, length: int, field: bytes) -> bytes:
    """A header with another field, and the sum that belongs to it."""
    header = header[:at] + field.ljust(length, b"\0")[:length] + header[at + length :]
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


FIELDS: dict[str, tuple[int, int, bytes]] = {
    "size of 8 GiB": (124, 12, b"77777777777"),
    "size 0": (124, 12, b"00000000000"),
    "size of a word": (124, 12, b"elephant"),
    "size below 0": (124, 12, b"\xff" * 12),
    "size of 2^88": (124, 12, b"\x80" + b"\xff" * 11),
    "name upwards": (0, 100, b"../../../tmp/evil_SR_B4.TIF"),
    "name from the root": (0, 100, b"/etc/passwd"),
    "no name": (0, 100, b""),
    "a name of no UTF-8": (0, 100, b"\xff\xfe"),
    "a name of any letters": (0, 100, "ä\U0001f6f0".encode()),
    "a hard link": (156, 1, b"1"),
    "a symbolic link": (156, 1, b"2"),
    "a device": (156, 1, b"3"),
    "a folder": (156, 1, b"5"),
    "a pipe": (156, 1, b"6"),
    "a long name": (156, 1, b"L"),
    "pax": (156, 1, b"x"),
    "pax for all": (156, 1, b"g"),
    "sparse": (156, 1, b"S"),
    "an unknown kind": (156, 1, b"Z"),
    "time of a word": (136, 12, b"yesterday"),
    "mode of a word": (100, 8, b"mode"),
    "an owner below 0": (108, 8, b"\xff" * 8),
    "other magic": (257, 8, b"zzzzzzzz"),
    "the name of another band": (0, 100, f"{ID}_SR_B5.TIF".encode()),
}


def _members(content: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        return opened.getmembers()


def _with(content: bytes, how: Callable[[tarfile.TarFile], object]) -> bytes:
    """A tar with more in it."""
    target = io.BytesIO(content)
    with tarfile.open(fileobj=target, mode="a") as opened:
        how(opened)
    return target.getvalue()


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


EVIL = {
    "goes up": _entry("../evil"),
    "begins at the root": _entry("/tmp/evil"),
    "goes up in the middle": _entry("a/../../evil"),
    "a link to /etc/passwd": _entry(f"{ID}_SR_B9.TIF", tarfile.SYMTYPE, "/etc/passwd"),
    "a link upwards named as a band": _entry(f"x/{BAND}", tarfile.SYMTYPE, "../../../etc/passwd"),
    "a hard link to a band": _entry(f"y/{BAND}", tarfile.LNKTYPE, BAND),
    "a hard link to itself": _entry(f"{ID}_SR_B6.TIFF", tarfile.LNKTYPE, f"{ID}_SR_B6.TIFF"),
    "a pipe named as a band": _entry(f"z/{BAND}", tarfile.FIFOTYPE),
    "a device named as a band": _entry(BAND, tarfile.CHRTYPE),
    "a folder named as a band": _entry(BAND, tarfile.DIRTYPE),
    "the band once more, empty": _entry(BAND),
    "any letters": _entry("\U0001f6f0\n\r\t.TIF"),
    "a name of 5000 letters": _entry("x" * 5000),
    "a path of 2000 folders": _entry("/".join("x" * 2000)),
    "backslashes": _entry("..\\..\\evil"),
    "a drive": _entry("C:/evil"),
    "NUL in pax": _entry("a\0b"),
    "a name of one point": _entry("."),
}


def _many(opened: tarfile.TarFile) -> None:
    for number in range(20_000):
        opened.addfile(_entry(f"{number}.txt"))


def of_tar(name: str, content: bytes, pack: Callable[[bytes], bytes]) -> Iterator[Case]:
    """Headers and members; ``pack`` compresses."""
    members = _members(content)
    for number, member in enumerate(members):
        at = member.offset
        for what, (where, length, field) in FIELDS.items():
            if number in (0, 3, len(members) - 1):
                header = _numbered(content[at : at + BLOCK], where, length, field)
                yield Case(
                    f"{name}: member {number} {what}", writes(name, pack(content[:at] + header + content[at + BLOCK :]))
                )
        end = member.offset_data + member.size
        yield Case(
            f"{name}: member {number} out of the middle",
            writes(name, pack(content[:at] + content[end + -end % BLOCK :])),
        )
        for point in (at, at + 1, at + BLOCK - 1, member.offset_data + 1, member.offset_data + member.size // 2, end):
            yield Case(f"{name}: cut inside at {point}", writes(name, pack(content[:point])), strict=True)
    for what, info in EVIL.items():
        yield Case(
            f"{name}: one more that is {what}",
            writes(name, pack(_with(content, lambda opened, i=info: opened.addfile(i)))),
        )
    yield Case(f"{name}: 20 000 more", writes(name, pack(_with(content, _many))))
    yield Case(f"{name}: without its end", writes(name, pack(content.rstrip(b"\0"))), strict=True)
    yield Case(f"{name}: noise behind its end", writes(name, pack(content + b"noise" * 999)))
    yield Case(f"{name}: nothing but an end", writes(name, pack(bytes(20 * BLOCK))))
    yield Case(f"{name}: of a million blocks of zeros", writes(name, pack(bytes(BLOCK * 200_000))))


def tar_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    name = f"{ID}.tar"
    content = (sound / name).read_bytes()
    yield from instead(name)
    yield from of_tar(name, content, bytes)
    yield from accidents(name, content, 60, rng)
    yield from accidents(name, content, 40, rng, within=BLOCK)
    yield Case(f"{name}: a zip", writes(name, b"PK\3\4" + bytes(500)))
    yield Case(f"{name}: bzip2", writes(name, b"BZh91AY&SY" + bytes(500)))


def _bomb(name: str, member: str, size: int, declared: int | None = None) -> Callable[[Path], object]:
    """A member of zeros, compressed a thousandfold; what is not ``declared`` lies behind the end."""

    def damage(folder: Path) -> None:
        zeros, squeezed = bytes(1 << 20), zlib.compressobj(9, zlib.DEFLATED, -15)
        head, end = _entry(member, size=size if declared is None else declared).tobuf(), bytes(2 * BLOCK)
        start = squeezed.compress(head) + squeezed.flush(zlib.Z_FULL_FLUSH)
        block = squeezed.compress(zeros) + squeezed.flush(zlib.Z_FULL_FLUSH)
        check = zlib.crc32(head)
        for _ in range(size >> 20):
            check = zlib.crc32(zeros, check)
        with (folder / name).open("wb") as out:
            out.write(b"\x1f\x8b\x08\0\0\0\0\0\0\3" + start)
            out.writelines(block for _ in range(size >> 20))
            out.write(squeezed.compress(end) + squeezed.flush())
            out.write(struct.pack("<II", zlib.crc32(end, check), (len(head) + size + len(end)) & 0xFFFFFFFF))

    return damage


def gz_cases(sound: Path, rng: random.Random) -> Iterator[Case]:
    name = f"{ID}.tar.gz"
    content = (sound / name).read_bytes()
    plain = gzip.decompress(content)
    yield from instead(name)
    yield from cuts(name, content, [1, 2, 3, 5, 9, 10, 11, 100, len(content) - 9, len(content) - 8, len(content) - 1])
    yield from cuts(name, content, [rng.randrange(len(content)) for _ in range(20)])
    yield from of_tar(name, plain, lambda tar: gzip.compress(tar, 1))
    yield from accidents(name, content, 60, rng)
    for what, new in {
        "the sum wrong": content[:-8] + b"\0\0\0\0" + content[-4:],
        "the length wrong": content[:-4] + b"\0\0\0\0",
        "noise behind": content + b"noise",
        "twice": content * 2,
        "in two parts": gzip.compress(plain[:5000]) + gzip.compress(plain[5000:]),
        "compressed twice": gzip.compress(content),
        "another method": content[:2] + b"\7" + content[3:],
        "flags set": content[:3] + b"\xff" + content[4:],
        "zlib without gzip": zlib.compress(plain),
        "not compressed": plain,
    }.items():
        yield Case(f"{name}: {what}", writes(name, new))
    yield Case(f"{name}: a bomb of 3 GiB named as a band", _bomb(name, BAND, 3 << 30))
    yield Case(f"{name}: a bomb of 5 GiB named as a band", _bomb(name, BAND, 5 << 30))
    yield Case(f"{name}: a bomb of 2 GiB named as nothing", _bomb(name, "zeros", 2 << 30))
    yield Case(f"{name}: a bomb of 3 GiB behind its end", _bomb(name, "zeros", 3 << 30, 0))
    yield Case(f"{name}: a bomb of 1 GiB named as the MTL", _bomb(name, f"{ID}_MTL.txt", 1 << 30))


def _make_zip(folder: Path) -> None:
    make_tar(folder)
    with (
        tarfile.open(folder / f"{ID}.tar") as source,
        zipfile.ZipFile(folder / f"{ID}.zip", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for member in source:
            opened = source.extractfile(member)
            assert opened is not None
            target.writestr(member.name, opened.read())
    (folder / f"{ID}.tar").unlink()


def _zip_with(content: bytes, name: str, data: bytes, mode: int = 0) -> bytes:
    target = io.BytesIO(content)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as opened:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
        opened.writestr(info, data)
    return target.getvalue()


def of_zip(name: str, band: str) -> Cases:
    """All that can happen to a .zip; ``band`` is a member that is read."""

    def cases(sound: Path, rng: random.Random) -> Iterator[Case]:
        content = (sound / name).read_bytes()
        central, end = content.index(b"PK\1\2"), content.rindex(b"PK\5\6")
        yield from instead(name)
        yield from cuts(
            name, content, [3, 4, 30, central, central + 10, end, end + 4, len(content) - 1, len(content) // 2]
        )
        yield from accidents(name, content, 60, rng)
        tail = content[central:]
        for number in range(80):
            at = central + rng.randrange(len(tail))
            new = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", rng.randbytes(4)))
            yield Case(
                f"{name}: directory {number} at {at}",
                writes(name, (content[:at] + new + content[at + 4 :])[: len(content)]),
            )
        for what, member in {
            "upwards": "../evil", "from the root": "/tmp/evil", "backslashes": "..\\evil", "the band once more": band,
            "without a name": "",
            "any letters": "\U0001f6f0\n", "long": "x" * 5000,
        }.items():  # fmt: skip
            yield Case(f"{name}: one more, {what}", writes(name, _zip_with(content, member, b"x")))
        yield Case(
            f"{name}: a link named as a band", writes(name, _zip_with(content, f"x/{band}", b"/etc/passwd", 0o120777))
        )
        yield Case(
            f"{name}: a bomb named as a band",
            lambda f: (f / name).write_bytes(_zip_with(content, f"x/{band}", bytes(600 << 20))),
        )

    return cases


TAR = Kind(
    name="tar", make=make_tar, cases=tar_cases, read=lambda folder: read_product(folder / f"{ID}.tar"),
    command=lambda folder: ["harmonize", str(folder / f"{ID}.tar"), "-o", str(folder / "out")],
)  # fmt: skip
GZ = Kind(
    name="tar.gz", make=lambda folder: make_tar(folder, ".tar.gz", "w:gz"), cases=gz_cases,
    read=lambda folder: read_product(folder / f"{ID}.tar.gz"),
    command=lambda folder: ["info", str(folder / f"{ID}.tar.gz")],
)  # fmt: skip
ZIP = Kind(
    name="zip", make=_make_zip, cases=of_zip(f"{ID}.zip", BAND), read=lambda folder: read_product(folder / f"{ID}.zip"),
    command=lambda folder: ["info", str(folder / f"{ID}.zip")],
)  # fmt: skip
KINDS = [TAR, GZ, ZIP]
