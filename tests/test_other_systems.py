"""What Windows and macOS lack is used only where there is a way without it; read from the source."""

import ast
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import l8s2
from l8s2.deliveries.find import products_in

FILES = sorted(Path(l8s2.__file__).parent.rglob("*.py"))
POSIX_MODULES = {"curses", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NOT_ON_WINDOWS = {
    *("O_DIRECTORY", "O_NOFOLLOW", "fork", "getloadavg", "getpgid", "getuid", "geteuid", "killpg", "mkfifo", "nice"),
    *("posix_fadvise", "posix_fallocate", "sched_getaffinity", "setsid", "statvfs", "sysconf", "uname", "wait3"),
    *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm", "pause", "setitimer", "tzset"),
}


def unguarded(node: ast.AST, guarded: bool = False) -> Iterator[str]:
    """Uses of what Windows lacks that stand neither in a ``try`` nor behind a ``hasattr``."""
    if isinstance(node, ast.Try | ast.IfExp | ast.If):
        tested = getattr(node, "test", None)
        guarded |= tested is None or any(isinstance(n, ast.Name) and n.id == "hasattr" for n in ast.walk(tested))
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if not guarded:
            yield from POSIX_MODULES.intersection(names)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not guarded:
        known = node.value.id in {"os", "signal", "time"} and node.attr in NOT_ON_WINDOWS
        yield from [f"{node.value.id}.{node.attr}"] * known
    for child in ast.iter_child_nodes(node):
        yield from unguarded(child, guarded)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FILES[0].parent).as_posix())
def test_what_only_some_systems_have_is_guarded(path: Path) -> None:
    assert not list(unguarded(ast.parse(path.read_text(encoding="utf-8"))))


def test_unguarded_uses_are_found() -> None:
    source = (
        "import fcntl\nos.killpg(1, 2)\nn = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1\n"
    )
    assert list(unguarded(ast.parse(source))) == ["fcntl", "os.killpg"]
    assert not list(unguarded(ast.parse("try:\n    import fcntl\nexcept ImportError:\n    fcntl = None\n")))


def test_an_archive_is_let_go_where_its_files_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows removes no open file; what was unpacked stays then, and nobody is told of it."""
    path = tmp_path / "LC08_L2SP_143054_20230520_20230524_02_T1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("LC08_L2SP_143054_20230520_20230524_02_T1_SR_B2.TIF")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"tiff"))
    (product,) = products_in(path)
    assert product.unpacked is not None

    def refuse(path: str, *_: object, **__: object) -> None:
        raise PermissionError(13, "The process cannot access the file", path)

    with monkeypatch.context() as patched:
        patched.setattr("os.unlink", refuse)
        product.unpacked.cleanup()
    product.unpacked.cleanup()
