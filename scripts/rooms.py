"""``python scripts/rooms.py [SOURCE]``: count rooms, floors, arrows and circles of the package from its imports.

A room is a folder of ``src/l8s2``, or a module beside them. An arrow is one room importing another, anywhere in a file,
type checking included. Rooms in one circle share a floor; a room stands one floor above the highest that it imports.
"""

import ast
import sys
from pathlib import Path


def room_arrows(source: Path) -> dict[str, set[str]]:
    """Room -> rooms it imports."""
    arrows: dict[str, set[str]] = {}
    for path in sorted(source.rglob("*.py")):
        here = path.relative_to(source).parts[0].removesuffix(".py")
        found = arrows.setdefault(here, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                package, _, rest = name.partition(".")
                room = rest.partition(".")[0]
                if package == source.name:
                    is_room = (source / room).is_dir() or (source / f"{room}.py").is_file()
                    found.add(room if is_room else "__init__")
        found.discard(here)
    return arrows


def reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    """Rooms that ``start`` imports, directly or through others."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for room in arrows[ahead.pop()] - seen:
            seen.add(room)
            ahead.append(room)
    return seen


def main() -> None:
    """Print the four numbers."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "src" / "l8s2"
    arrows = room_arrows(source)
    below = {room: reachable(arrows, room) for room in arrows}
    circles = {
        frozenset({room} | {o for o in below[room] if room in below[o]}) for room in arrows if room in below[room]
    }
    floor: dict[str, int] = {}
    for room in sorted(arrows, key=lambda name: len(below[name])):
        lower = [floor[other] for other in arrows[room] if other in floor and room not in below[other]]
        floor[room] = 1 + max(lower, default=0)
    print(f"rooms {len(arrows)}, floors {max(floor.values())}, arrows {sum(map(len, arrows.values()))}")
    print("circles:", "; ".join(", ".join(sorted(circle)) for circle in circles) or "none")
    largest = {room: len(list((source / room).glob("*.py"))) for room in arrows}
    print("largest room:", max(largest, key=lambda room: largest[room]), max(largest.values()), "files")


if __name__ == "__main__":
    main()
