"""Models of the Hugging Face Hub, downloaded into its cache and sent to it.

No code from there is downloaded, let alone executed. The library's environment variables hold: HF_ENDPOINT, HF_TOKEN,
HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from l8s2._version import __version__
from l8s2.errors import InputError, TryAgainError
from l8s2.files import cache_dir
from l8s2.models.deep_harmonization import MODELLING
from l8s2.models.folder import CARD, CONFIG, FOREIGN_WEIGHTS, WEIGHTS, convert_model, open_model_folder

PUBLISHED = tuple(
    f"venkatesh-thiru/s2l8h-UNet-{depth}depth-{mode}" for depth in (5, 6) for mode in ("upsample", "shuffle")
)
"""The four networks of the published ensemble."""
_BUSY, _UNREACHABLE = "; try again later", "; check the network, or HF_ENDPOINT"
"""Remedies of failures that may pass."""
NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
"""What a model on the Hub is called: owner/name, with @ and a revision where it is not the newest."""


def fetch(name: str, revision: str | None = None) -> Path:
    """Return the folder of a model of the Hub, downloaded where it is not in the cache yet.

    Weights that lie there as pytorch_model.bin alone are converted once, into a folder of l8s2's own cache.

    Args:
        name: owner/name or owner/name@revision.
        revision: branch, tag or commit.

    Raises InputError in one line for whatever goes wrong.
    """
    name, _, given = name.partition("@")
    snapshot = _download(name, revision or given or None, [CONFIG, WEIGHTS, CARD])
    if (snapshot / WEIGHTS).exists():
        _verify(snapshot / WEIGHTS)
        return snapshot
    converted = own_cache() / f"models--{name.replace('/', '--')}" / "snapshots" / snapshot.name
    if not (converted / WEIGHTS).is_file():
        weights = _download(name, snapshot.name, [CONFIG, FOREIGN_WEIGHTS]) / FOREIGN_WEIGHTS
        if not weights.exists():
            raise InputError(
                f"{name}: holds neither {WEIGHTS} nor {FOREIGN_WEIGHTS}; give the name of a model that does"
            )
        _verify(weights)
        try:
            convert_model(snapshot, converted)
        except (OSError, InputError):
            if not (converted / WEIGHTS).is_file():  # otherwise another process was faster
                raise
    return converted


def push(folder: Path, name: str, *, trust_architecture: str | None = None, dry_run: bool = False) -> list[str]:
    """Send a model folder to the Hub as ``name`` (owner/name), made where there is none.

    Returns the names of its files. ``trust_architecture``: as ``open_model_folder``; its code is not sent.
    """
    model = open_model_folder(folder, trust_architecture=trust_architecture)
    names = [n for n in (CONFIG, WEIGHTS, CARD, MODELLING) if (folder / n).is_file()]
    if model.path.name != WEIGHTS:
        raise InputError(f"{folder}: holds {model.path.name}; convert it with l8s2 models convert before")
    model.build()  # or it does not fit
    if dry_run:
        return names
    library = _library()
    if not library.get_token():
        raise InputError(
            f"{name}: sending a model needs a token; set HF_TOKEN to one that may write ({_page('settings/tokens')})"
        )
    with _explained(name):
        api = library.HfApi(library_name="l8s2", library_version=__version__)
        api.create_repo(name, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=names, commit_message=f"l8s2 {__version__}")
    return names


def cached() -> dict[str, Path]:
    """Folders of the models in the library's cache and in l8s2's own, by name; of several revisions the newest."""
    roots = [own_cache()]
    with contextlib.suppress(InputError):
        roots.insert(0, Path(_library().constants.HF_HUB_CACHE))
    configs = [path for root in roots for path in root.glob(f"models--*/snapshots/*/{CONFIG}") if path.is_file()]
    found = {}
    for path in sorted(configs, key=lambda path: path.stat().st_mtime):
        ours = re.search(r'"model_type":\s*"(s2l8hModel|l8s2)"', path.read_text(encoding="utf-8", errors="replace"))
        if ours and (path.parent / WEIGHTS).exists():
            found[path.parents[2].name.removeprefix("models--").replace("--", "/")] = path.parent
    return dict(sorted(found.items()))


def own_cache() -> Path:
    """Where converted weights are kept: $XDG_CACHE_HOME/l8s2/models, by default below ~/.cache."""
    return cache_dir() / "models"


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError:
        raise InputError("models of the Hub need huggingface_hub; install it with: pip install 'l8s2[torch]'") from None
    return huggingface_hub


def _download(name: str, revision: str | None, patterns: list[str]) -> Path:
    """Return the snapshot in the library's cache, with those of the files that there are.

    The progress bar is shown only on a terminal.
    """
    library = _library()

    class Bar(library.utils.tqdm):  # type: ignore[misc, name-defined]
        def __init__(self, *args: Any, **how: Any) -> None:
            super().__init__(*args, **how | {"disable": how.get("disable") or not sys.stderr.isatty()})

    with _explained(name):
        path = library.snapshot_download(
            name,
            revision=revision,
            allow_patterns=patterns,
            tqdm_class=Bar,
            library_name="l8s2",
            library_version=__version__,
        )
    return Path(path)


def _verify(path: Path) -> None:
    """Check a large file of the cache against its checksum, which is its name there; the library does not."""
    if not path.is_symlink():
        return
    blob = path.parent / os.readlink(path)
    if not re.fullmatch("[0-9a-f]{64}", blob.name):
        return
    with path.open("rb") as file:
        damaged = hashlib.file_digest(file, "sha256").hexdigest() != blob.name
    if damaged:
        blob.unlink()
        path.unlink()
        raise InputError(f"{path}: differs from the Hub's checksum and was removed; download it again")


def _page(path: str) -> str:
    return f"{_library().constants.ENDPOINT}/{path}"


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn whatever the library raises into one line."""
    library = _library()
    try:
        yield
    except Exception as error:  # its errors and those of what it goes online with
        reason = _reason(name, error, library.errors)
        raise (TryAgainError if reason.endswith((_BUSY, _UNREACHABLE)) else InputError)(f"{name}: {reason}") from error


