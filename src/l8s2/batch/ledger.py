"""Which scenes are done and which are free: files that any number of machines write without asking each other.

    ledger/id=X/attempt=1.json            whoever makes it, if absent, has the first attempt; rewritten while it runs
    ledger/id=X/attempt=1.retry.json      how it ended
    ledger/id=X/attempt=2.json            whoever makes this one has the second attempt
    ledger/id=X/attempt=2.success.json

No clock of another machine is trusted: an attempt is lost when nothing about it has changed for as long as the lease
lasts, by the clock of who watches.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from l8s2.batch.machine import is_dead
from l8s2.batch.output import Store

SUCCESS, FAILED, RETRY, LOST, INTERRUPTED = "success", "failed", "retry", "lost", "interrupted"
"""How an attempt ends: with a product; for good; by what may pass; without a word; by who began it."""
Step = Literal["claim", "busy", "wait", "lost", "done", "failed"]
"""What to do about a scene: begin the next attempt; others are at it; later; declare it lost; nothing, twice."""
_KEY = re.compile(r"ledger/id=([^/]+)/attempt=(\d+)(?:\.([a-z]+))?\.json")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How long and how often."""

    max_attempts: int = 3
    lease: float = 300.0
    """Seconds without a sign of life after which an attempt is lost; there are four signs in that time."""
    pause: float = 30.0
    """Seconds from a failure that may pass to the next attempt; doubled each time."""


def next_step(attempts: Mapping[int, str | None], quiet: float, rules: Rules, forgiven: int = 0) -> Step:
    """Decide about a scene.

    Args:
        attempts: number -> how it ended, None while it runs.
        quiet: seconds since anything about it last changed.
        rules: how long and how often.
        forgiven: attempts up to this one failed, and that no longer counts.
    """
    if SUCCESS in attempts.values():
        return "done"
    if not attempts:
        return "claim"
    last = max(attempts)
    ending = attempts[last]
    if ending is None:
        return "busy" if quiet < rules.lease else "lost"
    if last <= forgiven or ending == INTERRUPTED:
        return "claim"
    counted = sum(n > forgiven and how != INTERRUPTED for n, how in attempts.items())
    if ending == FAILED or counted >= rules.max_attempts:
        return "failed"
    return "wait" if ending == RETRY and quiet < rules.pause * 2 ** (counted - 1) else "claim"


class Ledger:
    """The ledger as it was last read. For one thread."""

    def __init__(self, store: Store, rules: Rules, *, retry_failed: bool = False) -> None:
        """Read the ledger; ``retry_failed`` forgives the failures that are in it now."""
        self._store, self._rules = store, rules
        self.attempts: dict[str, dict[int, str | None]] = {}
        """Scene -> attempt -> how it ended, None while it runs."""
        self._changed: dict[str, tuple[str, float]] = {}
        self._owners: dict[str, dict[str, Any]] = {}
        self._forgiven: dict[str, int] = {}
        self.refresh()
        if retry_failed:
            self._forgiven = {
                scene: max(tried) for scene, tried in self.attempts.items() if self.step(scene) == "failed"
            }

    def refresh(self) -> None:
        """Read the ledger again."""
        attempts: dict[str, dict[int, str | None]] = {}
        tags: dict[str, list[str]] = {}
        for key, tag in self._store.list("ledger/").items():
            if match := _KEY.fullmatch(key):
                scene, number, ending = match[1], int(match[2]), match[3]
                tried = attempts.setdefault(scene, {})
                if ending is None:
                    tried.setdefault(number, None)
                elif tried.get(number) != SUCCESS:  # one that was taken for lost may have succeeded
                    tried[number] = ending
                tags.setdefault(scene, []).append(f"{key} {tag}")
        self.attempts = attempts
        for scene, found in tags.items():
            self._touch(scene, " ".join(sorted(found)))

    def _touch(self, scene: str, tag: str) -> None:
        if self._changed.get(scene, ("", 0.0))[0] != tag:
            self._changed[scene] = tag, time.monotonic()

    def note(self, scene: str, attempt: int, ending: str | None) -> None:
        """Take in what this process knows itself: an attempt has begun (None), or how it ended."""
        self.attempts.setdefault(scene, {})[attempt] = ending
        self._touch(scene, f"{attempt} {ending}")

    def step(self, scene: str) -> Step:
        """Say what to do about a scene."""
        attempts = self.attempts.get(scene, {})
        quiet = time.monotonic() - self._changed.get(scene, ("", 0.0))[1]
        step = next_step(attempts, quiet, self._rules, self._forgiven.get(scene, 0))
        return "lost" if step == "busy" and self._is_dead(scene, max(attempts)) else step

    def count(self, scenes: Iterable[str]) -> Counter[Step]:
        """Count what to do about scenes."""
        return Counter(map(self.step, scenes))

    def _is_dead(self, scene: str, attempt: int) -> bool:
        """Tell whether an attempt was begun by a process of this machine that is no more."""
        key = claim_key(scene, attempt)
        if key not in self._owners:
            self._owners[key] = read_json(self._store.get(key))
        return is_dead(self._owners[key].get("machine"), self._owners[key].get("pid"))

    def next_attempt(self, scene: str) -> int:
        """Return the number of the next attempt."""
        return max(self.attempts.get(scene, {}), default=0) + 1

    def declare_lost(self, scene: str) -> None:
        """Say that the running attempt at a scene is lost; whoever runs it may still succeed."""
        attempt = max(self.attempts[scene])
        owner = read_json(self._store.get(claim_key(scene, attempt)))
        reason = f"nothing was heard from {owner.get('machine', 'its machine')} any more: ended, killed or cut off"
        record = {**owner, "id": scene, "attempt": attempt, "outcome": LOST, "reason": reason}
        self._store.create(outcome_key(scene, attempt, LOST), json_bytes(record))
        self.note(scene, attempt, LOST)


def claim_key(scene: str, attempt: int) -> str:
    """Return the key of an attempt."""
    return f"ledger/id={scene}/attempt={attempt}.json"


def outcome_key(scene: str, attempt: int, ending: str) -> str:
    """Return the key that tells how an attempt ended."""
    return f"ledger/id={scene}/attempt={attempt}.{ending}.json"


def json_bytes(content: Any) -> bytes:
    """Write JSON."""
    return (json.dumps(content, indent=1) + "\n").encode()


def read_json(content: bytes | None) -> dict[str, Any]:
    """Read a JSON object; empty for what is none, such as a file that a killed process left half-written."""
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
