"""Models of the Hub, against a small one on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("huggingface_hub")

from l8s2 import networks  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.models import hub  # noqa: E402
from l8s2.models.folder import open_model_folder, save_model_folder  # noqa: E402
from making.hub_server import Hub, Repository, environment, serving, use  # noqa: E402

CONFIG = {"depth": 2, "growth_factor": 3}


def network() -> Any:
    torch.manual_seed(0)
    return networks.build("UNet", CONFIG).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "m"
    save_model_folder(network(), "UNet", CONFIG, folder, "# card\n")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, bytes]:
    """Files of a repository with safetensors, and code that nobody wants."""
    torch.save(network().network.state_dict(), folder.parent / "weights.bin")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {
        "modeling_evil.py": b"raise SystemExit",
        "pytorch_model.bin": (folder.parent / "weights.bin").read_bytes(),
    }


@pytest.fixture
def pickled(whole: dict[str, bytes]) -> dict[str, bytes]:
    """The same without safetensors."""
    return {name: content for name, content in whole.items() if name != "model.safetensors"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as found:
        use(found, tmp_path, monkeypatch)
        yield found


def refusal(name: str, revision: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        hub.fetch(name, revision)
    (line,) = str(caught.value).splitlines()
    return line


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def same_weights(path: Path) -> None:
    for (_, a), (_, b) in zip(
        open_model_folder(path).build().state_dict().items(), network().state_dict().items(), strict=True
    ):
        assert torch.equal(a, b)


def test_safetensors_are_preferred_and_code_is_left_there(server: Hub, whole: dict[str, bytes]) -> None:
    server.repositories["someone/model"] = Repository(whole)
    path = hub.fetch("someone/model")
    assert server.files_asked() == {"config.json", "model.safetensors", "README.md"}
    assert open_model_folder(path).name == "someone/model"
    same_weights(path)
    server.asked.clear()
    assert hub.fetch("someone/model") == path
    assert server.files_asked() == set()
    assert hub.cached() == {"someone/model": path}


def test_pickled_weights_are_converted_once(
    server: Hub, pickled: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repositories["someone/model"] = Repository(pickled)
    path = hub.fetch("someone/model")
    assert path.is_relative_to(tmp_path / "l8s2" / "models")
    assert server.files_asked() == {"config.json", "pytorch_model.bin", "README.md"}
    assert open_model_folder(path).path.name == "model.safetensors"
    assert open_model_folder(path).name == "someone/model"
    same_weights(path)
    changed = (path / "model.safetensors").stat().st_mtime_ns
    offline(monkeypatch)
    assert hub.fetch("someone/model") == path
    assert (path / "model.safetensors").stat().st_mtime_ns == changed
    assert hub.cached() == {"someone/model": path}


def test_revisions(server: Hub, whole: dict[str, bytes]) -> None:
    server.repositories["someone/model"] = Repository(whole)
    commit = server.repositories["someone/model"].commit
    assert hub.fetch("someone/model", "main").name == hub.fetch(f"someone/model@{commit}").name == commit
    assert "no such revision; see" in refusal("someone/model@v2")


def test_offline_uses_the_cache_or_says_so(
    server: Hub, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repositories["someone/model"] = Repository(whole)
    path = hub.fetch("someone/model")
    server.asked.clear()
    offline(monkeypatch)
    assert hub.fetch("someone/model") == path
    assert (
        refusal("someone/other") == "someone/other: not in the cache, and HF_HUB_OFFLINE is set; fetch it once without"
    )
    assert server.asked == []


def test_gated_models_name_the_token_and_the_page(
    server: Hub, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repositories["someone/model"] = Repository(whole, gated=True)
    page = f"{server.endpoint}/someone/model"
    assert f"accept their terms on {page}, then set HF_TOKEN" in refusal("someone/model")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert f"refused (401); accept its terms on {page}, if any, and set HF_TOKEN" in refusal("someone/model")
    monkeypatch.setenv("HF_TOKEN", server.token)
    same_weights(hub.fetch("someone/model"))


@pytest.mark.parametrize("token", [None, "hf_right"])
def test_unknown_models(server: Hub, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    assert "not on the Hub, or not for everyone; check the name" in refusal("someone/nothing")
    assert "it must be owner/name" in refusal("a/b/c")


def test_a_repository_without_weights(server: Hub, whole: dict[str, bytes]) -> None:
    server.repositories["someone/model"] = Repository({"config.json": whole["config.json"]})
    assert "holds neither model.safetensors nor pytorch_model.bin" in refusal("someone/model")


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_hub_that_refuses_or_fails(server: Hub, status: int) -> None:
    server.failing = status
    assert str(status) in refusal("someone/model")


def test_no_network(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        assert f"{endpoint}/ cannot be reached" in refusal("someone/model")


def test_a_cache_that_cannot_be_written(server: Hub, whole: dict[str, bytes], tmp_path: Path) -> None:
    server.repositories["someone/model"] = Repository(whole)
    (tmp_path / "hub").write_text("a file")
    assert f"check {tmp_path / 'hub'} and its disk" in refusal("someone/model")


def test_an_interrupted_transfer_goes_on(server: Hub, whole: dict[str, bytes]) -> None:
    server.repositories["someone/model"] = Repository(whole)
    server.broken_off = 1
    same_weights(hub.fetch("someone/model"))
    assert server.ranges
    assert all(wanted != "bytes=0-" for wanted in server.ranges)


def test_a_checksum_that_does_not_fit(server: Hub, whole: dict[str, bytes]) -> None:
    server.repositories["someone/model"] = Repository(whole)
    server.falsified = True
    assert "differs from the Hub's checksum and was removed; download it again" in refusal("someone/model")
    server.falsified = False
    same_weights(hub.fetch("someone/model"))


def test_weights_that_are_code_are_not_converted(server: Hub, pickled: dict[str, bytes], tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    torch.save({"x": Payload()}, tmp_path / "evil.bin")
    server.repositories["someone/model"] = Repository(
        pickled | {"pytorch_model.bin": (tmp_path / "evil.bin").read_bytes()}
    )
    assert "l8s2 runs no code from weights" in refusal("someone/model")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "l8s2").exists()


def test_push_makes_the_repository_and_what_it_sends_comes_back(
    server: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["config.json", "model.safetensors", "README.md", "modeling_s2l8h.py"]
    assert hub.push(folder, "someone/model", dry_run=True) == names
    with pytest.raises(InputError, match="set HF_TOKEN"):
        hub.push(folder, "someone/model")
    assert server.asked == []
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match=r"refused \(401\)"):
        hub.push(folder, "someone/model")
    monkeypatch.setenv("HF_TOKEN", server.token)
    with pytest.raises(InputError, match="others/model: "):
        hub.push(folder, "others/model")
    assert hub.push(folder, "someone/model") == names
    assert set(server.repositories["someone/model"].files) == set(names)
    same_weights(hub.fetch("someone/model"))


def test_only_model_folders_with_safetensors_are_sent(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save(network().network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="l8s2 models convert"):
        hub.push(tmp_path, "someone/model", dry_run=True)


def test_as_users_run_it(server: Hub, whole: dict[str, bytes], tmp_path: Path) -> None:
    """The environment variables of the library hold, and stdout has the result alone."""
    server.repositories["someone/model"] = Repository(whole, gated=True)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "l8s2.cli", "models", *arguments]
        env = environment(server, tmp_path / "home", **variables)
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    refused = run("info", "someone/model")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("l8s2: someone/model: its authors ask for consent")
    assert len(refused.stderr.splitlines()) == 1
    done = run("info", "someone/model", "--json", HF_TOKEN=server.token)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["name"] == "someone/model"
    listed = run("list", "--json")
    assert [row["path"] for row in json.loads(listed.stdout) if row["name"] == "someone/model"]
