"""What l8s2 doctor tells of a machine."""

from __future__ import annotations

import json
import shutil
import socket
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from l8s2 import doctor
from l8s2.cli import main
from l8s2.files import WholeFolder

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
SECRET = "do-not-show-me"


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "PC_SDK_SUBSCRIPTION_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("went online")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def told(*arguments: object) -> dict[str, tuple[str, str]]:
    done = run(*arguments, "--json")
    return {f["what"]: (f["status"], f["text"]) for f in json.loads(done.stdout)["findings"]}


def test_memory_is_what_a_job_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l8s2.doctor.memory", lambda: 4e8)
    status, text = told("--offline")["memory"]
    assert (status, text.partition(";")[0]) == ("problem", "0.4 GB free")


def test_a_healthy_machine_offline(no_sockets: None, tmp_path: Path) -> None:
    done = run("--offline")
    assert done.exit_code == 0, done.output
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "missing", "problem"}
    assert any(line.startswith("ok       GDAL GTiff") for line in lines)
    assert f"{tmp_path / 'cache'}" in done.stdout
    assert "catalogue" not in done.stdout
    assert not (tmp_path / "cache").exists()


def test_as_json(no_sockets: None) -> None:
    content = json.loads(run("--offline", "--json").stdout)
    assert content["healthy"] is True
    assert set(content["findings"][0]) == {"status", "what", "text", "core"}


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch, no_sockets: None) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY", "HF_TOKEN",
                 "PC_SDK_SUBSCRIPTION_KEY"):  # fmt: skip
        monkeypatch.setenv(name, SECRET)
    for more in ((), ("--json",)):
        done = run("--offline", *more)
        assert done.exit_code == 0
        assert SECRET not in done.output
    found = told("--offline")
    assert found["Hugging Face Hub"] == ("ok", "HF_TOKEN is set")
    assert {found[way][0] for way in ("s3-requester-pays", "cdse-s3-keys", "planetary-computer-token")} == {"ok"}


def test_ways_that_are_not_open(no_sockets: None) -> None:
    found = told("--offline")
    assert found["s3-requester-pays"][0] == found["cdse-s3-keys"][0] == found["usgs-login"][0] == "missing"
    assert "AWS_ACCESS_KEY_ID" in found["s3-requester-pays"][1]
    assert "EarthExplorer" in found["usgs-login"][1]


def test_a_hub_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, text = told("--offline")["Hugging Face Hub"]
    assert status == "missing"
    assert "unset it" in text


def test_extras_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = metadata.version

    def version(name: str) -> str:
        if name in ("boto3", "h5py"):
            raise metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(metadata, "version", version)
    found = told("--offline")
    assert found["extra stac"] == ("missing", "without boto3; pip install 'l8s2[stac]'")
    assert found["extra train"][0] == "missing"
    assert run("--offline").exit_code == 0


def test_every_extra_of_the_package_is_told() -> None:
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (everything,) = declared["all"]
    told = {name: set(packages) for name, packages in doctor.EXTRAS.items()}
    assert f"l8s2[{','.join(told)}]" == everything
    for name, packages in told.items():
        assert packages == {entry.partition(">=")[0] for entry in declared[name] if not entry.startswith("l8s2[")}


def test_a_core_that_is_broken_is_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    import rasterio

    drivers = rasterio.Env.drivers
    monkeypatch.setattr(
        rasterio.Env, "drivers", lambda self: {n: t for n, t in drivers(self).items() if n not in ("COG", "HTTP")}
    )
    done = run("--offline")
    assert done.exit_code == 1
    assert "problem  GDAL COG" in done.stdout
    assert "missing  GDAL HTTP" in done.stdout


def test_an_engine_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from l8s2.predictors import engines

    def fails() -> None:
        raise RuntimeError("libopenvino.so: cannot open\nmore")

    monkeypatch.setattr(engines, "openvino_core", fails)
    status, text = told("--offline")["engine"]
    assert status == "problem"
    assert text == "RuntimeError: libopenvino.so: cannot open; pip install -U openvino"
    assert run("--offline").exit_code == 1


def test_what_interrupted_commands_left(tmp_path: Path) -> None:
    assert "of interrupted" not in told("--offline")["cache"][1]
    scenes = tmp_path / "cache" / "l8s2" / "scenes"
    scenes.mkdir(parents=True)
    (scenes / "x").write_text("x")
    assert f"of interrupted commands in {scenes}" in told("--offline")["cache"][1]


@pytest.mark.posix
def test_what_killed_runs_left_in_an_output(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert told(out)["output"][1] == f"{out}: No such file or directory; give a folder of products"
    assert run(out).exit_code == 1
    with WholeFolder(out / "a_S2L") as whole:
        left = out / ".b_S2L.0123abcd"
        left.mkdir()
        (left / "owner").write_text("process 1 of elsewhere")
        found = told(out)
        assert found["at work"] == ("ok", f"{whole.scratch}: 0.0 MB, {(whole.scratch / 'owner').read_text()}")
        status, text = found["left by a killed run"]
        assert status == "problem"
        assert text.startswith(f"{left}: 0.0 MB, process 1 of elsewhere, which was killed; `resume` goes on")
        assert "--overwrite removes it" in run(out).stdout
        with WholeFolder(out / "b_S2L", overwrite=True) as other:
            other.publish()
        assert not left.exists()
        assert whole.workspace.is_dir()
    shutil.rmtree(out / "b_S2L")
    out.mkdir(exist_ok=True)
    assert told(out) == {"output": ("ok", f"{out}: no unfinished run has left anything")}


def test_no_room_and_no_place_for_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "ROOM", 1e18)
    assert told("--offline")["cache"][0] == "problem"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    status, text = told("--offline")["cache"]
    assert status == "problem"
    assert "set XDG_CACHE_HOME" in text
    assert run("--offline").exit_code == 0


@pytest.fixture
def catalogs(tmp_path: Path) -> Iterator[Path]:
    pytest.importorskip("pystac_client")
    from making.items import front, landing

    names = ("usgs", "planetary-computer", "earth-search", "cdse")
    with front(lambda path, body: landing("http://127.0.0.1")) as well, front(lambda path, body: {}) as ill:
        ill.always = (500, {}, "no")
        urls = dict(zip(names, (well.url, ill.url, "http://127.0.0.1:9", well.url), strict=True))
        path = tmp_path / "catalogs.toml"
        path.write_text("".join(f'[{name}]\nurl = "{url}"\n' for name, url in urls.items()))
        yield path


def test_which_catalogues_answer(catalogs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told("--catalog-file", catalogs)
    assert [found[f"catalogue {name}"][0] for name in ("usgs", "planetary-computer", "earth-search", "cdse")] == [
        "ok", "problem", "problem", "ok",
    ]  # fmt: skip
    assert "500" in found["catalogue planetary-computer"][1]
    assert "connection refused" in found["catalogue earth-search"][1]
    (tmp_path / "config" / "l8s2").mkdir(parents=True)
    catalogs.rename(tmp_path / "config" / "l8s2" / "catalogs.toml")
    assert told()["catalogue usgs"][0] == "ok"


def test_a_file_of_catalogues_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[")
    status, text = told("--offline", "--catalog-file", tmp_path / "bad.toml")["catalogues"]
    assert status == "problem"
    assert "not valid TOML" in text
