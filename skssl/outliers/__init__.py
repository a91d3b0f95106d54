"""Outlier detectors (anomaly detection): frauds, intrusions, faults."""

from skssl.outliers._detectors import EmbeddingOutlierDetector, ReconstructionOutlierDetector

__all__ = [
    "EmbeddingOutlierDetector",
    "ReconstructionOutlierDetector",
]
