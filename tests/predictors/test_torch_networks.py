"""Networks of the module contract, from a folder to a product.

Tiles without trace, no sigma, no no-pan model, dropout, memory.
"""

import gc
import json
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from rio_cogeo import cog_validate

torch = pytest.importorskip("torch")

from l8s2 import masks  # noqa: E402
from l8s2.arrays import enlarge  # noqa: E402
from l8s2.cli import main  # noqa: E402
from l8s2.errors import InputError  # noqa: E402
from l8s2.evaluation.cases import Case  # noqa: E402
from l8s2.evaluation.evaluate import outputs  # noqa: E402
from l8s2.landsat.scene import open_scene  # noqa: E402
from l8s2.models import hub  # noqa: E402
from l8s2.models.folder import save_model_folder  # noqa: E402
from l8s2.models.onnx_export import export_onnx  # noqa: E402
from l8s2.networks import Compact, CompactConfig, build  # noqa: E402
from l8s2.pipeline.estimate import plan_product  # noqa: E402
from l8s2.pipeline.options import ProductOptions  # noqa: E402
from l8s2.pipeline.tiles import predict_tiles  # noqa: E402
from l8s2.predictors.engines import OpenVinoNetwork  # noqa: E402
from l8s2.predictors.ensemble import Ensemble, MonteCarlo  # noqa: E402
from l8s2.predictors.load import load_model  # noqa: E402
from l8s2.predictors.network_predictor import LARGEST_TILE, NetworkPredictor  # noqa: E402
from l8s2.predictors.options import ModelOptions  # noqa: E402
from l8s2.predictors.torch_network import TorchNetwork  # noqa: E402
from l8s2.radiometry import NODATA  # noqa: E402
from making.scenes import ID, make, ms_grid, pan_of, rewrite  # noqa: E402

SMALL = {"growth_factor": 3}


def network(seed: int = 0, **config: Any) -> Any:
    """A UNet whose weights are such that it looks far."""
    torch.manual_seed(seed)
    net = build("UNet", {**SMALL, **config}).eval()
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim == 4:
                weight.normal_(0, (1.5 / weight[0].numel()) ** 0.5)
    return net


def predictor(net: Any, name: str = "net") -> NetworkPredictor:
    return NetworkPredictor(name, "00" * 32, TorchNetwork(lambda: net, 1), None)


def saved(folder: Path, seed: int = 0, **config: Any) -> Path:
    save_model_folder(network(seed, **config), "UNet", {**SMALL, **config}, folder, "made for a test")
    return folder


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("in"), ms_grid(84, 101))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make(tmp_path / "small", ms_grid(30, 26))


def harmonize(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["harmonize", *map(str, arguments)])


def read(folder: Path, name: str) -> Any:
    with rasterio.open(folder / f"{ID}_S2L" / f"{ID}_{name}.tif") as dataset:
        return dataset.read()


def properties(folder: Path) -> Any:
    return json.loads((folder / f"{ID}_S2L" / f"{ID}.json").read_text())["properties"]


