"""Stored models: their names, folders, ONNX files and the Hugging Face Hub."""

from l8s2.models.domain import Domain
from l8s2.models.names import located
from l8s2.models.onnx_file import ModelFile

__all__ = ["Domain", "ModelFile", "located"]
