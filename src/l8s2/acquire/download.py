"""Whole files by http, with patience: resumed, signed anew, verified, and under their names only when whole."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from l8s2.catalogs import http_policy
from l8s2.errors import InputError, TryAgainError
from l8s2.files import publish_file
from l8s2.progress import Progress

CHUNK = 1 << 16
"""Bytes; as many may be lost when a connection ends."""

Address = Callable[[bool], str]
"""Gives where something can be read now; True: signed anew."""
T = TypeVar("T")

_REFUSED = "check the credentials (l8s2 doctor), and that their owner may read it"

_HASHES = {"12": hashlib.sha256, "13": hashlib.sha512, "d501": hashlib.md5}
"""By the code of a multihash (https://multiformats.io/multihash/)."""


class Stopped(Exception):
    """The caller has stopped the fetching."""


class FetchProgress:
    """Progress of files that several threads fetch; the caller can stop them by it."""

    def __init__(self, progress: Progress | None = None) -> None:
        """``progress``: gets bytes done and wanted."""
        self._progress, self._lock, self._stopped = progress, threading.Lock(), threading.Event()
        self._done = self._wanted = 0

    def advance(self, more: int, wanted: int = 0) -> None:
        """Count bytes that have come, and bytes that are wanted in all. Raises Stopped."""
        with self._lock:
            self._done, self._wanted = self._done + more, self._wanted + wanted
            if self._progress is not None and self._wanted > 0:
                self._progress(self._done, self._wanted, "fetching")
        self.pause(0)

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped, at once."""
        if self._stopped.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        """Have every thread that fetches raise Stopped soon."""
        self._stopped.set()


class Transient(Exception):
    """A failure that may not happen again."""

    def __init__(
        self,
        why: str,
        *,
        wait: float | None = None,
        refused: bool = False,
        made_progress: bool = False,
        once: bool = False,
    ) -> None:
        """Describe a failure.

        Args:
            why: in a few words.
            wait: seconds that the server asks for.
            refused: the address is no longer good.
            made_progress: more bytes are there than before, so the count of attempts begins again.
            once: worth one more attempt only.
        """
        super().__init__(why)
        self.wait, self.refused, self.made_progress, self.once = wait, refused, made_progress, once


def retry(name: str, attempt: Callable[[bool], T], watch: FetchProgress) -> T:
    """Attempt something until it succeeds, and return the result.

    Args:
        name: for messages.
        attempt: gets whether to sign the address again; raises ``Transient`` for failures that may not happen again.
        watch: may stop it.

    Raises:
        TryAgainError: It failed ``http_policy.ATTEMPTS`` times without progress.
        InputError: It was refused twice in a row, or what is worth one more attempt failed again.
    """
    failed, refused, once = 0, False, False
    while True:
        try:
            return attempt(refused)
        except Transient as error:
            if error.made_progress:
                failed, refused, once = 0, False, False
            failed += 1
            if failed >= http_policy.ATTEMPTS or (error.refused and refused) or (error.once and once):
                tried = f" after {failed} attempts" if failed > 1 else ""
                remedy = _REFUSED if error.refused else "try again later, what is there is kept"
                kind = InputError if error.refused or error.once else TryAgainError
                raise kind(f"{name}: {error}{tried}; {remedy}") from None
            wait = 0.0 if error.refused else error.wait or http_policy.BACKOFF * 2 ** (failed - 1)
            refused, once = error.refused, once or error.once
            watch.pause(min(wait, http_policy.LONGEST_WAIT))


def download(
    address: Address,
    path: Path,
    *,
    checksum: str | None = None,
    check: Callable[[Path], None] | None = None,
    watch: FetchProgress | None = None,
) -> None:
    """Fetch a file, unless it is there.

    It grows as ``.<name>.part``. That is no draft of ``files.whole_file``, which is removed on failure: the part stays,
    so that the next attempt, or the next run, continues it.

    Args:
        address: where it is.
        path: the final file.
        checksum: multihash in hexadecimal, as STAC's ``file:checksum``; sha2-256, sha2-512 or md5 are verified.
        check: raises InputError for a file of wrong content.
        watch: gets the progress; may stop the download.

    Raises:
        InputError: The file cannot be had, has wrong content, or cannot be written.
    """
    if path.exists():
        return
    watch = watch or FetchProgress()
    part, tag = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.etag")

    def attempt(fresh: bool) -> None:
        url = address(fresh)
        try:
            if "://" in url:
                _get(url, part, tag, path.name, watch)
            else:
                shutil.copyfile(url, part)
            damage = _damage(part, path.name, checksum, check)
            if not damage:
                publish_file(part, path)
        except OSError as error:
            raise InputError(
                f"{path.name}: {error.strerror or error} ({path.parent}); mend that, then run it again"
            ) from error
        if damage:
            part.unlink()
            raise Transient(damage, once=True)

    retry(path.name, attempt, watch)
    tag.unlink(missing_ok=True)


def load_client() -> None:
    """Import requests before threads do, since its import changes the warning filters. Raises InputError."""
    try:
        import requests  # noqa: F401
    except ImportError:
        raise InputError("fetching needs requests; install it with: pip install 'l8s2[stac]'") from None


def probe(url: str, name: str) -> None:
    """Ask for one byte, to learn what is wrong with an address; raises as ``answer_of`` does, or returns."""
    with answer_of(url, name, {"Range": "bytes=0-0"}):
        pass


def read(url: str, headers: dict[str, str]) -> bytes:
    """Return a small answer; raises as ``answer_of`` does."""
    import requests

    try:
        with answer_of(url, url, headers) as answer:
            content: bytes = answer.content
            return content
    except requests.RequestException as error:
        raise Transient(http_policy.explain(error)) from None


def answer_of(url: str, name: str, headers: dict[str, str]) -> Any:
    """Ask a server for a file, or a part of it (206; 416: there is no such part), and return the unread answer.

    Raises:
        Transient: A failure that may not happen again.
        InputError: A failure that will.
    """
    import requests

    try:
        answer = requests.get(
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": http_policy.USER_AGENT, **headers},
            stream=True,
            timeout=http_policy.TIMEOUT,
        )
    except requests.RequestException as error:
        raise Transient(http_policy.explain(error)) from None
    status, page = answer.status_code, answer.headers.get("Content-Type", "").startswith("text/html")
    if status in (200, 206, 416) and not page:
        return answer
    answer.close()
    if page and status < 400:
        raise Transient("a web page instead of the file (a login?)", refused=True)
    if status in (400, 401, 403):  # 400: so S3 says that a session has ended
        raise Transient(f"access refused ({status})", refused=True)
    if status in (408, 425, 429) or status >= 500 or status < 400:
        asked = answer.headers.get("Retry-After", "")
        raise Transient(f"the server fails ({status})", wait=float(asked) if asked.isdecimal() else None)
    raise InputError(f"{name}: not there ({status}); search again, it may have been replaced")


def _get(url: str, part: Path, tag: Path, name: str, watch: FetchProgress) -> None:
    """Append to a part what is missing; begin again where the server has another file by now."""
    import requests

    before = part.stat().st_size if part.exists() else 0
    have = max(before - 1, 0) if tag.exists() else 0  # a byte is left even of a whole one
    known = tag.read_text("ascii", "ignore") if have else ""
    with answer_of(url, name, {"Range": f"bytes={have}-", "If-Range": known} if have else {}) as answer:
        etag, encoded = answer.headers.get("ETag", ""), "Content-Encoding" in answer.headers
        if answer.status_code != 200:  # not every server knows If-Range
            start = answer.headers.get("Content-Range", "")
            if not have or etag != known or encoded or not start.startswith(f"bytes {have}-"):
                tag.unlink(missing_ok=True)
                raise Transient("it has changed on the server")
        else:
            have = 0
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() and not encoded else None
        watch.advance(have, total or have)
        done = have
        try:
            with part.open("r+b" if have else "wb") as file:
                file.seek(have)
                if not have:
                    tag.unlink(missing_ok=True)
                    if re.fullmatch(r'"[!-~]*"', etag) and not encoded:
                        tag.write_text(etag, "ascii")
                for chunk in answer.iter_content(CHUNK):
                    watch.pause(0)
                    file.write(chunk)
                    done += len(chunk)
                    watch.advance(len(chunk))
        except requests.RequestException as error:
            watch.advance(-done, -(total or have))
            raise Transient(http_policy.explain(error), made_progress=done > before) from None
    if total is not None and done < total:
        watch.advance(-done, -total)
        raise Transient("the connection was dropped", made_progress=done > before)


def _damage(part: Path, name: str, checksum: str | None, check: Callable[[Path], None] | None) -> str | None:
    """Say what is wrong with a complete file; None where it is as it should be."""
    with part.open("rb") as file:
        if file.read(64).lstrip().lower().startswith((b"<!doctype", b"<html")):
            return "a web page instead of the file (a login?)"
    if checksum and not _matches(part, checksum.lower()):
        return "its checksum is not that of the catalogue"
    try:
        if check is not None:
            check(part)
    except InputError as error:
        return str(error).removeprefix(f"{name}: ").split(";")[0]
    return None


def _matches(path: Path, checksum: str) -> bool:
    """Whether a file has a multihash; True for kinds that are not known."""
    for code, kind in _HASHES.items():
        digits = checksum.removeprefix(code)
        length = f"{kind().digest_size:02x}"
        if digits != checksum and digits.startswith(length) and len(digits) == 2 + 2 * kind().digest_size:
            with path.open("rb") as file:
                return hashlib.file_digest(file, kind).hexdigest() == digits[2:]
    return True
