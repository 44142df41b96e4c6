"""The workers of a Dask cluster do the attempts; one that is killed loses nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from l8s2.batch.on_dask import dask_executor
from l8s2.batch.run import run_batch
from l8s2.errors import InputError
from making.batches import batch, log, make_scenes


@pytest.mark.posix
def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    from distributed import LocalCluster

    ids = make_scenes(tmp_path / "in", "slow 30", "ok", "ok", "fail")
    slow = tmp_path / "in" / ids[0]

    def kill() -> None:
        while not log(slow):
            time.sleep(0.02)
        (slow / "how").write_text("ok")
        claim = tmp_path / "out" / "ledger" / f"id={ids[0]}" / "attempt=1.json"
        os.kill(json.loads(claim.read_text())["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        dask_executor(cluster.scheduler_address) as (executor, count),
    ):
        summary = run_batch(batch(tmp_path / "in", tmp_path / "out", workers=count), executor=executor)
    killer.join()
    assert (count, summary.done, summary.failed) == (2, 3, 1)
    assert log(slow) == ["begin", "begin", "end"]
    assert [log(tmp_path / "in" / scene) for scene in ids[1:]] == [["begin", "end"], ["begin", "end"], ["begin"]]


def test_no_scheduler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l8s2.batch.on_dask.TIMEOUT", 0.2)
    with pytest.raises(InputError, match="cannot be reached"), dask_executor("tcp://127.0.0.1:9"):
        pass
