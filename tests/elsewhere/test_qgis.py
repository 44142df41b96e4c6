"""The Processing script with stand-ins for QGIS, and the styles against what is in the rasters."""

from __future__ import annotations

import importlib.util
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from l8s2.cli.harmonize import harmonize
from l8s2.masks import QA_BITS
from l8s2.sensors import BAND_NAMES

FOLDER = Path(__file__).parents[2] / "packaging" / "qgis"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="not a clone of the repository")


class Anything:
    """Takes everything, as the classes of QGIS that only carry values do."""

    File, Folder, LayerDetails = 0, 1, staticmethod(lambda *given: given)

    def __init__(self, *given: Any, **named: Any) -> None:
        self.given = given

    def __getattr__(self, name: str) -> Any:
        return Anything()

    def __call__(self, *given: Any, **named: Any) -> Any:
        return Anything()


class Algorithm:
    """``QgsProcessingAlgorithm``, with parameters as they are given."""

    def __init__(self) -> None:
        self.declared: list[str] = []

    def addParameter(self, parameter: Any) -> None:
        self.declared.append(parameter.given[0])

    def addOutput(self, output: Any) -> None:
        pass

    def parameterAsString(self, parameters: Any, name: str, context: Any) -> str:
        return str(parameters.get(name, ""))

    parameterAsFile = parameterAsString

    def parameterAsBool(self, parameters: Any, name: str, context: Any) -> bool:
        return bool(parameters.get(name))

    def parameterAsExtent(self, parameters: Any, name: str, context: Any, crs: Any) -> Any:
        assert crs.given == ("EPSG:4326",)
        return Extent(parameters.get(name))


class Extent:
    def __init__(self, corners: Any) -> None:
        self.corners = corners

    def isNull(self) -> bool:
        return self.corners is None

    def __getattr__(self, name: str) -> Any:
        return lambda: self.corners[("xMinimum", "yMinimum", "xMaximum", "yMaximum").index(name)]


class Refused(Exception):
    """``QgsProcessingException``."""


class Feedback:
    """Keeps what it is told; is cancelled once it was told so much."""

    def __init__(self, cancel_after: int = 99) -> None:
        self.said: list[tuple[str, Any]] = []
        self.cancel_after = cancel_after

    def isCanceled(self) -> bool:
        return len(self.said) > self.cancel_after

    def __getattr__(self, name: str) -> Any:
        return lambda what: self.said.append((name, what))


class Context(Anything):
    """``QgsProcessingContext``."""

    loaded: list[str]

    def addLayerToLoadOnCompletion(self, layer: str, details: Any) -> None:
        self.loaded.append(layer)