def assembled(
    model: Any, path: Path, rows: slice, columns: slice, tile: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and sigma of a window of a scene, side by side."""
    result = np.empty((2, 6, 3 * (rows.stop - rows.start), 3 * (columns.stop - columns.start)), np.float32)
    with open_scene(path) as scene:
        for t in predict_tiles(scene, model, rows, columns, tile):
            at = [
                slice(3 * (s.start - f.start), 3 * (s.stop - f.start))
                for s, f in ((t.rows, rows), (t.columns, columns))
            ]
            result[0][:, *at], result[1][:, *at] = t.mean, t.sigma
    return result[0], result[1]


@pytest.mark.parametrize(
    "config",
    [
        {"depth": 3, "gaussian": True},
        {"depth": 4, "up_mode": "shuffle", "input_alignment": "corners"},
        {"depth": 5},
    ],
    ids=["3", "4", "5"],
)
def test_neither_tile_nor_area_changes_a_number(product: Path, config: dict[str, Any]) -> None:
    model = predictor(network(**config))
    rows, columns = slice(0, 84), slice(0, 101)
    whole = assembled(model, product, rows, columns, 512)
    assert np.nanstd(whole[0]) > 0.01
    part = slice(13, 72), slice(22, 97)  # begins at no multiple of any stride
    inside = [slice(3 * s.start, 3 * s.stop) for s in part]
    for tile in (41, 19) if config["depth"] < 5 else (41,):
        for found, expected in zip(assembled(model, product, rows, columns, tile), whole, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)
    for found, expected in zip(assembled(model, product, *part, 30), whole, strict=True):
        np.testing.assert_allclose(found, expected[:, *inside], atol=1e-5)


def test_a_no_pan_model_with_strides_leaves_no_seams(tmp_path: Path) -> None:
    def hole(x: NDArray[Any]) -> NDArray[Any]:
        x[:, 31:77, 40:90] = 0
        return x

    path = make(tmp_path, ms_grid(60, 70))
    rewrite(pan_of(path), hole)
    no_pan = predictor(network(1, depth=4, in_channels=6), "no pan")
    model = NetworkPredictor("net", "", TorchNetwork(lambda: network(depth=3), 1), no_pan)
    rows, columns = slice(0, 60), slice(0, 70)
    whole, parts = (assembled(model, path, rows, columns, tile)[0] for tile in (512, 27))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_predict_is_the_pipeline(product: Path) -> None:
    model = predictor(network(depth=4))
    with open_scene(product) as scene:
        pixels = scene.read(slice(0, 84), slice(0, 101))
    model.tile = 37
    mean, sigma = model.predict(pixels.ms, pixels.pan)
    np.testing.assert_allclose(mean, assembled(model, product, slice(0, 84), slice(0, 101), 512)[0], atol=1e-5)
    assert np.isnan(sigma).all()


@pytest.mark.parametrize("corrected", [True, False])
def test_a_model_gets_pan_with_or_without_the_sun_as_it_was_trained(product: Path, corrected: bool) -> None:
    rows, columns = slice(0, 84), slice(0, 101)
    with open_scene(product) as scene:
        pixels, elevation = scene.read(rows, columns), scene.sun_elevation
    assert pixels.pan is not None
    assert elevation is not None
    pan = pixels.pan if corrected else pixels.pan * np.float32(np.sin(np.radians(elevation)))
    expected, _ = predictor(network(depth=3)).predict(pixels.ms, pan)
    model = predictor(network(depth=3, pan_sun_corrected=corrected))
    inner = (..., slice(60, -60), slice(60, -60))  # what stands in for pan beyond the image is another constant
    np.testing.assert_allclose(assembled(model, product, rows, columns, 512)[0][inner], expected[inner], atol=1e-5)
    found, _ = model.predict(pixels.ms, pixels.pan, sun_elevation=elevation)
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)


def uncorrected(seed: int = 0) -> NetworkPredictor:
    """A network that was trained on pan without the division by the sine of the sun's elevation."""
    return predictor(network(seed, depth=3, pan_sun_corrected=False), f"uncorrected{seed}")


def arrays(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return rng.random((6, 20, 20), np.float32), rng.random((40, 40), np.float32)


@pytest.mark.parametrize("sun", [None, 0.0, -3.0, 90.5, float("nan")])
def test_without_its_sun_elevation_uncorrected_pan_cannot_be_had(sun: float | None) -> None:
    model, (ms, pan) = uncorrected(), arrays()
    with pytest.raises(
        InputError, match=rf"model uncorrected0: sun_elevation={sun}, .*; give predict the sun_elev"
    ) as error:
        model.predict(ms, pan, sun_elevation=sun)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="sun_elevation"):
        Ensemble([predictor(network(depth=3)), model]).predict(ms, pan, sun_elevation=sun)
    predictor(network(depth=3)).predict(ms, pan, sun_elevation=sun)  # corrected pan needs no sun


def test_suns_of_one_predictor_do_not_meet() -> None:
    """Neither one after the other, nor at the same time."""
    model, (ms, pan) = uncorrected(), arrays()
    suns = [20.0, 60.0, 90.0, 35.0] * 3
    alone = {sun: uncorrected().predict(ms, pan, sun_elevation=sun)[0] for sun in suns}
    assert not np.allclose(alone[20.0], alone[60.0], atol=1e-3)
    for sun in suns:
        np.testing.assert_array_equal(model.predict(ms, pan, sun_elevation=sun)[0], alone[sun])
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda sun: model.predict(ms, pan, sun_elevation=sun)[0], suns))
    for sun, found in zip(suns, together, strict=True):
        np.testing.assert_allclose(found, alone[sun], atol=1e-6)
    with pytest.raises(InputError, match="sun_elevation=None"):
        model.predict(ms, pan)  # no sun is remembered


