"""How files of older versions are read: what has moved, and what has changed, by format.

A saved file names classes and functions by ids (:mod:`skssl.persistence._names`), and holds the
attributes of instances by their names. Both must be readable in every later version:

- A class moves to another module, or a module is renamed: files do not notice. A class of ``PARTS``
  gets its new place there.
- An id changes, because a public name does or because a class becomes public or private: the old
  id stays in ``MOVED`` for good.
- A parameter of an estimator is added: an older file has its default, which therefore has to be
  what the estimator did before. Where it is not, ``CHANGES`` says what older files had.
- An attribute, private or not, is renamed, added, dropped or means something else: ``CHANGES`` says
  how the attributes of older files become those of today.

``FORMAT`` is the format that ``save`` writes. After a release it goes up by one with the first
change that needs a row in ``CHANGES``. ``tests/saved`` has files of every format, each of which
must load and predict what it did.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["CHANGES", "FORMAT", "MOVED"]

FORMAT = 1
MOVED: dict[str, str] = {}  # old id: new id
# By format, then by id: a function that alters the attributes of an instance, in place, from those
# of that format to those of the next. It gets instances of subclasses as well.
CHANGES: dict[int, dict[str, Callable[[dict[str, Any]], Any]]] = {}
