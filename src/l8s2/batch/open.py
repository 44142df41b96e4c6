"""From the address of an output to the output."""

from __future__ import annotations

from pathlib import Path

from l8s2.batch.folder_output import FolderOutput
from l8s2.batch.output import Output


def open_output(address: str) -> Output:
    """Open a folder, or ``s3://bucket/prefix``. Raises InputError."""
    if address.startswith("s3://"):
        from l8s2.batch.s3_output import S3Output

        return S3Output(address)
    return FolderOutput(Path(address))