def test_an_ensemble_gives_every_member_the_pan_it_was_trained_on() -> None:
    ms, pan = arrays()
    members = [predictor(network(1, depth=3), "corrected"), uncorrected(2)]
    mean, sigma = Ensemble(members).predict(ms, pan, sun_elevation=30.0)
    one = members[0].predict(ms, pan)[0]
    other = uncorrected(2).predict(ms, pan, sun_elevation=30.0)[0]
    np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-5)
    np.testing.assert_allclose(sigma, np.abs(one - other) / 2, atol=1e-5)


def test_an_area_is_a_part_of_the_product(product: Path, tmp_path: Path) -> None:
    model = saved(tmp_path / "unet", depth=4, gaussian=True)
    assert harmonize(product, "-o", tmp_path / "whole", "--model", model).exit_code == 0
    box = (14.2955, 51.0715, 14.3155, 51.0855)
    assert harmonize(product, "-o", tmp_path / "part", "--model", model, "--bbox", *box).exit_code == 0
    with (
        rasterio.open(tmp_path / "whole" / f"{ID}_S2L" / f"{ID}_SR.tif") as whole,
        rasterio.open(tmp_path / "part" / f"{ID}_S2L" / f"{ID}_SR.tif") as part,
    ):
        assert part.shape < whole.shape
        window = whole.window(*part.bounds).round_offsets().round_lengths()
        assert np.abs(whole.read(window=window).astype(int) - part.read()).max() <= 1


def test_without_sigma_the_product_says_so(small: Path, tmp_path: Path) -> None:
    model = saved(tmp_path / "unet", depth=3)
    for options in ((), ("--crs", "EPSG:3035"), ("--no-sigma",)):
        out = tmp_path / f"out{len(options)}{options[-1:]}".replace(":", "")
        done = harmonize(small, "-o", out, "--model", model, *options)
        assert done.exit_code == 0, done.stderr
        assert done.stderr.count("gives no uncertainty") == 1
        assert properties(out)["l8s2:sigma"] == {"kind": "none", "reason": "the model gives no uncertainty"}
        assert sum("gives no uncertainty" in line for line in properties(out)["l8s2:warnings"]) == 1
        assert (read(out, "SR") != NODATA).any()
        assert not (read(out, "QA") & masks.flag("do_not_trust")).any()
        if "--no-sigma" not in options:
            assert (read(out, "SIGMA") == NODATA).all()
            assert cog_validate(out / f"{ID}_S2L" / f"{ID}_SIGMA.tif", quiet=True)[0]
    assert properties_of_compact(small, tmp_path)["l8s2:sigma"]["kind"] == "total"


def properties_of_compact(product: Path, folder: Path) -> Any:
    assert harmonize(product, "-o", folder / "compact").exit_code == 0
    return properties(folder / "compact")


