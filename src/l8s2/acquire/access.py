"""Ways to the files of catalogues. Every one ends in an address that can be read now, and that may expire."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from l8s2.acquire.download import read
from l8s2.catalogs.endpoints import Catalog, Collection, known_catalogs, user_file
from l8s2.catalogs.items import Asset, SceneItem
from l8s2.errors import InputError, TryAgainError

SIGNED_FOR = 3600
"""Seconds that an address signed for S3 lives; less where the credentials end before."""
_EARLY = timedelta(seconds=60)
"""A token is renewed so long before its end."""
_TOKEN, _PAID = "planetary-computer-token", "s3-requester-pays"
_REGIONS = {"usgs-landsat": "us-west-2"}
"""Buckets of USGS, and where they are."""
_KEY_HOST = "https://planetarycomputer.microsoft.com"
"""Who gets PC_SDK_SUBSCRIPTION_KEY, whatever an item or a recipe calls by its name."""
_CDSE_ENDPOINT = "https://eodata.dataspace.copernicus.eu"
_S3 = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)")
_NEEDS_BOTO3 = "needs boto3; install it with: pip install 'l8s2[stac]'"
_AWS = "no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE (who reads pays)"
_UNUSABLE = "AWS credentials cannot be used ({}); log in again, mend the profile, or set AWS_PROFILE"
_CDSE = "no keys; make some at the Copernicus Data Space and set CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY"
_LOGINS = {
    "usgs-login": "files behind the USGS login cannot be fetched; order the .tar at EarthExplorer and put it in the"
    " folder",
    "cdse-login": "files behind the CDSE login cannot be fetched; set CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY",
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to files, on this machine."""

    name: str
    """One of ``endpoints.ACCESS``."""
    open: bool
    about: str
    """How it is open, or what to do for it to be."""


class Access:
    """Turns files of items into addresses that can be read now. Threads may share it."""

    def __init__(self, catalogs: Iterable[Catalog] = (), own: Iterable[Catalog] = ()) -> None:
        """Collect the known catalogues, and which of them are trusted.

        Args:
            catalogs: those the items come from; by default all that are known.
            own: those the user lists, by default all; not those that came with an item or a recipe. Only these make
                the user pay for files outside USGS.
        """
        trusted = tuple(own) or tuple(known_catalogs().values())
        self._catalogs = {catalog.name: catalog for catalog in (tuple(catalogs) or trusted)}
        self._paid = {
            (catalog.name, row.id) for catalog in trusted for row in catalog.collections if _PAID in row.access
        }
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._signers: dict[tuple[str, str], _Signer | InputError] = {}

    def address(self, item: SceneItem, name: str, *, fresh: bool = False) -> str:
        """Return where a file can be read now: an address, or the path of a local file.

        Args:
            item: a scene.
            name: our name of one of its assets.
            fresh: sign again, because the last address was refused.

        Raises:
            InputError: No way to the file is open.
            download.Transient: No token could be had now.
        """
        asset, shut = item.assets[name], []
        for way in self._collection(item).access:
            try:
                found = self._by(way, asset, item, fresh)
            except InputError as error:
                shut.append(f"{way}: {error}")
                continue
            if found is not None:
                return found
        if os.path.isabs(asset.href) and not asset.href.startswith("/vsi") and os.path.isfile(asset.href):
            return asset.href
        reasons = "; ".join(shut) or f"{asset.href} is no address that l8s2 can read"
        raise InputError(f"{item.id} {name}: no way to it is open ({reasons})")

    def _collection(self, item: SceneItem) -> Collection:
        """Return the collection of an item; of an unknown catalogue, with the ways by which others reach that name."""
        known = self._catalogs.get(item.catalog)
        if known and known.collections:
            rows = [row for row in known.collections if row.id == item.collection]
            return rows[0] if rows else Collection(id=item.collection, kind=item.kind)
        every = [row for catalog in self._catalogs.values() for row in catalog.collections if row.id == item.collection]
        ways = dict.fromkeys(way for row in every for way in row.access if way != _TOKEN)
        return Collection(id=item.collection, kind=item.kind, access=tuple(ways) or ("https",))

    def _by(self, way: str, asset: Asset, item: SceneItem, fresh: bool) -> str | None:
        """Return the address by one way; None where the file has no address of its kind."""
        if way in _LOGINS:
            raise InputError(_LOGINS[way])
        if way in (_PAID, "cdse-s3-keys"):
            urls = (asset.href, *asset.alternate.values())
            where = next((match for url in urls if (match := _S3.fullmatch(url))), None)
            if where is None:
                return None
            if way == _PAID and where["bucket"] not in _REGIONS and (item.catalog, item.collection) not in self._paid:
                raise InputError(
                    f"bucket {where['bucket']} is not of USGS; list its catalogue in {user_file()} to pay for it"
                )
            return self._signed(way, where["bucket"], where["key"], fresh)
        if not re.match(r"https?://", asset.href):
            return None
        if way != _TOKEN:
            return asset.href
        return f"{asset.href}{'&' if urlsplit(asset.href).query else '?'}{self._token(item, fresh)}"

    def _signed(self, way: str, bucket: str, key: str, fresh: bool) -> str:
        """Sign an address of S3 with the user's credentials."""
        with self._lock:
            if fresh or (way, bucket) not in self._signers:
                try:
                    self._signers[way, bucket] = _Signer(way, bucket)
                except InputError as error:  # looking for credentials takes seconds where there are none
                    self._signers[way, bucket] = error
            signer = self._signers[way, bucket]
        if isinstance(signer, InputError):
            raise signer
        return signer.address(key)

    def _token(self, item: SceneItem, fresh: bool) -> str:
        """Return the Planetary Computer's token for a collection, kept until it expires."""
        with self._lock:
            token, end = self._tokens.get(item.collection, ("", datetime.min.replace(tzinfo=UTC)))
            if fresh or end < datetime.now(UTC) + _EARLY:
                token, end = _new_token(self._catalogs[item.catalog].url, item.collection)
                self._tokens[item.collection] = token, end
            return token


