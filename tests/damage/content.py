"""Damage to bytes, to JSON and to texts of lines."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from damage.case import Case

HTML = b"<!DOCTYPE html>\n<html><body>503 Service Unavailable</body></html>"
WHOLE: dict[str, bytes] = {
    "empty": b"",
    "a blank": b" \n",
    "a web page": HTML,
    "zeros": bytes(4096),
    "noise": bytes(range(256)) * 9,
    "UTF-16": '{"type": "Feature"}'.encode("utf-16"),
    "no UTF-8": b"\xff\xfe\xfa{}",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1e999",
    "a string": b'"x"',
    "an empty object": b"{}",
    "a deep list": b"[" * 100_000,
    "a deep object": b'{"a":' * 100_000,
    "a deep list that ends": b"[" * 100_000 + b"]" * 100_000,
    "a million digits": b"1" * 1_000_000,
    "NUL": b"\0",
    "an int of 5000 digits in a list": b"[" + b"9" * 5000 + b"]",
    "YAML of a list 5000 deep": b"- " * 5000,
    "YAML flow 5000 deep": b"[" * 5000 + b"]" * 5000,
    "YAML aliases that grow": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n".encode() for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "a YAML tag": b"!!python/object/apply:os.system [true]",
}
"""What may lie there instead of a file."""


class Raw(str):
    """A piece of JSON as it stands."""


WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 7, 2**31, 10**30, Raw("1e999"), Raw("-1e999"), Raw("NaN"), Raw("Infinity"), Raw("9" * 400),
    "", "x", " ", "0", "\0", Raw('"\\ud800"'), "ä/../ö", "../../etc/passwd", "/etc/passwd", "x" * 100_000,
    "0000-00-00T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2023-02-30", "NaN", [], [[]],
    {}, {"a": {}}, [None], ["x"], [1, 2], Raw("[" * 900 + "]" * 900), Raw("[" * 100_000 + "]" * 100_000),
    1e-320, -0.5, 1e308,
)  # fmt: skip


def encoded(tree: Any) -> bytes:
    """JSON with its raw pieces."""
    pieces: list[str] = []

    def plain(value: Any) -> Any:
        if isinstance(value, Raw):
            pieces.append(str(value))
            return f"\x01{len(pieces) - 1}\x01"
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    text = json.dumps(plain(tree))
    for number, piece in enumerate(pieces):
        text = text.replace(f'"\\u0001{number}\\u0001"', piece)
    return text.encode("utf-8")


def writes(name: str, content: bytes | Callable[[], bytes]) -> Callable[[Path], object]:
    """Write a file; its content may be made only then."""
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content())


def instead(name: str, kind: str = "") -> Iterator[Case]:
    """Other files under its name, or none."""
    for what, content in WHOLE.items():
        yield Case(f"{kind or name}: is {what}", writes(name, content))

    def gone(folder: Path) -> None:
        (folder / name).unlink()

    def as_folder(folder: Path) -> None:
        gone(folder)
        (folder / name).mkdir()

    def dangling(folder: Path) -> None:
        gone(folder)
        (folder / name).symlink_to("nowhere")

    def circle(folder: Path) -> None:
        gone(folder)
        (folder / name).symlink_to((folder / name).name)

    for what, how in {"gone": gone, "a folder": as_folder, "a dangling link": dangling, "a circle": circle}.items():
        yield Case(f"{kind or name}: is {what}", how)


def cuts(name: str, content: bytes, at: Iterable[int], what: str = "cut") -> Iterator[Case]:
    """The file ends early."""
    for end in sorted(set(at)):
        if 0 <= end < len(content):
            yield Case(f"{name}: {what} at {end}", writes(name, content[:end]), strict=True)


def accidents(name: str, content: bytes, count: int, rng: random.Random, within: int | None = None) -> Iterator[Case]:
    """Bits that are flipped, bytes that are lost, repeated, zeroed or noise."""
    for number in range(count):
        at = rng.randrange(min(within or len(content), len(content)))
        length = rng.choice((1, 4, 60))
        kind = rng.choice(("bit", "bit", "lost", "noise", "zeros", "twice"))
        changed = {
            "bit": content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :],
            "lost": content[:at] + content[at + length :],
            "noise": content[:at] + rng.randbytes(length) + content[at + length :],
            "zeros": content[:at] + bytes(min(length, len(content) - at)) + content[at + length :],
            "twice": content[: at + length] + content[at:],
        }[kind]
        yield Case(f"{name}: {kind} {number} at {at}", writes(name, changed))


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from _paths(value, (*path, key))


def _changed(tree: Any, path: tuple[Any, ...], how: Callable[[Any, Any], None]) -> bytes:
    whole = copy.deepcopy(tree)
    holder = whole
    for key in path[:-1]:
        holder = holder[key]
    how(holder, path[-1])
    return encoded(whole)


def wrong_values(name: str, tree: Any, each: int, rng: random.Random) -> Iterator[Case]:
    """Every value of a JSON file: gone, of another type, absurd; ``each`` ways for each."""
    for path in _paths(tree):
        where = f"{name}: {'/'.join(map(str, path))}"[:120]
        yield Case(f"{where} gone", writes(name, partial(_changed, tree, path, lambda holder, key: holder.pop(key))))
        for number in rng.sample(range(len(WRONG)), each):
            value = WRONG[number]
            content = partial(_changed, tree, path, lambda holder, key, value=value: holder.__setitem__(key, value))
            yield Case(f"{where} = {str(value)[:40]!r}", writes(name, content))


def of_json(name: str, folder: Path, each: int, rng: random.Random) -> Iterator[Case]:
    """All that can happen to a JSON file."""
    content = (folder / name).read_bytes()
    yield from instead(name)
    yield from cuts(name, content.rstrip(), [1, *rng.sample(range(len(content)), min(10, len(content)))])
    yield from accidents(name, content, 20, rng)
    yield from wrong_values(name, json.loads(content), each, rng)
    yield Case(f"{name}: begins with a byte order mark", writes(name, b"\xef\xbb\xbf" + content))
    yield Case(f"{name}: twice", writes(name, content * 2))


def of_lines(name: str, content: bytes, rng: random.Random, count: int = 20) -> Iterator[Case]:
    """All that can happen to a text of lines."""
    yield from instead(name)
    yield from accidents(name, content, count, rng)
    lines = content.splitlines(keepends=True)
    for number in rng.sample(range(len(lines)), min(count, len(lines))):
        line = lines[number]
        for what, new in {
            "gone": b"", "twice": line * 2, "NUL": b"\0" + line, "long": line.rstrip() + b"9" * 200_000 + b"\n",
            "no UTF-8": b"\xff" + line, "a quote": b'"' + line, "CR": line.replace(b"\n", b"\r"),
        }.items():  # fmt: skip
            yield Case(
                f"{name}: line {number} {what}", writes(name, b"".join([*lines[:number], new, *lines[number + 1 :]]))
            )
    yield Case(f"{name}: begins with a byte order mark", writes(name, b"\xef\xbb\xbf" + content))
    yield Case(f"{name}: lines end as on Windows", writes(name, content.replace(b"\n", b"\r\n")))


VALUES = (
    b"",
    b"x",
    b"nan",
    b"inf",
    b"-inf",
    b"1e999",
    b"-1",
    b"0",
    b"1e308",
    b"1e-320",
    b"9" * 400,
    b"2023-02-30",
    b"0000-00-00",
    b"9999-12-31",
    b"\xc3\xa4",
    b"\xff",
    b"\0",
    b'"',
    b"../..",
    b"10**9",
    b"0x10",
    b"1_0",
    b"\xe2\x91\xa0",
)