def test_where_pan_is_missing_a_network_that_needs_it_has_no_answer(small: Path, tmp_path: Path) -> None:
    def hole(x: NDArray[Any]) -> NDArray[Any]:
        x[:, 20:30, 30:44] = 0
        x[:, 41, 9] = 0  # one of the four samples under an MS pixel: guessed
        return x

    model = saved(tmp_path / "unet", depth=3, gaussian=True)
    assert harmonize(small, "-o", tmp_path / "full", "--model", model).exit_code == 0
    rewrite(pan_of(small), hole)
    assert harmonize(small, "-o", tmp_path / "out", "--model", model).exit_code == 0
    expected = np.zeros((30, 26), bool)
    expected[10:15, 15:22] = True
    expected = enlarge(expected)
    qa = read(tmp_path / "out", "QA")[0]
    for flag in ("no_pan", "fill"):
        np.testing.assert_array_equal((qa & masks.flag(flag)) > 0, expected)
    for name in ("SR", "SIGMA"):
        np.testing.assert_array_equal((read(tmp_path / "out", name) == NODATA).all(0), expected)
        np.testing.assert_array_equal((read(tmp_path / "out", name) == NODATA).any(0), expected)
    assert not (read(tmp_path / "full", "QA") & masks.flag("no_pan")).any()
    both = harmonize(small, "-o", tmp_path / "both", "--model", f"{model},compact")
    assert both.exit_code == 0, both.stderr
    assert (read(tmp_path / "both", "SR") != NODATA).all()  # what has a no-pan model answers alone
    assert ((read(tmp_path / "both", "QA")[0] & masks.flag("no_pan")) > 0)[expected].all()


def test_without_pan_a_network_that_needs_it_is_refused(tmp_path: Path) -> None:
    product = make(tmp_path / "in", with_pan=False)
    model = saved(tmp_path / "unet", depth=3)
    done = harmonize(product, "-o", tmp_path / "out", "--model", model)
    assert done.exit_code == 1
    assert "l8s2: model unet needs pan; give it with --pan, or take --model compact-nopan" in done.stderr.splitlines()
    assert not (tmp_path / "out").exists()
    blind = saved(tmp_path / "blind", depth=3, in_channels=6)
    assert harmonize(product, "-o", tmp_path / "out", "--model", blind).exit_code == 0
    assert (read(tmp_path / "out", "QA") & masks.flag("no_pan")).all()


def test_evaluate_takes_no_sigma_for_what_has_none() -> None:
    rng = np.random.default_rng(0)
    ms, pan = rng.random((6, 12, 12), np.float32), rng.random((24, 24), np.float32)
    case = Case(
        id="",
        ms=ms,
        pan=pan,
        truth=None,
        valid=np.ones((12, 12), bool),
        bands_known=(True,) * 6,
        lattice=None,
        strata={},
    )
    models = {"plain": predictor(network(depth=3)), "gaussian": predictor(network(depth=3, gaussian=True))}
    made = dict(outputs(case, models))
    assert made["plain"].sigma is None
    assert made["gaussian"].sigma is not None


def test_released_networks_leave_the_memory_and_come_back() -> None:
    made: list[Any] = []

    def build_one() -> Any:
        net = network(depth=3)
        made.append(weakref.ref(net))
        return net

    net = TorchNetwork(build_one, 1)
    ms, pan = np.full((6, 16, 16), 0.2, np.float32), np.full((32, 32), 0.2, np.float32)
    before = net(ms, pan)
    assert len(made) == 2  # once to be asked what it is
    assert made[1]() is not None
    net.release()
    gc.collect()
    assert [one() for one in made] == [None, None]
    np.testing.assert_array_equal(net(ms, pan)[0], before[0])
    gc.collect()
    assert len([one for one in made if one() is not None]) == 1


def test_an_ensemble_holds_one_network_at_a_time() -> None:
    alive: list[int] = []
    made: list[Any] = []

    class Counted(Compact):
        def forward(self, ms: Any, pan: Any = None) -> Any:
            gc.collect()
            alive.append(sum(one() is not None for one in made))
            return super().forward(ms, pan)

    def build_one() -> Any:
        net = Counted(CompactConfig(pan=False, width=8, blocks=1))
        made.append(weakref.ref(net))
        return net

    members = [NetworkPredictor(name, "", TorchNetwork(build_one, 1), None) for name in "abc"]
    Ensemble(members).predict(np.full((6, 20, 20), 0.2, np.float32), None)
    assert set(alive) == {1}


