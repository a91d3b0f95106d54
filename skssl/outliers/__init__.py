"""Detectors of outliers: frauds, intrusions, faults, and whatever else is rare and unlike."""

from skssl.outliers._detectors import EmbeddingOutlierDetector, ReconstructionOutlierDetector

__all__ = [
    "EmbeddingOutlierDetector",
    "ReconstructionOutlierDetector",
]
