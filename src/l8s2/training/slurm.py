"""A training run as a job of Slurm, through submitit: one task for every GPU, requeued when it is preempted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from l8s2.errors import InputError
from l8s2.training.config import parse

COMMON = {"timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node", "name"}
"""Settings that submitit knows for every cluster; others are handed to Slurm."""


class Job:
    """What runs on the cluster; submitit pickles it."""

    def __init__(self, config: dict[str, Any], folder: Path, max_minutes: float, *, resume: bool) -> None:
        self.config, self.folder, self.max_minutes, self.resume = config, folder, max_minutes, resume

    def __call__(self) -> str:
        """Train; returns the model folder."""
        import submitit

        from l8s2.training.loop import train

        if submitit.JobEnvironment().num_tasks > 1:
            # accelerate picks the GPU by the local rank, so all of them must be visible
            submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        report = submitit.core.logger.get_logger().info
        config = parse(self.config, "the job's configuration")
        outcome = train(config, self.folder, resume=self.resume, max_minutes=self.max_minutes, report=report)
        return str(outcome.model)

    def checkpoint(self) -> Any:
        """How to go on after preemption or time-out: submitit asks just before."""
        import submitit

        return submitit.helpers.DelayedSubmission(Job(self.config, self.folder, self.max_minutes, resume=True))


def submit(
    config: dict[str, Any], folder: Path, settings: str, *, max_minutes: float = math.inf, resume: bool = False
) -> Any:
    """Hand a run to the cluster; returns submitit's job. Its logs go to ``slurm/`` in ``folder``.

    Args:
        config: of the run, plain values.
        folder: of the run; the nodes must see it.
        settings: ``key=value,...``: those of COMMON, any option of sbatch (``partition=gpu``), or ``cluster=local`` to
            try it.
        max_minutes: as in ``loop.train``.
        resume: as in ``loop.train``.
    """
    try:
        import submitit
    except ImportError:
        raise InputError("`slurm` needs submitit; install it with: pip install 'l8s2[slurm]'") from None
    chosen = _parsed(settings)
    executor = submitit.AutoExecutor(folder=folder.absolute() / "slurm", cluster=chosen.pop("cluster", None))
    chosen = {"name": folder.name, "tasks_per_node": chosen.get("gpus_per_node", 1)} | chosen
    try:
        executor.update_parameters(**{k if k in COMMON else f"slurm_{k}": v for k, v in chosen.items()})
        return executor.submit(Job(config, folder.absolute(), max_minutes, resume=resume))
    except (NameError, TypeError, ValueError, RuntimeError, submitit.core.utils.FailedJobError) as error:
        raise InputError(f"`slurm` {settings}: {str(error).splitlines()[0]}; give options of sbatch") from None


def _parsed(settings: str) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for setting in settings.split(","):
        key, equals, value = setting.strip().partition("=")
        if not (key and equals and value):
            raise InputError(f"`slurm` {settings}: {setting!r} is not key=value; give partition=gpu,gpus_per_node=4")
        parsed[key] = int(value) if value.isdecimal() else value
    return parsed
