"""The output of a batch in an S3 bucket: conditional puts decide who has what."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from l8s2.batch.output import Product, matches, product_pattern
from l8s2.errors import InputError, TryAgainError
from l8s2.product.writer import SUFFIX

_ADDRESS = re.compile(r"s3://(?P<bucket>[^/]+)/?(?P<prefix>.*)")
_ATTEMPTS = 10
"""Attempts at one request, by the library; and where two machines put one key at a time, by us."""
_TYPES = {".tif": "image/tiff; application=geotiff; profile=cloud-optimized", ".png": "image/png"}
_BUSY = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ExpiredToken"}
"""Codes of failures that may pass; a token of the machine's role is renewed."""


@cache
def _client() -> Any:
    """Return the client; threads may share it. Raises InputError."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise InputError("s3:// needs boto3; install it with: pip install 'l8s2[stac]'") from None
    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    return boto3.Session().client("s3", config=Config(retries=retries, max_pool_connections=32))


class S3Store:
    """Objects below a prefix of a bucket, found with the credentials that all AWS tools use."""

    def __init__(self, address: str) -> None:
        """Take ``s3://bucket/prefix``. Raises InputError."""
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise InputError(f"{address}: no address of S3; give s3://bucket/prefix")
        self.address, self.bucket = address, found["bucket"]
        self._prefix = found["prefix"].strip("/")
        self.client = _client()

    def name(self, key: str) -> str:
        """Return the name of a key's object in the bucket."""
        return f"{self._prefix}/{key}" if self._prefix else key

    def create(self, key: str, content: bytes) -> bool:
        """Keep ``Store``'s contract, by ``If-None-Match: *``."""

        for attempt in range(_ATTEMPTS):
            try:
                with self.explained(key):
                    self.client.put_object(
                        Bucket=self.bucket, Key=self.name(key), Body=content, ContentType=_type(key), IfNoneMatch="*"
                    )
                return True
            except _Refused:
                return False
            except _Conflict:  # another put of this key is under way
                time.sleep(0.1 * 2**attempt)
        raise TryAgainError(f"{self.address}: {key} is being written by others all the time; try again later") from None

    def put(self, key: str, content: bytes) -> None:
        """Keep ``Store``'s contract."""
        with self.explained(key):
            self.client.put_object(Bucket=self.bucket, Key=self.name(key), Body=content, ContentType=_type(key))

    def get(self, key: str) -> bytes | None:
        """Keep ``Store``'s contract."""
        try:
            with self.explained(key):
                content: bytes = self.client.get_object(Bucket=self.bucket, Key=self.name(key))["Body"].read()
                return content
        except _Missing:
            return None

    def list(self, prefix: str) -> dict[str, str]:
        """Keep ``Store``'s contract; the prefix may also end within a name."""
        cut = len(self.name(""))
        with self.explained(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.name(prefix))
            return {entry["Key"][cut:]: entry["ETag"] for page in pages for entry in page.get("Contents", ())}

    def delete(self, key: str) -> None:
        """Keep ``Store``'s contract."""
        with self.explained(key):
            self.client.delete_object(Bucket=self.bucket, Key=self.name(key))

    @contextmanager
    def explained(self, key: str) -> Iterator[None]:
        """Turn what goes wrong with a key into one line."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,
            CredentialRetrievalError,
            HTTPClientError,
            NoCredentialsError,
        )  # fmt: skip

        try:
            yield
        except NoCredentialsError:
            raise InputError(
                f"{self.address}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from None
        except ClientError as error:
            code, status = _code(error)
            if code == "PreconditionFailed" or status == 412:
                raise _Refused(key) from None
            if code == "ConditionalRequestConflict" or status == 409:
                raise _Conflict(key) from None
            if code == "NoSuchKey":
                raise _Missing(key) from None
            kind = TryAgainError if code in _BUSY or status == 429 or status >= 500 else InputError
            raise kind(f"{self.address}: {key}: S3 answers {code}; check bucket, region and rights") from None
        except (HTTPClientError, ConnectionError, CredentialRetrievalError, Boto3Error) as error:
            raise TryAgainError(f"{self.address}: {key}: {error}; check the network") from None
        except BotoCoreError as error:
            raise InputError(f"{self.address}: {error}; check the AWS settings") from None


class _Refused(InputError):
    """The key exists already."""


class _Conflict(InputError):
    """Another process puts the key now."""


class _Missing(InputError):
    """There is no such key."""


def _code(error: Any) -> tuple[str, int]:
    answer = error.response
    return str(answer.get("Error", {}).get("Code")), answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _type(key: str) -> str:
    return "text/csv" if key.endswith(".csv") else "application/geo+json" if f"{SUFFIX}/" in key else "application/json"


class S3Output:
    """A prefix of a bucket. A product is committed by the put of its Item, which is the last and never replaces one.

    The files of a second attempt lie in ``<id>_S2L/attempt=2/``: what a machine that was taken for lost still writes
    never meets the files of a committed product.
    """

    def __init__(self, address: str) -> None:
        """Take ``s3://bucket/prefix``. Raises InputError."""
        self.store = S3Store(address)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Keep ``Output``'s contract: a folder in the temporary folder (TMPDIR)."""
        with tempfile.TemporaryDirectory(prefix="l8s2-product-") as folder:
            yield Path(folder)

    def publish(self, folder: Path, attempt: int, beat: Callable[[], None]) -> None:
        """Keep ``Output``'s contract."""
        (item_path,) = folder.glob("*.json")
        item = json.loads(item_path.read_text(encoding="utf-8"))
        place = "" if attempt == 1 else f"attempt={attempt}/"
        ours = []
        for path in sorted(p for p in folder.iterdir() if p != item_path):
            ours.append(f"{folder.name}/{place}{path.name}")
            self._upload(path, ours[-1], beat)
        for asset in item["assets"].values():
            asset["href"] = f"./{place}{asset['href'].removeprefix('./')}"
        key = f"{folder.name}/{item_path.name}"
        content = (json.dumps(item, indent=2) + "\n").encode()
        won = self.store.create(key, content) or self.store.get(key) == content  # a put may be repeated on its way
        rest = set(self.store.list(f"{folder.name}/")) - {key, *ours} if won else ours
        for each in rest:  # of attempts that did not come so far
            self.store.delete(each)

    def _upload(self, path: Path, key: str, beat: Callable[[], None]) -> None:
        with self.store.explained(key):
            self.store.client.upload_file(
                str(path), self.store.bucket, self.store.name(key), Callback=lambda _: beat(),
                ExtraArgs={"ContentType": _TYPES.get(path.suffix, "application/octet-stream")},
            )  # fmt: skip

    def product(self, scene: str) -> Product | None:
        """Keep ``Output``'s contract."""
        for key in sorted(self.store.list(product_pattern(scene).partition("*")[0])):
            if matches(key, scene) and (content := self.store.get(key)) is not None:
                return Product(key=key, item=json.loads(content))
        return None
