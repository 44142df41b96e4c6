"""As much of the Hugging Face Hub as its library asks for, on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Repository:
    files: dict[str, bytes]
    gated: bool = False

    @property
    def commit(self) -> str:
        content = b"".join(name.encode() + data for name, data in sorted(self.files.items()))
        return hashlib.sha1(content).hexdigest()


@dataclass
class Hub:
    token: str = "hf_right"
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of every request."""
    ranges: list[str] = field(default_factory=list)
    broken_off: int = 0
    """How many more downloads of weights end half-way."""
    falsified: bool = False
    """Weights are served with one byte changed."""
    failing: int = 0
    """HTTP status of every answer."""
    endpoint: str = ""

    def files_asked(self) -> set[str]:
        return {path.rsplit("/", 1)[1] for method, path in self.asked if method == "GET" and "/resolve/" in path}


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None: ...

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, content: Any) -> None:
        self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def authorized(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def handle_any(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append((self.command, path))
        parts = path.strip("/").split("/")
        if self.hub.failing:
            return self.answer(self.hub.failing)
        if self.headers.get("Authorization") not in (None, f"Bearer {self.hub.token}"):
            return self.answer(401, X_Error_Message="Invalid credentials in Authorization header")
        if self.command == "POST":
            return self.post(parts, body)
        name = "/".join(parts[2:4] if parts[:2] == ["api", "models"] else parts[:2])
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.answer(404 if self.authorized() else 401, X_Error_Code="RepoNotFound")
        if parts[:2] == ["api", "models"]:
            return self.api(name, repository, parts[4:])
        return self.file(repository, parts[3], "/".join(parts[4:]))

    do_GET = do_HEAD = do_POST = handle_any

    def api(self, name: str, repository: Repository, rest: list[str]) -> None:
        if len(rest) > 1 and rest[1] not in ("main", repository.commit):
            return self.answer(404, X_Error_Code="RevisionNotFound")
        if rest[:1] == ["tree"]:
            return self.json(
                [
                    {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    | ({"lfs": {"oid": _sha256(data), "size": len(data), "pointerSize": 130}} if _large(path) else {})
                    for path, data in repository.files.items()
                ]
            )
        siblings = [{"rfilename": path} for path in repository.files]
        return self.json(
            {"id": name, "modelId": name, "sha": repository.commit, "siblings": siblings, "private": False}
        )

    def file(self, repository: Repository, revision: str, path: str) -> None:
        if repository.gated and not self.authorized():
            return self.answer(401, X_Error_Code="GatedRepo", X_Error_Message="Access to this model is restricted.")
        if revision not in ("main", repository.commit):
            return self.answer(404, X_Error_Code="RevisionNotFound")
        if path not in repository.files:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=repository.commit)
        data = repository.files[path]
        headers = {
            "X_Repo_Commit": repository.commit,
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "Accept_Ranges": "bytes",
        }
        if _large(path):
            headers |= {"X_Linked_Etag": f'"{_sha256(data)}"', "X_Linked_Size": str(len(data))}
            if self.hub.falsified:
                data = data[:-1] + bytes([data[-1] ^ 1])
        status, wanted = 200, self.headers.get("Range")
        if wanted and self.command == "GET":
            self.hub.ranges.append(wanted)
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content_Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            status, data = 206, data[first:]
        if self.command == "GET" and _large(path) and self.hub.broken_off:
            self.hub.broken_off -= 1
            self.answer(status, data[: len(data) // 2], **headers, Content_Length=str(len(data)))
            self.close_connection = True
            return None
        return self.answer(status, data, **headers)

    def post(self, parts: list[str], body: bytes) -> None:
        if not self.authorized():
            return self.answer(401, X_Error_Message="Invalid username or password.")
        if parts[-1] == "validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if parts[-2:] == ["repos", "create"]:
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if asked.get("organization") == "others":
                return self.answer(403, X_Error_Message="You don't have the rights")
            self.hub.repositories.setdefault(name, Repository({}))
            return self.json({"url": f"{self.hub.endpoint}/{name}", "name": name})
        name = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = [f["path"] for f in json.loads(body)["files"]]
            return self.json({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]})
        if parts[4] == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.hub.repositories[name].files[line["value"]["path"]] = base64.b64decode(
                        line["value"]["content"]
                    )
            commit = self.hub.repositories[name].commit
            return self.json(
                {"commitUrl": f"{self.hub.endpoint}/{name}/commit/{commit}", "commitOid": commit, "success": True}
            )
        return self.answer(404)


def _large(path: str) -> bool:
    return Path(path).suffix in (".safetensors", ".bin")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def use(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the library, loaded already perhaps, use ``hub`` and a cache in ``folder``.

    See ``environment`` for new processes.
    """
    from huggingface_hub import constants, file_download

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    for name, value in {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_TOKEN_PATH": str(folder / "token"),
        "HF_HUB_OFFLINE": False,
        "DOWNLOAD_CHUNK_SIZE": 4096,
    }.items():
        monkeypatch.setattr(constants, name, value)
        if hasattr(file_download, name):  # a copy, in older versions
            monkeypatch.setattr(file_download, name, value)


def environment(hub: Hub, folder: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return clean | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder), "XDG_CACHE_HOME": str(folder)} | more
