"""What type checkers know of names that are loaded lazily; mypy reads this, nothing runs it."""

from typing import Any, assert_type

import skssl
from skssl import SCARF, PretrainedClassifier


def known() -> None:
    """Names of the top level and of packages that were not imported have their types."""
    assert_type(SCARF(corruption=0.3), SCARF)
    assert_type(skssl.SCARF(), SCARF)
    assert_type(skssl.base.SSLTransformer(), skssl.base.SSLTransformer)
    assert_type(skssl.metrics.rankme([[0.0]]), float)
    assert_type(PretrainedClassifier(SCARF()), PretrainedClassifier)


def unknown() -> Any:
    """Names that are not there are errors: an ignored error that is none is one, too."""
    skssl.metrics.rang([[0.0]])  # type: ignore[attr-defined]
    return skssl.Scarf  # type: ignore[attr-defined]
