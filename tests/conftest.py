import os
import signal
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy, as the command line has it
# programs that tests start import ``making`` too
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(
    os.pathsep
)

import pytest
from hypothesis import settings

settings.register_profile("l8s2", deadline=None)  # a busy machine is no failure
settings.load_profile("l8s2")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pictures of the documentation are made by tests."""
    parser.addoption("--write-pictures", action="store_true", help="write docs/pictures anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what Windows cannot do."""
    if os.name == "nt":
        for item in items:
            if item.get_closest_marker("posix"):
                item.add_marker(pytest.mark.skip(reason="needs the signals, or the limits, of POSIX"))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C arrives, even where the tests run in the background of a shell that keeps it from them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):  # as nohup leaves the second
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real products, one folder each, that ``L8S2_TEST_DATA`` names."""
    folder = os.environ.get("L8S2_TEST_DATA")
    if not folder:
        pytest.skip("L8S2_TEST_DATA is not set; it names a folder of real Landsat products")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.skip(f"L8S2_TEST_DATA={folder} is not a folder")
    return path