def test_wide_networks_get_small_tiles() -> None:
    compact = predictor(Compact(CompactConfig(width=8, blocks=1)))
    assert compact.tile == load_model("compact-nopan").tile == LARGEST_TILE
    wide = predictor(network(depth=3, growth_factor=6))
    assert 64 < wide.tile < LARGEST_TILE
    for model in (wide, predictor(network(depth=4, growth_factor=5))):
        assert model.memory((model.tile + 2 * model.margin) ** 2) < 6e9
    assert wide.memory(10_000) > 2 * compact.memory(10_000)


def test_the_plan_knows_the_model(product: Path, tmp_path: Path) -> None:
    plan = plan_product(product, ProductOptions(model=ModelOptions(model=saved(tmp_path / "unet", depth=3))))
    assert plan.seconds > 0
    assert 4e8 < plan.memory_bytes < 6e9


def test_the_plain_module() -> None:
    net = network(depth=3)
    assert predictor(net).module is net.network
    assert isinstance(load_model("compact-nopan", engine="torch").module, Compact)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="compact-nopan is no plain PyTorch module; load it with engine='torch'"):
        _ = load_model("compact-nopan").module  # type: ignore[attr-defined]


def answer(model: Any) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    mean, _ = model.predict(rng.random((6, 20, 20), np.float32), rng.random((40, 40), np.float32))
    return np.asarray(mean)


def test_models_from_disk(tmp_path: Path) -> None:
    folder = saved(tmp_path / "unet", depth=3)
    expected = answer(predictor(network(depth=3)))
    torch.save(network(depth=3).network.state_dict(), folder / "pytorch_model.bin")
    for given in (folder, str(folder), folder / "model.safetensors", folder / "pytorch_model.bin"):
        np.testing.assert_array_equal(answer(load_model(given)), expected)
    comma = saved(tmp_path / "a,b", depth=3)
    assert load_model(str(comma)).name == "a,b"


