"""A batch: scenes of the ledger that are free are taken and worked on, until there are none."""

from __future__ import annotations

import contextlib
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from l8s2.batch.attempt import Job, make_attempt
from l8s2.batch.child import Children
from l8s2.batch.ledger import FAILED, SUCCESS, Ledger, Rules, Step
from l8s2.batch.machine import check_temporary_folder
from l8s2.batch.open import open_output
from l8s2.batch.output import Output
from l8s2.batch.results import Results
from l8s2.batch.scenes import BatchScene
from l8s2.batch.settings import check_agreed, settle
from l8s2.deliveries.product_name import FLAGS, PATTERN
from l8s2.errors import InputError, may_pass
from l8s2.pipeline.finished import Facts

HARMONIZE = (sys.executable, "-P", "-m", "l8s2.cli", "harmonize")
"""Without ``-P`` Python would take modules from the working directory, which may hold files of strangers."""
_OFTEN, _SHARE = 30.0, 20
"""Seconds from one reading of the ledger to the next, and at least so many times as long as it takes."""
ALIKE = 10
"""Scenes that may fail for one reason, one after the other, before a process gives up; the fault may be its own."""
Say = Callable[[str], None]
Make = Callable[[Job], dict[str, Any] | None]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What to do. Raises InputError for values that cannot be."""

    scenes: tuple[BatchScene, ...]
    output: str
    """Folder, or ``s3://bucket/prefix``."""
    options: tuple[str, ...] = ()
    """Of the process of each scene; all machines of one output give the same."""
    own_options: tuple[str, ...] = ()
    """Further options, which do not change the products."""
    workers: int = 1
    """Scenes at a time."""
    rules: Rules = field(default_factory=Rules)
    retry_failed: bool = False
    program: tuple[str, ...] = HARMONIZE
    asked: Facts = field(default_factory=dict)
    """What products that are there already must have been made with (``pipeline.finished.asked_for``)."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How far the scenes of a batch are."""

    scenes: int
    done: int
    failed: int
    """For good, or as often as is allowed."""
    may_pass: int
    """Of ``failed`` those whose last failure may pass."""
    running: int
    free: int
    missing: int
    """Not done yet, and not on this machine's disk where the list says."""


def shard_of(scenes: Sequence[BatchScene], shard: str) -> tuple[BatchScene, ...]:
    """Return the part ``I/N`` of the scenes, I from 0; the parts share no scene and are of one size, give or take one.

    Raises InputError for what is no such part.
    """
    index, _, count = shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f"`shard` {shard}: must be I/N with I from 0 to N - 1, such as 0/100 to 99/100")
    return tuple(sorted(scenes, key=lambda scene: scene.id)[int(index) :: int(count)])


def summarize(batch: Batch) -> Summary:
    """Tell how far a batch is, without doing anything but reading its ledger.

    Raises InputError where the output was begun with other options.
    """
    store = open_output(batch.output).store
    check_agreed(store, batch.output, batch.options, batch.rules.lease)
    ledger = Ledger(store, batch.rules, retry_failed=batch.retry_failed)
    return _summary(batch, ledger)


def run_batch(batch: Batch, say: Say = lambda line: None, executor: Executor | None = None) -> Summary:
    """Work on the scenes of a batch until each is done or has failed, here or on other machines.

    Args:
        batch: what to do.
        say: gets a line on each scene.
        executor: where attempts are made; by default threads of this process. What others have begun goes on there
            when this process is interrupted.

    Raises:
        InputError: The output was begun with other options, or cannot be used; or ALIKE scenes failed alike.
        KeyboardInterrupt: What ran is recorded as interrupted, and nothing half-written is left.
    """
    if executor is None:
        check_temporary_folder()
    output = open_output(batch.output)
    settle(output.store, batch.output, batch.options, batch.rules.lease)
    children = Children()
    with contextlib.ExitStack() as stack:
        elsewhere = executor is not None
        if executor is None:
            executor = stack.enter_context(ThreadPoolExecutor(batch.workers))
            make: Make = partial(make_attempt, children=children)
        else:
            make = make_attempt
        work = _Work(batch, output, executor, make, say)
        try:
            work.go()
        except BaseException as error:
            if elsewhere:
                work.abandon()
            else:
                _stop(children, work)
            if isinstance(error, KeyboardInterrupt):
                summary = _summary(batch, work.ledger)
                far = f"{summary.done} of {summary.scenes} scenes are done"
                raise KeyboardInterrupt(f"{far}; the same command goes on where it stopped") from None
            raise
    return _summary(batch, work.ledger)


