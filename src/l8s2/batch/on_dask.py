"""Attempts on the workers of a Dask cluster. Dask starts them and carries no pixels; the ledger stays the truth."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from l8s2.errors import InputError, TryAgainError

TIMEOUT = 30
"""Seconds to reach the scheduler."""


@contextmanager
def dask_executor(scheduler: str) -> Iterator[tuple[Executor, int]]:
    """Connect to a cluster, and yield what runs attempts there, and the number of its workers.

    A task of a worker that dies is started again by Dask, finds its attempt taken and does nothing; the attempt counts
    as lost in the ledger, and the next one is made.

    Raises InputError where there is no scheduler at the address ``scheduler`` (tcp://...), or no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError("`scheduler` needs Dask; install it with: pip install 'l8s2[dask]'") from None
    try:
        client = Client(scheduler, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise TryAgainError(f"`scheduler` {scheduler}: cannot be reached ({error}); check that it runs") from None
    with client:
        count = len(client.nthreads())
        if not count:
            raise TryAgainError(f"`scheduler` {scheduler}: has no workers; start some")
        yield client.get_executor(pure=False, retries=0), count
