"""What a figure of a series shows, and what is refused before any work is done."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zarr")
pytest.importorskip("exactextract")
pytest.importorskip("matplotlib", reason="needs the extra cube")
from click.testing import CliRunner
from matplotlib.colors import to_hex
from PIL import Image

from l8s2.cli import main
from l8s2.cube.plot import CLEAR, draw, save_plot
from l8s2.cube.table import Row
from making.cubes import BOX, NOON, both_sensors


def row(name: str = "a", band: str = "ndvi", *, days: float = 0, sensor: str = "oli", mean: float = 0.5,
        sigma: float = 0.03, clear: float = 1.0) -> Row:  # fmt: skip
    when = (NOON + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    sigma = sigma if sensor == "oli" else math.nan
    return {"id": name, "time": when, "sensor": sensor, "band": band, "mean": mean, "sigma": sigma,
            "clear_fraction": clear}  # fmt: skip


def season(names: int, bands: list[str], days: range) -> list[Row]:
    return [
        row(f"field {n}", band, days=day, sensor=("msi", "oli")[k % 2], mean=0.4 + 0.3 * math.sin(day / 60 + n))
        for n in range(names)
        for k, day in enumerate(days)
        for band in bands
    ]


@pytest.mark.parametrize(
    ("rows", "panels"),
    [
        ([row()], 1),
        ([row(mean=math.nan, sigma=math.nan, clear=0.0)], 1),
        (season(1, ["red", "nir08"], range(0, 30, 7)), 2),
        (season(20, ["ndvi"], range(0, 365, 40)), 20),
        (season(3, ["ndvi", "red"], range(0, 4 * 365, 90)), 6),
    ],
    ids=["one observation", "one under cloud", "two bands", "twenty fields", "four years"],
)
def test_every_value_lies_in_its_panel_and_no_labels_overlap(rows: list[Row], panels: int) -> None:
    figure = draw(rows, "title")
    figure.draw_without_rendering()
    assert len(figure.axes) == panels
    labelled = [axes for axes in figure.axes if axes.get_xlabel()]
    assert {axes.get_xlabel() for axes in labelled} == {"date (UTC)"}
    for axes in figure.axes:
        of_panel = [r for r in rows if r["id"] == axes.get_title() and r["band"] in axes.get_ylabel().lower()]
        low, high = axes.get_ylim()
        assert 0.03 < high - low <= 2.1
        known = [(r["mean"], np.nan_to_num(r["sigma"])) for r in of_panel if math.isfinite(r["mean"])]
        assert all(low < mean - sigma and mean + sigma < high for mean, sigma in known)
        assert 4 <= axes.get_xlim()[1] - axes.get_xlim()[0] <= 1.1 * 4 * 365
        shown = [t.get_window_extent() for t in axes.get_xticklabels() if t.get_text()]
        assert len(shown) >= 2
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(shown))
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    around = [figure.legends[0].get_window_extent(), *(text.get_window_extent() for text in figure.texts)]
    assert not any(a.overlaps(b) for a, b in itertools.combinations([*boxes, *around], 2))
    assert all(figure.bbox.containsx(x) for box in around for x in (box.x0, box.x1))


def test_sensors_differ_by_marker_and_colour_and_the_unclear_is_pale() -> None:
    rows = [row(days=day, sensor=s, clear=c) for day, s, c in
            ((0, "oli", 1.0), (1, "msi", CLEAR), (2, "oli", CLEAR - 0.01), (3, "msi", 0.1))]  # fmt: skip
    (axes,) = draw([*rows, row(days=4, mean=math.nan, sigma=math.nan, clear=0.0)], "title").axes
    found = {bars.get_label(): bars for bars in axes.containers}
    assert list(found) == ["Landsat, harmonised", "Landsat, harmonised, less than 90% clear", "Sentinel-2",
                           "Sentinel-2, less than 90% clear"]  # fmt: skip
    markers = [bars.lines[0] for bars in found.values()]  # type: ignore[attr-defined]
    assert [line.get_alpha() for line in markers] == [1.0, 0.3, 1.0, 0.3]
    assert [line.get_marker() for line in markers] == ["o", "o", "s", "s"]
    colours = np.array([[int(to_hex(line.get_color())[i : i + 2], 16) for i in (1, 3, 5)] for line in markers])
    grey = colours @ [0.299, 0.587, 0.114]
    assert abs(grey[0] - grey[2]) > 20  # told apart without any colour
    ends = [np.ptp(bars.lines[2][0].get_segments()[0][:, 1]) for bars in list(found.values())[:2]]  # type: ignore[attr-defined]
    np.testing.assert_allclose(ends, 0.06)
    assert not found["Sentinel-2"].lines[2]  # type: ignore[attr-defined]
    assert [line.get_label() for line in axes.lines if line.get_marker() == "|"] == ["no clear pixel"]


def test_an_index_of_dark_pixels_does_not_flatten_the_rest() -> None:
    figure = draw([row(), row(days=3, mean=-7.0, sigma=9.0)], "title")
    assert figure.axes[0].get_ylim() == pytest.approx((-1.12, 1.12))
    assert "Beyond ±1 and not shown: 1" in figure.get_supxlabel().replace("\n", " ")


def test_any_name_can_be_drawn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    from xml.etree import ElementTree

    rows = [row(name) for name in ("a $x_1$ b", "வயல்", "<&>\x00", "long " * 60)]
    for ending in ("png", "svg"):
        save_plot(rows, tmp_path / f"s.{ending}", "$^")
    ElementTree.parse(tmp_path / "s.svg")
    assert not [w for w in recwarn if "Glyph" in str(w.message)]
    first = (tmp_path / "s.svg").read_bytes()
    save_plot(rows, tmp_path / "s.svg", "$^")
    assert (tmp_path / "s.svg").read_bytes() == first


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cube of both sensors and three points."""
    folder = tmp_path_factory.mktemp("cube")
    both_sensors(folder)
    extent = BOX.geographic_extent.boundingbox
    middle = (extent.bottom + extent.top) / 2
    features = [
        {"type": "Feature", "id": name, "properties": {}, "geometry": {"type": "Point", "coordinates": [x, middle]}}
        for name, x in zip("abc", np.linspace(extent.left, extent.right, 5)[1:4].tolist(), strict=True)
    ]
    (folder / "p.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return folder


def run(place: Path, out: Path, *more: str) -> Any:
    points = str(place / "p.geojson")
    return CliRunner().invoke(main, ["extract", str(place / "c.zarr"), "--points", points, "-o", str(out), *more])


def test_the_command_draws_what_is_asked_for(place: Path, tmp_path: Path) -> None:
    ran = run(place, tmp_path / "o.csv", "--index", "ndvi", "--plot", str(tmp_path / "new/o.svg"))
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.split() == [str(tmp_path / "o.csv"), str(tmp_path / "new/o.svg")]
    drawn = (tmp_path / "new/o.svg").read_text(encoding="utf-8")
    for said in ("c: points of p.geojson", "NDVI", "Sentinel-2", "Landsat, harmonised", "date (UTC)", "k = 1"):
        assert said in drawn
    assert "reflectance (1)" not in drawn
    ran = run(place, tmp_path / "all.csv", "--plot", str(tmp_path / "all.PNG"))
    assert ran.exit_code == 0, ran.output
    with Image.open(tmp_path / "all.PNG") as image:
        assert image.format == "PNG"
        assert max(image.size) < 6000


@pytest.mark.parametrize(
    ("file", "index", "said"),
    [
        ("o.pdf", [], "neither .png nor .svg; give --plot"),
        ("there.png", ["--index", "ndvi"], "exists already; give --overwrite"),
        ("o.png", [], "3 fields with 6 bands or indices each are 18 panels, more than 17; give fewer fields, or one"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_any_work(
    place: Path, tmp_path: Path, file: str, index: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l8s2.cube.plot.PANELS", 17)
    (tmp_path / "there.png").write_text("mine")
    ran = run(place, tmp_path / "o.csv", "--plot", str(tmp_path / file), *index)
    assert ran.exit_code == 1
    assert said in " ".join(ran.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


def test_without_matplotlib_it_says_what_to_install(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l8s2.cube.plot.find_spec", lambda name: None)
    assert importlib.util.find_spec("matplotlib")
    ran = run(place, tmp_path / "o.csv", "--plot", str(tmp_path / "o.png"))
    assert ran.exit_code == 1
    assert "pip install 'l8s2[cube]'" in " ".join(ran.stderr.split())
    assert run(place, tmp_path / "o.csv").exit_code == 0