def _stop(children: Children, work: _Work) -> None:
    """Interrupt what runs and wait for its records; interrupted once more, kill it."""
    children.stop()
    try:
        work.finish()
    except BaseException:
        children.kill()
        work.finish()


def _summary(batch: Batch, ledger: Ledger) -> Summary:
    each = {scene.id: ledger.step(scene.id) for scene in batch.scenes}
    steps = Counter(each.values())
    failed = [ledger.attempts[scene] for scene, step in each.items() if step == "failed"]
    passing = sum(tried[max(tried)] != FAILED for tried in failed)
    missing = sum(each[scene.id] == "claim" and not scene.is_there for scene in batch.scenes)
    return Summary(
        scenes=len(batch.scenes), done=steps["done"], failed=steps["failed"], may_pass=passing, running=steps["busy"],
        free=steps["claim"] + steps["wait"] + steps["lost"] - missing, missing=missing,
    )  # fmt: skip


class _Work:
    """The loop of ``run_batch``."""

    def __init__(self, batch: Batch, output: Output, executor: Executor, make: Make, say: Say) -> None:
        self._batch, self._executor, self._make, self._say = batch, executor, make, say
        self.ledger = Ledger(output.store, batch.rules, retry_failed=batch.retry_failed)
        self._results = Results(output.store, batch.output)
        self._running: dict[Future[dict[str, Any] | None], Job] = {}
        self._begun = self._read = time.monotonic()
        self._cost = 0.0
        self._at_first = self._settled()
        self._told_of_others = False
        self._last_reason, self._alike, self._unrecorded = "", 0, 0
        self._order = list(batch.scenes)
        if batch.output.startswith("s3://") or any(None in tried.values() for tried in self.ledger.attempts.values()):
            start = secrets.randbelow(max(len(self._order), 1))  # where others begin elsewhere, few meet
            self._order = self._order[start:] + self._order[:start]

    def go(self) -> None:
        """Go on until nothing is left."""
        if self._at_first:
            self._say(f"{self._at_first} of {len(self._batch.scenes)} scenes are done or have failed already")
        while True:
            self._take()
            if not self._running and not self._waiting():
                break
            done, _ = wait(self._running, self._until_next_reading(), FIRST_COMPLETED) if self._running else ((), ())
            if not self._running:
                time.sleep(self._until_next_reading())
            for future in done:
                self._take_in(future)
            if self._until_next_reading() <= 0:
                self._write()
        self._write()
        self._results.finish(self._say)

    def abandon(self) -> None:
        """Leave to others what they have begun."""
        for future in self._running:
            future.cancel()

    def finish(self) -> None:
        """Wait for what runs, and write the results."""
        while self._running:
            done, _ = wait(self._running, None, FIRST_COMPLETED)
            for future in done:
                self._take_in(future)
        self._write()

    def _take(self) -> None:
        """Begin attempts at free scenes, as many as there is room for."""
        at_work = {job.scene.id for job in self._running.values()}
        for scene in self._order:
            if len(self._running) >= self._batch.workers:
                return
            if scene.id in at_work:
                continue
            if self.ledger.step(scene.id) == "lost":
                self.ledger.declare_lost(scene.id)
            if self.ledger.step(scene.id) == "claim":
                batch = self._batch
                job = Job(
                    scene=scene, attempt=self.ledger.next_attempt(scene.id), output=batch.output,
                    program=batch.program, options=(*batch.options, *batch.own_options), lease=batch.rules.lease,
                    asked=batch.asked,
                )  # fmt: skip
                self._running[self._executor.submit(self._make, job)] = job

    def _take_in(self, future: Future[dict[str, Any] | None]) -> None:
        job = self._running.pop(future)
        try:
            record = future.result()
        except Exception as error:  # of the ledger, or a worker of Dask that died again and again
            self._unrecorded += 1
            lost_by_dask = type(error).__name__ == "KilledWorker"
            if self._unrecorded >= ALIKE or not (lost_by_dask or may_pass(error)):
                raise
            self._say(f"{job.scene.id}: how attempt {job.attempt} ended could not be recorded ({error})")
            self.ledger.note(job.scene.id, job.attempt, None)
            return
        self._unrecorded = 0
        self.ledger.note(job.scene.id, job.attempt, str(record["outcome"]) if record else None)
        if record is not None:
            self._say(f"[{self._progress()}] {_line(record, self.ledger.step(job.scene.id))}")
            self._check_alike(record)

    def _check_alike(self, record: dict[str, Any]) -> None:
        """Give up where scene after scene fails alike, so that one bad machine does not fail all of them."""
        reason = re.sub(PATTERN, "", str(record["reason"]), flags=FLAGS)
        self._alike = self._alike + 1 if record["outcome"] == FAILED and reason == self._last_reason else 1
        self._last_reason = reason
        if self._alike >= ALIKE:
            remedy = "correct that, then give `retry_failed`; the same command alone goes on without them"
            raise InputError(f"{ALIKE} scenes failed alike: {record['reason']}; {remedy}")

    def _waiting(self) -> bool:
        """Tell whether scenes are left that others work on, or that are to be tried again later."""
        steps = self.ledger.count(scene.id for scene in self._batch.scenes)
        if steps["busy"] and not steps["wait"] and not self._told_of_others:
            self._told_of_others = True
            number = "one scene" if steps["busy"] == 1 else f"{steps['busy']} scenes"
            self._say(f"waiting for {number} that other processes work on")
        return bool(steps["busy"] + steps["wait"] + steps["lost"] + steps["claim"])

    def _until_next_reading(self) -> float:
        rules = self._batch.rules
        often = max(min(_OFTEN, rules.lease / 4, rules.pause), _SHARE * self._cost)
        return max(0.0, self._read + often - time.monotonic())

    def _write(self) -> None:
        """Read the ledger, and write the table and the Collection, until the ledger has nothing new."""
        started = time.monotonic()
        self.ledger.refresh()
        while self._results.write(self.ledger.attempts):
            self.ledger.refresh()
        self._read = time.monotonic()
        self._cost = self._read - started

    def _settled(self) -> int:
        steps = self.ledger.count(scene.id for scene in self._batch.scenes)
        return steps["done"] + steps["failed"]

    def _progress(self) -> str:
        steps = self.ledger.count(scene.id for scene in self._batch.scenes)
        done, failed, total = steps["done"], steps["failed"], len(self._batch.scenes)
        hours = max(time.monotonic() - self._begun, 1e-3) / 3600
        rate = max(done + failed - self._at_first, 0) / hours
        left = (total - done - failed) / rate if rate else 0.0
        far = f"{done}/{total}" + (f", {failed} failed" if failed else "")
        return f"{far}, {rate:.3g} scenes/h, about {timedelta(seconds=round(left * 3600))} left" if rate else far


def _line(record: dict[str, Any], step: Step) -> str:
    if record["outcome"] == SUCCESS:
        verdict = f", verdict {record['verdict']}" if record.get("verdict") else ""
        return f"{record['id']}: {record['reason'] or 'done'} in {record['seconds']:.0f} s{verdict}"
    again = "will be tried again" if step in ("claim", "wait") else "failed"
    return f"{record['id']}: {again}, {record['reason']}"