def ways() -> list[Way]:
    """List every way, open on this machine or not, without any secret.

    No server is asked, except for the role of an AWS machine.
    """
    found = [Way(name="https", open=True, about="open to all")]
    for name in (_PAID, "cdse-s3-keys"):
        try:
            _Signer(name, "usgs-landsat")
            found.append(Way(name=name, open=True, about="credentials found"))
        except InputError as error:
            found.append(Way(name=name, open=False, about=str(error)))
    key = "with PC_SDK_SUBSCRIPTION_KEY" if os.environ.get("PC_SDK_SUBSCRIPTION_KEY") else "without a key"
    found.append(Way(name=_TOKEN, open=True, about=f"tokens are given to all, asked for {key}"))
    return found + [Way(name=name, open=False, about=about) for name, about in _LOGINS.items()]


class _Signer:
    """Signs addresses of a bucket with the credentials that boto3 finds."""

    def __init__(self, way: str, bucket: str) -> None:
        """Find the credentials. Raises InputError where there are none."""
        try:
            import boto3
            from botocore.credentials import Credentials
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise InputError(_NEEDS_BOTO3) from None
        self._bucket, self._requester_pays = bucket, way == _PAID
        try:
            session = boto3.Session()
            if self._requester_pays:
                self._region = _REGIONS.get(bucket) or session.region_name or "us-east-1"
                self._credentials, missing = session.get_credentials(), _AWS
                self._endpoint = session.client("s3", region_name=self._region).meta.endpoint_url
            else:
                keys = [os.environ.get(f"CDSE_S3_{kind}_KEY") for kind in ("ACCESS", "SECRET")]
                self._region, self._endpoint = "default", _CDSE_ENDPOINT
                self._credentials, missing = Credentials(*keys) if all(keys) else None, _CDSE
        except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: AWS_ENDPOINT_URL is no address
            raise InputError(_UNUSABLE.format(error)) from None
        if self._credentials is None:
            raise InputError(missing)

    def address(self, key: str) -> str:
        """Sign the address of an object; that the reader pays is part of the address, so no header is needed."""
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError, ClientError

        url = f"{self._endpoint}/{self._bucket}/{quote(key, safe='/~')}"
        params = {"x-amz-request-payer": "requester"} if self._requester_pays else {}
        request = AWSRequest("GET", url, params=params)
        try:
            S3SigV4QueryAuth(self._credentials, "s3", self._region, expires=SIGNED_FOR).add_auth(request)
        except (BotoCoreError, ClientError) as error:  # credentials that are fetched, and cannot be
            raise InputError(_UNUSABLE.format(error)) from None
        signed: str = request.prepare().url
        return signed


def _new_token(api: str, collection: str) -> tuple[str, datetime]:
    """Ask the Planetary Computer for a token; returns what to append to addresses, and when it expires."""
    address = f"{api.partition('/stac')[0]}/sas/v1/token/{collection}"
    key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY") if address.startswith(f"{_KEY_HOST}/") else None
    try:
        content = json.loads(read(address, {"Ocp-Apim-Subscription-Key": key} if key else {}))
        end = datetime.fromisoformat(content["msft:expiry"])
        return str(content["token"]), end if end.tzinfo else end.replace(tzinfo=UTC)
    except (ValueError, KeyError, TypeError) as error:
        raise TryAgainError(f"{address}: gives no token ({type(error).__name__}); try again later") from None
