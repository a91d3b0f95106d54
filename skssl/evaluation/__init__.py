"""Evaluation: does pretraining help on your data?"""

from skssl.evaluation._label_budget import label_budget_report

__all__ = [
    "label_budget_report",
]
