"""The output in a bucket: a put that never replaces decides who has a scene, and whose product it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from l8s2.batch import s3_output
from l8s2.batch.ledger import claim_key
from l8s2.batch.run import run_batch
from l8s2.batch.s3_output import S3Output
from l8s2.errors import InputError, TryAgainError, may_pass
from making.batches import batch, log, make_scenes

ADDRESS = "s3://results/of/2023"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket in this process; whoever asks for a client gets this one's."""
    import boto3
    from moto import mock_aws

    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3_output._client.cache_clear()
    with mock_aws():
        made = boto3.resource("s3").create_bucket(Bucket="results")
        yield made
    s3_output._client.cache_clear()


def keys(bucket: Any) -> list[str]:
    return sorted(entry.key.removeprefix("of/2023/") for entry in bucket.objects.all())


def content(bucket: Any, key: str) -> Any:
    return json.loads(bucket.Object(f"of/2023/{key}").get()["Body"].read())


def test_products_ledger_and_tables_in_a_bucket(bucket: Any, tmp_path: Path) -> None:
    ids = make_scenes(tmp_path / "in", "ok", "fail", "ok")
    assert run_batch(batch(tmp_path / "in", ADDRESS)).done == 2
    good = [ids[0], ids[2]]
    found = keys(bucket)
    assert [key for key in found if "_S2L/" in key] == [
        f"{scene}_S2L/{scene}{ending}" for scene in good for ending in (".json", "_SR.tif")
    ]
    assert [key for key in found if "=" not in key and "_S2L" not in key] == [
        "batch.json", "catalog.json", "collection.json", "items.parquet", "results.csv", "results.json",
    ]  # fmt: skip
    links = content(bucket, "collection.json")["links"]
    assert [link["href"] for link in links] == [f"./{scene}_S2L/{scene}.json" for scene in good]
    assert bucket.Object(f"of/2023/{ids[0]}_S2L/{ids[0]}_SR.tif").content_type.startswith("image/tiff")
    assert run_batch(batch(tmp_path / "in", ADDRESS)).done == 2
    assert [log(tmp_path / "in" / scene) for scene in good] == [["begin", "end"]] * 2


def test_an_upload_that_breaks_off_is_no_product(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second attempt has its own files, and what the first left is removed."""
    (scene,) = make_scenes(tmp_path / "in", "ok")
    upload, seen = S3Output._upload, list[list[str]]()

    def breaks_off(self: S3Output, path: Path, key: str, beat: Any) -> None:
        upload(self, path, key, beat)
        seen.append(keys(bucket))
        if len(seen) == 1:
            raise TryAgainError("the network is down")

    monkeypatch.setattr(S3Output, "_upload", breaks_off)
    assert run_batch(batch(tmp_path / "in", ADDRESS)).done == 1
    assert len(seen) == 2
    assert not any(f"{scene}_S2L/{scene}.json" in found for found in seen)
    assert [key for key in keys(bucket) if "_S2L/" in key] == [
        f"{scene}_S2L/{scene}.json", f"{scene}_S2L/attempt=2/{scene}_SR.tif",
    ]  # fmt: skip
    item = content(bucket, f"{scene}_S2L/{scene}.json")
    assert item["assets"]["surface_reflectance"]["href"] == f"./attempt=2/{scene}_SR.tif"
    first = content(bucket, f"ledger/id={scene}/attempt=1.retry.json")
    assert first["reason"] == "the network is down"


def test_who_comes_second_changes_nothing(bucket: Any, tmp_path: Path) -> None:
    """A machine that was taken for lost, and was only slow."""
    output = S3Output(ADDRESS)
    for attempt in (2, 1):
        folder = tmp_path / str(attempt) / "X_S2L"
        folder.mkdir(parents=True)
        (folder / "X.tif").write_text(str(attempt))
        (folder / "X.json").write_text(json.dumps({"made": attempt, "assets": {"a": {"href": "./X.tif"}}}))
        output.publish(folder, attempt, lambda: None)
    assert keys(bucket) == ["X_S2L/X.json", "X_S2L/attempt=2/X.tif"]
    product = output.product("X")
    assert product is not None
    assert product.item["made"] == 2


def test_a_put_that_is_repeated_on_its_way_is_ours(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network lost the answer, and the repeated put is refused."""
    (scene,) = make_scenes(tmp_path / "in", "ok")
    create = s3_output.S3Store.create

    def twice(self: s3_output.S3Store, key: str, content: bytes) -> bool:
        create(self, key, content)
        return create(self, key, content)

    monkeypatch.setattr(s3_output.S3Store, "create", twice)
    assert run_batch(batch(tmp_path / "in", ADDRESS)).done == 1
    assert f"{scene}_S2L/{scene}_SR.tif" in keys(bucket)
    assert claim_key(scene, 2) not in keys(bucket)


def test_a_bucket_that_does_not_know_conditional_puts_is_refused(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_scenes(tmp_path / "in", "ok")

    def replaces(self: s3_output.S3Store, key: str, content: bytes) -> bool:
        self.put(key, content)
        return True

    monkeypatch.setattr(s3_output.S3Store, "create", replaces)
    with pytest.raises(InputError, match="lets two machines create one file"):
        run_batch(batch(tmp_path / "in", ADDRESS))


@pytest.mark.parametrize(
    ("code", "status", "passes"), [("SlowDown", 503, True), ("AccessDenied", 403, False), ("NoSuchBucket", 404, False)]
)
def test_what_s3_refuses_is_one_line(bucket: Any, code: str, status: int, passes: bool) -> None:
    from botocore.exceptions import ClientError

    store = s3_output.S3Store(ADDRESS)
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(InputError, match=f"S3 answers {code}") as caught, store.explained("x"):
        raise ClientError(answer, "PutObject")
    assert may_pass(caught.value) is passes


def test_a_network_that_is_down_may_come_back(bucket: Any) -> None:
    from botocore.exceptions import EndpointConnectionError

    with (
        pytest.raises(TryAgainError, match="check the network"),
        S3Output(ADDRESS).store.explained("x"),
    ):
        raise EndpointConnectionError(endpoint_url="https://s3.amazonaws.com")
