"""Models and embeddings as files: without pickle, as ONNX graphs, and as arrays."""

from skssl.persistence._onnx import to_onnx
from skssl.persistence._save import load, save
from skssl.persistence._transform_to import transform_to

__all__ = [
    "load",
    "save",
    "to_onnx",
    "transform_to",
]