def _reason(name: str, error: Exception, errors: Any) -> str:
    chain: list[Any] = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)

    def first(kind: type[Exception]) -> Any:
        return next((e for e in chain if isinstance(e, kind)), None)

    if first(errors.HFValidationError):
        return "no name of a model on the Hub; it must be owner/name"
    if first(errors.GatedRepoError):
        return (
            f"its authors ask for consent; accept their terms on {_page(name)}, "
            "then set HF_TOKEN to a token of that account"
        )
    if first(errors.RevisionNotFoundError):
        return f"has no such revision; see {_page(name)}/commits/main"
    answer = next((e for e in chain if getattr(e, "response", None) is not None), None)
    if answer is not None:
        code = answer.response.status_code
        if isinstance(answer, errors.RepositoryNotFoundError) or code == 404:
            return (
                f"not on the Hub, or not for everyone; check the name on {_page(name)}, "
                "or set HF_TOKEN to a token with access"
            )
        if code in (401, 403):
            return (
                f"refused ({code}); accept its terms on {_page(name)}, if any, "
                "and set HF_TOKEN to a token with the rights"
            )
        return f"the Hub answers {code}{_BUSY}"
    if first(errors.OfflineModeIsEnabled):
        return "not in the cache, and HF_HUB_OFFLINE is set; fetch it once without"
    said = str(chain[-1]).partition("\n")[0]
    if isinstance(error, OSError) and error.errno:
        return f"{said}; check {_library().constants.HF_HUB_CACHE} and its disk"
    return f"{_page('')} cannot be reached ({said}){_UNREACHABLE}"