class Layer:
    """``QgsRasterLayer``."""

    styles: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, path: str, name: str) -> None:
        self.name = name

    def loadNamedStyle(self, path: str) -> None:
        self.styles[self.name] = Path(path).name

    def id(self) -> str:
        return self.name


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    core: Any = types.ModuleType("qgis.core")
    core.__getattr__ = lambda name: Anything
    core.QgsProcessingAlgorithm, core.QgsProcessingException, core.QgsRasterLayer = Algorithm, Refused, Layer
    monkeypatch.setitem(sys.modules, "qgis", types.ModuleType("qgis"))
    monkeypatch.setitem(sys.modules, "qgis.core", core)
    spec = importlib.util.spec_from_file_location("l8s2_harmonize", FOLDER / "l8s2_harmonize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAM = """
import json, os, pathlib, sys, time
assert not {"PYTHONHOME", "PROJ_LIB"} & os.environ.keys()
how = sys.argv[2]
print("warning: no pan", file=sys.stderr, flush=True)
print("harmonising: 42 %, 1.3 Mpx/s, 9 s left", file=sys.stderr, flush=True)
if how == "slow":
    time.sleep(60)
if how == "bad":
    sys.exit("l8s2: bad: no such file or folder")
product = pathlib.Path(sys.argv[sys.argv.index("-o") + 1]) / "X_S2L"
product.mkdir(parents=True)
for kind in ("SR", "QA"):
    (product / f"X_{kind}.tif").touch()
print(json.dumps({"product": str(product), "arguments": sys.argv[1:]}))
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "l8s2"
    path.write_text(f"#!{sys.executable}\n{PROGRAM}")
    path.chmod(0o755)
    return str(path)


def given(program: str, how: str, folder: Path, **more: Any) -> dict[str, Any]:
    return {"PROGRAM": program, "FOLDER": how, "OUTPUT": str(folder / "out"), "MODEL": "compact", **more}


@pytest.mark.posix
def test_the_command_runs_outside_of_qgis_and_its_rasters_are_loaded(
    script: Any, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/opt/qgis")
    monkeypatch.setenv("PROJ_LIB", "/opt/qgis/proj")
    feedback, context = Feedback(), Context()
    context.loaded = []
    result = script.L8s2Harmonize().processAlgorithm(given(program, "ok", tmp_path), context, feedback)
    assert result == {"OUTPUT": str(tmp_path / "out"), "PRODUCT": str(tmp_path / "out" / "X_S2L")}
    assert ("pushWarning", "warning: no pan") in feedback.said
    assert ("setProgress", 42) in feedback.said
    assert context.loaded == ["X_SR", "X_QA"]
    assert Layer.styles == {"X_SR": "l8s2_SR.qml", "X_QA": "l8s2_QA.qml"}


@pytest.mark.posix
def test_what_l8s2_says_is_the_error(script: Any, program: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="l8s2: bad: no such file or folder"):
        script.L8s2Harmonize().processAlgorithm(given(program, "bad", tmp_path), Context(), Feedback())
    with pytest.raises(Refused, match="give the path of the command"):
        script.run([str(tmp_path / "nowhere")], Feedback())


@pytest.mark.posix
def test_it_can_be_cancelled(script: Any, program: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="Cancelled"):
        script.L8s2Harmonize().processAlgorithm(given(program, "slow", tmp_path), Context(), Feedback(cancel_after=1))


def test_parameters_become_options_that_there_are(script: Any, tmp_path: Path) -> None:
    algorithm = script.L8s2Harmonize()
    algorithm.initAlgorithm()
    more = {"PAN": "p", "MGRS": "43PHQ ", "EXTENT": (78, 8, 79.5, 9), "OVERWRITE": True}
    command = algorithm.command(given("", "scene", tmp_path, **more), None)
    assert set(algorithm.declared) == {*given("", "", tmp_path, **more), "ARCHIVE"}
    assert command == [
        "l8s2", "harmonize", "scene", "-o", str(tmp_path / "out"), "--model", "compact", "--json", "--pan", "p",
        "--mgrs", "43PHQ", "--bbox", "78.000000", "8.000000", "79.500000", "9.000000", "--overwrite",
    ]  # fmt: skip
    known = {name for parameter in harmonize.params for name in parameter.opts}
    assert {word for word in command if word.startswith("-")} <= known
    for both in ({"ARCHIVE": "a.tar"}, {"FOLDER": ""}):
        with pytest.raises(Refused, match="and not both"):
            algorithm.command(given("", "scene", tmp_path, **both), None)


def style(kind: str) -> Any:
    (renderer,) = ElementTree.parse(FOLDER / f"l8s2_{kind}.qml").getroot().iter("rasterrenderer")
    return renderer


def test_styles_show_what_the_rasters_hold() -> None:
    colours = [BAND_NAMES[int(style("SR").get(f"{colour}Band")) - 1] for colour in ("red", "green", "blue")]
    assert colours == ["red", "green", "blue"]
    assert BAND_NAMES[int(style("SIGMA").get("band")) - 1] == "red"
    ramp = [float(item.get("value")) for item in style("SIGMA").iter("item")]
    assert ramp == sorted(ramp)
    assert ramp[-1] == 0.05
    entries = {int(entry.get("value")): entry.get("label") for entry in style("QA").iter("paletteEntry")}
    for value, label in entries.items():
        names = {bit.name for bit in QA_BITS if value >> bit.bit & 1}
        assert set(label.split(", ")) == (names or {"clean"})
    assert {1 << bit.bit for bit in QA_BITS} <= entries.keys()
