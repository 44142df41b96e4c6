"""Every notebook runs from its first cell to its last, and finds what it says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nbclient", reason="needs the extra notebooks")
jupytext = pytest.importorskip("jupytext", reason="needs the extra notebooks")
pytest.importorskip("matplotlib", reason="needs the extra notebooks")

from l8s2.models.hub import PUBLISHED  # noqa: E402
from making.asset_server import assets  # noqa: E402
from making.items import rustac  # noqa: E402
from making.scenes import PAN_ID, make, ms_grid  # noqa: E402
from making.served import usgs_item  # noqa: E402
from making.training_set import made  # noqa: E402

FOLDER = Path(__file__).parents[2] / "notebooks"


def run(name: str, folder: Path, finds: str, *, then: str = "", **environment: object) -> Any:
    """Run a notebook in ``folder``, and ``then`` behind it; returns what ``finds`` is there, and how many figures."""
    from nbclient import NotebookClient

    notebook = jupytext.read(FOLDER / f"{name}.py", fmt="py:percent")
    notebook.cells += jupytext.reads(f"# %%\n{then}\nimport json\nprint(json.dumps({finds}))", fmt="py:percent").cells
    environment = {"OMP_NUM_THREADS": 1, "TMPDIR": folder, "XDG_CACHE_HOME": folder / "cache"} | environment
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, **{key: str(value) for key, value in environment.items()}})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return json.loads(outputs[-1].text.splitlines()[-1]), sum(
        "image/png" in output.get("data", {}) for output in outputs
    )


def test_first_steps_with_the_simulated_scene(tmp_path: Path) -> None:
    finds = "[[float(mean.mean), float(mean.detail), float(mean.sigma)] for mean in field.values()]"
    (*found,), figures = run("first_steps", tmp_path, finds)
    mean, detail, sigma = np.array(found).T
    assert figures == 4
    assert (mean > 0).all()
    assert (mean < 1).all()
    assert (detail > 0).all()
    assert (detail < sigma).all()
    assert (sigma < 0.05).all()


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the public addresses of the published example are on loopback: a catalogue, its files and the Hub."""
    torch = pytest.importorskip("torch")
    for needed in ("huggingface_hub", "transformers", "pystac_client"):
        pytest.importorskip(needed)
    from l8s2 import grid, networks
    from l8s2.models.folder import save_model_folder
    from making.hub_server import Repository, serving

    folder = tmp_path_factory.mktemp("public")
    box = ms_grid(40, 44)
    product = make(folder / "provider", box)
    west, south, east, north = grid.footprint(box)[1]
    with assets(product.parent) as server, serving() as hub:
        for number, name in enumerate(PUBLISHED):
            torch.manual_seed(number)
            config = {"depth": 2, "growth_factor": 2, "up_mode": name.rpartition("-")[2]}
            save_model_folder(networks.build("UNet", config), "UNet", config, folder / str(number), "# tiny\n")
            files = {path.name: path.read_bytes() for path in (folder / str(number)).iterdir()}
            hub.repositories[name] = Repository(files)
        place = (west + east) / 2, (south + north) / 2
        items = [usgs_item(one, server.url, place) for one in (product, product.with_name(PAN_ID))]
        with rustac(items, folder) as catalog:
            window = f"{west + 0.002} {south + 0.002} {east - 0.002} {north - 0.002}"
            yield {"L8S2_CATALOG": catalog, "L8S2_BBOX": window, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder)}


def test_the_published_example_on_loopback(public: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("odc.stac")
    text = (FOLDER / "published_example.py").read_text(encoding="utf-8")
    (loads,) = (cell for cell in text.split("# %%\n") if "find_spec(" in cell)
    fetched = loads.partition("# %% [")[0].replace('find_spec("odc.stac")', "False")
    finds = (
        "[members, ensemble.sizes['y'] / 3 == loaded[0].shape[1], float(np.nanmax(sigma)), l8up.shape[0],"
        " [float(np.nanmax(abs(a - b))) for a, b in zip(loaded, (before, pan))]]"
    )
    (members, whole, largest, bands, apart), figures = run(
        "published_example", tmp_path, finds, then=f"loaded = before, pan\n{fetched}", **public
    )
    assert sorted(members) == sorted(PUBLISHED)
    assert whole
    assert 0 < largest < 10
    assert bands == 6
    assert figures == 1
    assert max(apart) < 1e-6


@pytest.mark.parametrize("real", [True, False], ids=["a set of pairs", "simulated"])
def test_finetuning_gives_a_verdict(tmp_path: Path, real: bool) -> None:
    for needed in ("torch", "accelerate", "pydantic"):
        pytest.importorskip(needed)
    environment: dict[str, object] = {"L8S2_STEPS": 2}
    if real:
        environment["L8S2_PAIRS"] = made(tmp_path / "pairs").folder
    finds = "[result['verdict'], result['use'], result['held_out'], result['psnr'], result['step'], result['model']]"
    (words, use, held_out, psnr, step, model), figures = run("finetune_on_your_region", tmp_path, finds, **environment)
    assert words.startswith("Use" if use else "Keep")
    assert held_out.startswith("real pairs" if real else "simulated")
    assert np.isfinite([psnr[kind] for kind in ("bicubic", "start", "finetuned")]).all()
    assert step == 2
    assert (Path(model) / "model.safetensors").is_file()
    assert figures == 2


def test_the_series_of_a_simulated_season(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for needed in ("zarr", "exactextract"):
        pytest.importorskip(needed)
    finds = "[[[row['id'], row['sensor'], row['mean'], row['sigma']] for row in series], study.rows[-1]]"
    (series, year), figures = run("time_series", tmp_path, finds)
    assert {(name, sensor) for name, sensor, *_ in series} == {
        (name, sensor) for name in ("winter wheat", "maize") for sensor in ("oli", "msi")
    }
    assert all(0 < float(mean) < 1 for *_, mean, _ in series)
    assert all((0 < float(sigma) < 0.1) if sensor == "oli" else not sigma for _, sensor, _, sigma in series)
    assert year["together, clear days"] > year["Sentinel-2, clear days"] > 0
    assert figures == 2
    if request.config.getoption("--write-pictures"):
        (picture,) = tmp_path.glob("*/series.png")
        shutil.copy(picture, FOLDER.parent / "docs/pictures")
