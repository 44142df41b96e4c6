"""Two scenes of the same ground measured against each other and cut into patches."""

from l8s2.pairs.build import create_build, resume_build

__all__ = ["create_build", "resume_build"]
