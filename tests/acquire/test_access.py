"""Every way to files of catalogues, open and shut."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from l8s2.acquire import access as module
from l8s2.acquire.access import Access, ways
from l8s2.acquire.download import Transient
from l8s2.catalogs.endpoints import Catalog, Collection, known_catalogs
from l8s2.catalogs.items import Asset, SceneItem, scene_item
from l8s2.errors import InputError
from making.asset_server import AssetServer, assets, s3
from making.items import front, landsat, sentinel2

SECRET = "do-not-show-me"
KEY = "collection02/level-2/a b/file_SR_B2.TIF"
BY_S3 = {"s3": f"s3://usgs-landsat/{KEY}"}


@pytest.fixture(autouse=True)
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL", "CDSE_S3_ACCESS_KEY",
                 "CDSE_S3_SECRET_KEY", "PC_SDK_SUBSCRIPTION_KEY", "AWS_SESSION_TOKEN"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AssetServer]:
    (tmp_path / "file.tif").write_bytes(b"content")
    with assets(tmp_path) as running:
        yield running


def scene(catalog: str = "usgs", collection: str = "landsat-c2l2-sr", **asset: object) -> SceneItem:
    """An item of which one file matters, ``red``."""
    item = scene_item(landsat(), catalog, Collection(id=collection, kind="landsat-l2"))
    return replace(item, assets={"red": Asset(**asset)})  # type: ignore[arg-type]


def made(url: str, *by: str) -> Access:
    rows = (Collection(id="landsat-c2l2-sr", kind="landsat-l2", access=by),)
    return Access([Catalog(name="made", url=f"{url}/api/stac/v1", collections=rows)])


def content(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return bytes(answer.read())


def refused(found: Access, item: SceneItem) -> str:
    with pytest.raises(InputError) as caught:
        found.address(item, "red")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{item.id} red: no way to it is open (")
    return str(caught.value)


def test_https_as_it_is() -> None:
    item = scene_item(sentinel2(), "earth-search", known_catalogs()["earth-search"].collections[2])
    assert Access().address(item, "red") == item.assets["red"].href


def test_s3_whose_reader_pays(tmp_path: Path, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "files" / KEY
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    with s3(tmp_path / "files") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        address = Access().address(scene(href="https://landsatlook.usgs.gov/x", alternate=BY_S3), "red")
        assert address.startswith(f"{url}/usgs-landsat/collection02/level-2/a%20b/")
        assert content(address) == b"content"
        without = address.replace("x-amz-request-payer=requester&", "").replace("&x-amz-request-payer=requester", "")
        for bad in (without, address.partition("?")[0]):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                content(bad)
    query = parse_qs(urlsplit(address).query)
    assert query["x-amz-request-payer"] == ["requester"]
    assert query["X-Amz-Expires"] == [str(module.SIGNED_FOR)]
    assert "us-west-2" in query["X-Amz-Credential"][0]
    assert SECRET not in address


def test_signed_as_boto3_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "mine")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", SECRET)
    client = boto3.client(
        "s3", region_name="default", endpoint_url="https://eodata.dataspace.copernicus.eu", aws_access_key_id="mine",
        aws_secret_access_key=SECRET,
        config=boto3.session.Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )  # fmt: skip
    for _ in range(3):  # a second may pass between the two
        ours = Access().address(scene("cdse", "sentinel-2-l2a", href=f"s3://eodata/{KEY}"), "red")
        theirs = client.generate_presigned_url("get_object", {"Bucket": "eodata", "Key": KEY}, module.SIGNED_FOR)
        queries = [parse_qs(urlsplit(address).query) for address in (ours, theirs)]
        if queries[0]["X-Amz-Date"] == queries[1]["X-Amz-Date"]:
            break
    assert queries[0] == queries[1]
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]


def test_keys_that_change_are_taken_when_signed_anew(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    found, item = Access(), scene(href="x", alternate=BY_S3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    assert "Credential=other%2F" in found.address(item, "red")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "third")
    assert "Credential=other%2F" in found.address(item, "red")
    assert "Credential=third%2F" in found.address(item, "red", fresh=True)


def test_without_credentials_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    found, item = Access(), scene(href="https://landsatlook.usgs.gov/x", alternate=BY_S3)
    line = refused(found, item)
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE (who reads pays)" in line
    assert "usgs-login: files behind the USGS login cannot be fetched; order the .tar at EarthExplorer" in line
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    refused(found, item)  # looked for once, not for every file
    assert found.address(item, "red", fresh=True)


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL", "no address")], ids=["profile", "endpoint"]
)
def test_settings_of_aws_that_are_wrong(name: str, value: str, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    line = refused(Access(), scene(href="x", alternate=BY_S3))
    assert "AWS credentials cannot be used" in line
    assert value in line


def test_a_role_that_cannot_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from botocore.exceptions import ClientError

    def refuse(self: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "AssumeRole")

    monkeypatch.setattr(boto3.Session, "get_credentials", refuse)
    assert "not you" in refused(Access(), scene(href="x", alternate=BY_S3))


def test_without_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert "pip install 'l8s2[stac]'" in refused(Access(), scene(href="x", alternate=BY_S3))


def test_keys_of_the_copernicus_data_space(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = sentinel2(style="cdse")
    item = scene_item(raw, "cdse", known_catalogs()["cdse"].collections[0])
    line = refused(Access(), item)
    assert "set CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY" in line
    assert "cdse-login: " in line
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "mine")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", SECRET)
    address = Access().address(item, "red")
    assert address.startswith("https://eodata.dataspace.copernicus.eu/eodata/Sentinel-2/")
    assert "Credential=mine%2F" in address
    assert "request-payer" not in address


def test_tokens_are_kept_until_shortly_before_their_end(server: AssetServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(server.url, "planetary-computer-token")
    item = scene("made", href=f"{server.url}/signed/file.tif")
    address = found.address(item, "red")
    assert content(address) == b"content"
    assert found.address(item, "red") == address
    other = scene("made", href=f"{server.url}/signed/file.tif?x=1")
    assert found.address(other, "red") == f"{server.url}/signed/file.tif?x=1&sig=1"
    assert server.tokens == 1
    server.expire()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        content(found.address(item, "red"))
    assert content(found.address(item, "red", fresh=True)) == b"content"
    assert server.tokens == 2

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) + after

    monkeypatch.setattr(module, "datetime", Later)
    for minutes, tokens in ((28.8, 2), (29.2, 3)):
        after = timedelta(minutes=minutes)
        found.address(item, "red")
        assert server.tokens == tokens


def test_tokens_are_asked_for_with_the_users_key(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def read(address: str, headers: dict[str, str]) -> bytes:
        asked.append((address, headers))
        return b'{"token": "t", "msft:expiry": "2100-01-01T00:00:00Z"}'

    monkeypatch.setattr(module, "read", read)
    item = scene("planetary-computer", "landsat-c2-l2", href="https://host/x")
    assert Access().address(item, "red") == "https://host/x?t"
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", SECRET)
    Access().address(item, "red")
    place = "https://planetarycomputer.microsoft.com/api/sas/v1/token/landsat-c2-l2"
    assert asked == [(place, {}), (place, {"Ocp-Apim-Subscription-Key": SECRET})]


def test_the_users_key_goes_to_the_planetary_computer_alone(
    server: AssetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def read(address: str, headers: dict[str, str]) -> bytes:
        seen.append(headers)
        return b'{"token": "t", "msft:expiry": "2100-01-01T00:00:00Z"}'

    monkeypatch.setattr(module, "read", read)
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", SECRET)
    rows = (Collection(id="landsat-c2l2-sr", kind="landsat-l2", access=("planetary-computer-token",)),)
    hosts = (
        server.url,
        "https://planetarycomputer.microsoft.com.evil.example",
        "http://planetarycomputer.microsoft.com",
    )
    for host in hosts:
        brought = Catalog(name="planetary-computer", url=f"{host}/api/stac/v1", collections=rows)
        Access([brought]).address(scene("planetary-computer", href="https://host/x"), "red")
    assert seen == [{}] * len(hosts)
    monkeypatch.setattr(module, "_KEY_HOST", server.url)
    made(server.url, "planetary-computer-token").address(scene("made", href="https://host/x"), "red")
    assert seen[-1] == {"Ocp-Apim-Subscription-Key": SECRET}


def test_nobody_else_makes_the_user_pay(keys: None) -> None:
    rows = (Collection(id="mirrored", kind="landsat-l2", access=("s3-requester-pays",)),)
    mirror = Catalog(name="mirror", url="https://mirror", collections=rows)
    item = scene("mirror", "mirrored", href=f"s3://other/{KEY}")
    assert "bucket other is not of USGS; list its catalogue in" in refused(Access([mirror]), item)
    assert "/other/collection02" in Access([mirror], [mirror]).address(item, "red")
    ours = scene("mirror", "mirrored", href=BY_S3["s3"])
    assert "/usgs-landsat/collection02" in Access([mirror]).address(ours, "red")


def test_collections_without_tokens_are_told() -> None:
    with front(lambda path, body: {}) as state:
        state.always = 404, {}, ""
        line = refused(made(state.url, "planetary-computer-token"), scene("made", href="https://host/x"))
    assert "not there (404)" in line
    assert "InputError" not in line


def test_a_server_of_tokens_that_fails_is_asked_again() -> None:
    with front(lambda path, body: {}) as state:
        found, item = made(state.url, "planetary-computer-token"), scene("made", href="https://host/x")
        assert "gives no token" in refused(found, item)
        for status in (429, 500, 503):
            state.always = status, {}, ""
            with pytest.raises(Transient, match=str(status)):
                found.address(item, "red")


def test_what_an_unknown_catalogue_holds_is_reached_as_others_reach_it(keys: None) -> None:
    known = [*known_catalogs().values(), Catalog(name="https://mirror", url="https://mirror")]
    for found in (Access(known), Access()):
        item = scene("https://mirror", href="https://host/x", alternate=BY_S3)
        assert "usgs-landsat" in found.address(item, "red")
        item = scene("https://mirror", "sentinel-2-l2a", href="https://host/x")
        assert found.address(item, "red") == "https://host/x"
        item = scene("https://mirror", "nobody-knows", href="https://host/x")
        assert found.address(item, "red") == "https://host/x"


def test_local_files_and_what_is_no_address(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"")
    assert Access().address(scene(href=str(tmp_path / "x.tif")), "red") == str(tmp_path / "x.tif")
    for place in (tmp_path, tmp_path / "none", "/dev/zero", "/vsicurl/http://127.0.0.1/x.tif", "/vsitar/x.tar"):
        assert f"{place} is no address that l8s2 can read" in refused(
            made("https://x", "https"), scene("made", href=str(place))
        )
    item = scene("earth-search", "sentinel-2-l2a", href="x/../y.tif")
    assert "x/../y.tif is no address that l8s2 can read" in refused(Access(), item)


def test_which_ways_are_open(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", SECRET)
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", SECRET)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRET)
    found = {way.name: way for way in ways()}
    assert set(found) == set(module.__dict__["_LOGINS"]) | {
        "https", "s3-requester-pays", "cdse-s3-keys", "planetary-computer-token",
    }  # fmt: skip
    assert {name for name, way in found.items() if way.open} == {
        "https",
        "s3-requester-pays",
        "planetary-computer-token",
    }
    assert "CDSE_S3_SECRET_KEY" in found["cdse-s3-keys"].about
    assert "with PC_SDK_SUBSCRIPTION_KEY" in found["planetary-computer-token"].about
    assert SECRET not in str(found)


def test_an_import_loads_no_client() -> None:
    code = (
        "import sys, l8s2.acquire.access, l8s2.acquire.fetch;"
        " print({'boto3', 'botocore', 'requests', 'rasterio'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
