"""One attempt at one scene: claimed, kept alive, run in a process of its own, and recorded."""

from __future__ import annotations

import json
import os
import secrets
import signal
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from l8s2._version import __version__
from l8s2.batch.child import Children, Ended, option
from l8s2.batch.ledger import FAILED, INTERRUPTED, RETRY, SUCCESS, claim_key, json_bytes, outcome_key
from l8s2.batch.open import open_output
from l8s2.batch.output import Output, Product
from l8s2.batch.scenes import BatchScene
from l8s2.errors import TRY_AGAIN, ExistsError, InputError, L8S2Error, may_pass
from l8s2.pipeline.finished import Facts, differences, made_otherwise
from l8s2.product.writer import SUFFIX
from l8s2.system.machine import machine_id

BEATS = 4
"""Signs of life of an attempt within the time of its lease."""
THERE = "was there already"


@dataclass(frozen=True, kw_only=True)
class Job:
    """An attempt to be made, by any machine that sees the output."""

    scene: BatchScene
    attempt: int
    output: str
    """Folder or ``s3://`` address."""
    program: tuple[str, ...]
    """What makes a product: ``l8s2 harmonize`` or what takes the same arguments."""
    options: tuple[str, ...]
    lease: float
    """Seconds without a sign of life after which others take the scene."""
    asked: Facts = field(default_factory=dict)
    """What a product that is there already must have been made with."""


def make_attempt(job: Job, children: Children | None = None) -> dict[str, Any] | None:
    """Make an attempt, and return its record, which is in the ledger then; None where another process has the attempt.

    Raises:
        L8S2Error: The ledger cannot be written; the attempt counts as lost once its lease is over.
    """
    output = open_output(job.output)
    started, clock = datetime.now(UTC), time.monotonic()
    claim = _Claim(output, job, started)
    if not claim.take():
        return None
    about: dict[str, Any] = {}
    try:
        if (product := output.product(job.scene.id)) is None:
            about = _make(job, output, claim, children or Children())
            made = about.pop("made", job.scene.id)
            product = output.product(made) if about["outcome"] != INTERRUPTED else None
        else:
            if others := differences(product.item, job.asked):
                there = f"{job.output}/{product.key}"
                raise ExistsError(f"{there}: {made_otherwise(others)}; remove that product, or give another `output`")
            about = {"reason": THERE}
        if product is not None:
            about = {**about, **_product_facts(product), "outcome": SUCCESS}
        elif about["outcome"] == SUCCESS:
            about |= {"outcome": FAILED, "reason": "ended well, but there is no product"}
    except Exception as error:  # whatever one scene does, the others go on
        reason = str(error) if isinstance(error, (L8S2Error, OSError)) else repr(error)
        about |= {"outcome": RETRY if may_pass(error) else FAILED, "reason": reason}
    record = {
        **claim.about, **about, "finished": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "seconds": round(time.monotonic() - clock, 1),
    }  # fmt: skip
    output.store.create(outcome_key(job.scene.id, job.attempt, record["outcome"]), json_bytes(record))
    return record


class _Claim:
    """The file of an attempt, and signs of life."""

    def __init__(self, output: Output, job: Job, started: datetime) -> None:
        self.about = {
            "id": job.scene.id, "attempt": job.attempt, "claim": secrets.token_hex(8), "machine": machine_id(),
            "pid": os.getpid(),
            "version": __version__, "started": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip
        self._store, self._key, self._lease = output.store, claim_key(job.scene.id, job.attempt), job.lease
        self._beats, self._alive = 0, time.monotonic()

    def take(self) -> bool:
        """Make the file; False where another process has."""
        content = json_bytes(self.about | {"beats": 0})
        # a network may repeat a put that has arrived, and be refused by it
        return self._store.create(self._key, content) or self._store.get(self._key) == content

    def beat(self) -> None:
        """Give a sign of life, if it is time. Raises L8S2Error or OSError once others may have taken the scene."""
        now = time.monotonic()
        if now - self._alive < self._lease / BEATS * 0.9:
            return
        self._beats += 1
        try:
            self._store.put(self._key, json_bytes(self.about | {"beats": self._beats}))
            self._alive = now
        except (L8S2Error, OSError):
            if now - self._alive > self._lease * (1 - 1 / BEATS):
                raise


def _make(job: Job, output: Output, claim: _Claim, children: Children) -> dict[str, Any]:
    """Run the process of a scene and publish what it made; returns what is to be recorded, and ``made``, its id.

    That may be another than that of the scene, which may be told by the name of an archive alone.
    """
    with tempfile.TemporaryDirectory(prefix="l8s2-batch-") as scratch, output.workspace() as folder:
        command = (*job.program, *job.scene.arguments(Path(scratch)), "-o", str(folder), *job.options, option("json"))
        ended = children.run(command, Path(scratch), claim.beat, job.lease / BEATS)
        warnings = [line.removeprefix(_WARNING) for line in ended.said if line.startswith(_WARNING)]
        about: dict[str, Any] = {"exit_code": ended.code, "warnings": warnings}
        if ended.code != 0:
            return {**about, "outcome": _outcome(ended), "reason": _reason(ended)}
        try:
            made = Path(json.loads(ended.result)["product"])
        except (ValueError, KeyError, TypeError):
            raise InputError("ended well, but did not say where the product is; print it as harmonize does") from None
        output.publish(made, job.attempt, claim.beat)
        return {**about, "outcome": SUCCESS, "reason": "", "made": made.name.removesuffix(SUFFIX)}


_WARNING = "warning: "


def _outcome(ended: Ended) -> str:
    if ended.interrupted:
        return INTERRUPTED
    return RETRY if ended.code in (TRY_AGAIN, 130) or ended.code < 0 or ended.code > 255 else FAILED


def _reason(ended: Ended) -> str:
    if ended.interrupted:
        return "interrupted"
    if ended.code < 0:
        try:
            name = signal.Signals(-ended.code).name
        except ValueError:
            name = f"signal {-ended.code}"
        return f"killed by {name}" + (", perhaps for lack of memory" if name == "SIGKILL" else "")
    lines = [line.strip() for line in ended.said if line.strip()]
    ours = [line.removeprefix("l8s2: ") for line in lines if line.startswith("l8s2: ")]
    return (ours or lines or [f"exit code {ended.code}, without a word; is {tempfile.gettempdir()} full?"])[-1][:500]


def _product_facts(product: Product) -> dict[str, Any]:
    """Return what the table and the Collection need of an Item."""
    properties = product.item["properties"]
    return {
        "product": product.key,
        "bbox": product.item["bbox"],
        "datetime": properties["datetime"],
        "platform": properties.get("platform"),
        "gsd": properties.get("gsd"),
        "verdict": properties.get("l8s2:verdict"),
        "clear_percent": properties.get("l8s2:clear_percent"),
    }
