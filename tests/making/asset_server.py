"""Files of catalogues on loopback, and faults.

https-like with Range and ETag, signatures that expire, S3 that wants its reader to pay.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen


@dataclass
class Fault:
    """What happens to one request for a file instead of an answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Instead of the file."""
    drop_after: int | None = None
    """Bytes of the answer after which the connection ends."""


PAGE = Fault(headers={"content-type": "text/html"}, body=b"<!DOCTYPE html><html><body>Please log in</body></html>")


class AssetServer:
    """Serves a folder over http. Faults are used up one by one, for each file by its name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        """Bytes, by file. How many of an answer that the client does not read to its end depends on timing."""
        self.ranges: Counter[str] = Counter()
        """Bytes of answers to requests for a range, by file."""
        self.signature: int | None = None
        """Addresses below /signed/ need ``sig=`` this; None: no addresses there are good."""
        self.hidden: tuple[str, ...] = ()
        """Headers that nobody gets to see, of requests and of answers."""
        self.tokens = 0
        """How many were given away."""

    def fault(self, name: str, *faults: Fault) -> None:
        """For the next requests for a file."""
        self.faults[name].extend(faults)

    def expire(self) -> None:
        """No signature given so far is good any more."""
        self.signature = (self.signature or 0) + 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.responses import FileResponse, JSONResponse, Response

        if scope["type"] != "http":
            return
        scope = scope | {"headers": self._seen(scope["headers"])}
        path, query = scope["path"], parse_qs(scope["query_string"].decode())
        if "/sas/v1/token/" in path:
            self.tokens += 1
            end = datetime.now(UTC) + timedelta(minutes=30)
            self.signature = self.signature or 1
            answer: Any = JSONResponse({"msft:expiry": end.isoformat(), "token": f"sig={self.signature}"})
            await answer(scope, receive, send)
            return
        name = Path(path).name
        self.requests[name] += 1
        fault = self.faults[name].popleft() if self.faults[name] else None
        if path.startswith("/signed/"):
            path = path.removeprefix("/signed")
            if query.get("sig") != [str(self.signature)]:
                fault = Fault(status=403)
        file = self.root / path.lstrip("/")
        if fault is not None and fault.drop_after is None:
            body = fault.body if fault.body is not None else b""
            answer = Response(body, fault.status, headers=fault.headers)
        elif file.is_file():
            answer = FileResponse(file)
        else:
            answer = Response(status_code=404)
        left = fault.drop_after if fault is not None else None
        partial = False

        async def counted(message: Any) -> None:
            nonlocal left, partial
            if message["type"] == "http.response.start":
                partial = message["status"] == 206
                message = message | {"headers": self._seen(message["headers"])}
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                if left is not None and len(body) >= left:
                    await send({"type": "http.response.body", "body": body[:left], "more_body": True})
                    self.sent[name] += left
                    raise ConnectionAbortedError("as was asked for")
                if left is not None:
                    left -= len(body)
                self.sent[name] += len(body)
                self.ranges[name] += len(body) if partial else 0
            await send(message)

        await answer(scope, receive, counted)

    def _seen(self, headers: Any) -> Any:
        return [header for header in headers if header[0].decode().lower() not in self.hidden]


@contextmanager
def assets(root: Path) -> Iterator[AssetServer]:
    """The server, running."""
    import uvicorn

    app = AssetServer(root)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    app.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield app
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def s3(root: Path, bucket: str = "usgs-landsat") -> Iterator[str]:
    """Address of an S3 that holds the files of a folder, by their paths below it; who reads must say that he pays."""
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    behind = DomainDispatcherApplication(create_backend_app)

    def filtered(environ: Any, start: Any) -> Any:
        query = parse_qs(urlsplit(f"?{environ.get('QUERY_STRING', '')}").query)
        pays = environ.get("HTTP_X_AMZ_REQUEST_PAYER") or query.get("x-amz-request-payer", [""])[0]
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and pays != "requester":
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code></Error>"]
        return behind(environ, start)

    server = make_server("127.0.0.1", 0, filtered, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()  # what it holds is the process's
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-west-2", aws_access_key_id="any", aws_secret_access_key="any"
    )
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        client.put_object(Bucket=bucket, Key=str(path.relative_to(root)), Body=path.read_bytes())
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
