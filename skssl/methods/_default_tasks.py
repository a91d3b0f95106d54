"""The default tasks of tables, and how many steps they take."""

from skssl.base import SSLTransformer
from skssl.methods._scarf import SCARF
from skssl.methods._vime import VIME

LEAST_STEPS = 375  # of a default fit; 200 and 375 score alike in benchmarks/study.py
DEFAULT_TASKS: list[tuple[str, SSLTransformer, float]] = [
    ("vime", VIME(p=0.3), 1.0),
    ("scarf", SCARF(corruption=0.3, temperature=0.2, exact=False), 0.2),
]