def test_a_compact_model_from_a_folder_keeps_its_no_pan_model(tmp_path: Path) -> None:
    config = {"width": 8, "blocks": 1}
    save_model_folder(build("Compact", config), "Compact", config, tmp_path / "mine", "")
    no_pan = load_model(tmp_path / "mine").no_pan_model
    assert no_pan is not None
    assert no_pan.name == "compact-nopan"


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were asked of the Hub, which has one model under every name."""
    names: list[str] = []
    folders = {name: saved(tmp_path / str(i), i, depth=3) for i, name in enumerate((*hub.PUBLISHED, "me/mine"))}

    def fetch(name: str) -> Path:
        names.append(name)
        return folders[name]

    monkeypatch.setattr(hub, "fetch", fetch)
    return names


def test_models_from_the_hub(fetched: list[str]) -> None:
    load_model("me/mine")
    assert fetched == ["me/mine"]
    both = load_model("me/mine,compact")
    assert both.name.endswith("+compact")
    del fetched[:]
    published = load_model("published-ensemble")
    assert fetched == list(hub.PUBLISHED)
    assert published.name == "0+1+2+3"
    mean, sigma = published.predict(np.full((6, 16, 16), 0.2, np.float32), np.full((32, 32), 0.2, np.float32))
    assert (sigma > 0).any()
    assert np.isfinite(mean).all()


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.usefixtures("no_torch")
def test_what_needs_torch_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "s2l8hModel", "depth": 3}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    for given in (lambda: load_model(tmp_path), lambda: load_model(engine="torch")):
        with pytest.raises(InputError, match=r"needs torch; install it with: pip install 'l8s2\[torch\]'"):
            given()


def test_dropout_gives_a_spread_that_is_the_same_every_time(small: Path, tmp_path: Path) -> None:
    folder = saved(tmp_path / "unet", depth=3, dropout=0.2)
    with open_scene(small) as scene:
        pixels = scene.read(slice(0, 30), slice(0, 26))
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    first, again = (load_model(folder, mc_dropout=5).predict(pixels.ms, pixels.pan) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(first, again)
    assert (first[1] > 0).mean() > 0.99
    assert harmonize(small, "-o", tmp_path / "out", "--model", folder, "--mc-dropout", 5).exit_code == 0
    assert properties(tmp_path / "out")["l8s2:mc_dropout"] == 5
    np.testing.assert_allclose(read(tmp_path / "out", "SR") * 1e-4, first[0], atol=6e-5)


def test_dropout_is_the_moments_of_its_samples() -> None:
    net = network(depth=3, dropout=0.3, gaussian=True)
    plain = TorchNetwork(lambda: net, 1)
    ms, pan = np.full((6, 8, 12), 0.2, np.float32), np.full((16, 24), 0.25, np.float32)
    sure = plain(ms, pan)
    mean, sigma = MonteCarlo(plain, 4, seed=7)(ms, pan)
    torch.manual_seed(7)
    for layer in net.modules():
        if isinstance(layer, torch.nn.Dropout2d):
            layer.train()
    samples = [plain(ms, pan) for _ in range(4)]
    net.eval()
    means, sigmas = (np.stack([sample[i] for sample in samples]) for i in (0, 1))
    np.testing.assert_allclose(mean, means.mean(0), atol=1e-6)
    np.testing.assert_allclose(sigma, np.sqrt((sigmas**2).mean(0) + means.var(0)), rtol=1e-4)
    assert not np.allclose(mean, MonteCarlo(plain, 4, seed=8)(ms, pan)[0])
    np.testing.assert_array_equal(plain(ms, pan)[0], sure[0])  # and then nothing is dropped any more


def test_dropout_leaves_no_seams(product: Path) -> None:
    net = network(depth=3, dropout=0.2)
    model = NetworkPredictor("net", "", MonteCarlo(TorchNetwork(lambda: net, 1), 3), None)
    rows, columns = slice(0, 84), slice(0, 101)
    whole, parts = (assembled(model, product, rows, columns, tile) for tile in (512, 40))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_dropout_that_is_not_there_is_refused(small: Path, tmp_path: Path) -> None:
    folder = saved(tmp_path / "unet", depth=3)
    for model, name in ((folder, "unet"), ("compact", "compact"), (f"{folder},compact", "unet")):
        done = harmonize(small, "-o", tmp_path / "out", "--model", model, "--mc-dropout", 4)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"l8s2: model {name}: has no dropout; ")
        assert len(done.stderr.splitlines()) == 1
    assert harmonize(small, "-o", tmp_path / "out", "--mc-dropout", 1).exit_code == 2
    with pytest.raises(InputError, match=r"^`mc_dropout` 1: only two predictions or more differ; take 10$"):
        load_model(model, mc_dropout=1)


def test_unets_in_onnx_run_in_openvino(tmp_path: Path) -> None:
    net = network(depth=2)
    path = tmp_path / "unet.onnx"
    export_onnx(net, path, architecture="UNet", config={**SMALL, "depth": 2}, card={"name": "unet"})
    model = load_model(path, threads=1)
    assert isinstance(model, NetworkPredictor)
    assert isinstance(model._network, OpenVinoNetwork)
    assert (model._network.stride, model.no_pan_model) == (2, None)
    rng = np.random.default_rng(0)
    ms, pan = rng.random((6, 21, 17), np.float32), rng.random((42, 34), np.float32)
    for a, b in zip(model.predict(ms, pan), predictor(net).predict(ms, pan), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    with pytest.raises(InputError, match=r"network\.\S+ was changed by the exporter; give a model folder"):
        load_model(path, engine="torch")
