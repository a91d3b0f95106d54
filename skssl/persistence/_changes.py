"""Reading files of older versions: moved ids and changed attributes, by format.

A saved file names classes and functions by ids (:mod:`skssl.persistence._names`), and holds the
attributes of instances by their names. Both must be readable in every later version:

- A class moves to another module, or a module is renamed: files are not affected. A class listed in
  ``PARTS`` gets its new location there.
- An id changes, because a public name changes or because a class becomes public or private: the
  old id stays in ``MOVED`` forever.
- A parameter of an estimator is added: older files get its default, which therefore must be the
  earlier behaviour. If it is not, ``CHANGES`` sets the value for older files.
- An attribute, private or not, is renamed, added, dropped or changes its meaning: ``CHANGES``
  converts the attributes of older files to the current ones.

``FORMAT`` is the format that ``save`` writes. After a release it is incremented with the first
change that needs a row in ``CHANGES``. ``tests/saved`` has files of every format; each must load
and give the same predictions as when it was written.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["CHANGES", "FORMAT", "MOVED"]

FORMAT = 1
MOVED: dict[str, str] = {}  # old id: new id
# By format, then by id: a function that alters the attributes of an instance, in place, from those
# of that format to those of the next. It gets instances of subclasses as well.
CHANGES: dict[int, dict[str, Callable[[dict[str, Any]], Any]]] = {}
