"""Which failures may pass by themselves."""

from __future__ import annotations

import errno

import click
import pytest
from click.testing import CliRunner

from l8s2.cli.shell import Commands
from l8s2.errors import TRY_AGAIN, FetchError, InputError, TryAgainError, may_pass


def raised_from(cause: BaseException) -> BaseException:
    """What a library error looks like that explains ``cause``."""
    try:
        try:
            raise cause
        except BaseException as error:
            raise InputError("explained") from error
    except InputError as error:
        return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (TryAgainError("the network is down"), True),
        (InputError("`bbox` is wrong"), False),
        (FetchError("scene", ["B2: no answer"], may_pass=True), True),
        (FetchError("scene", ["B2: not there (404)"]), False),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (MemoryError(), True),
        (ValueError("a bug"), False),
    ],
    ids=repr,
)
def test_what_may_pass(error: BaseException, passes: bool) -> None:
    assert may_pass(error) is passes
    assert may_pass(raised_from(error)) is passes
    if isinstance(error, ValueError):
        return

    @click.group(cls=Commands)
    def main() -> None: ...

    @main.command()
    def fail() -> None:
        raise error

    assert CliRunner().invoke(main, ["fail"]).exit_code == 1
    told = CliRunner().invoke(main, ["fail"], env={"L8S2_TRY_AGAIN": "1"})
    assert told.exit_code == (TRY_AGAIN if passes else 1)
