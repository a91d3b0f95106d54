"""Saving fitted estimators, and loading them without running code from the file.

The file is a safetensors file: an eight-byte length, a header of JSON, and numbers. Every tensor
and array is a tensor of it, named by the attributes that lead to it. The header's metadata has
``skssl_format``, the version of what follows; ``model``, JSON with ``versions`` and ``entries``;
and ``digest``, the SHA-256 of ``model`` and of all tensors, which detects damage. The digest is not
a signature: anybody who alters a file can compute a new one.

The first of ``entries`` is the estimator. An entry says what it ``is``:

- ``instance``: the id of a class, and the attributes of the instance, as in pickle;
- ``dict``, ``list``, ``tuple``, ``set``, ``slice``, ``float`` (one that JSON lacks), ``objects``
  (an array of them) and the like: their items. Text, integers, booleans and None are written in
  place, and ``[n]`` refers to entry n, so that shared objects are shared again;
- ``tensor`` and ``array``: name, dtype and shape of a tensor of the file, and the order of its axes
  in memory if that is unusual. ``raw`` are text, times and complex numbers as bytes;
- ``function``, ``type``, ``dtype``, ``partial``, ``masked``, ``random_state``, ``generator``: a
  name, or the parts;
- ``compiled``: what compiled code of scikit-learn and scipy keeps, such as trees and losses, as
  arrays and numbers;
- ``tokenizer``: the JSON of the ``tokenizers`` package, of which tokens and merges are read;
- ``given``: what ``load`` is given again, with its weights.

Classes and functions are named by ids that stay the same when they move
(:mod:`skssl.persistence._names`). Nothing is imported because a file names it, and nothing is
called except ``__new__`` and ``__setstate__`` of classes found there, functions that make trees and
sparse matrices from arrays, and functions that convert attributes of older formats
(:mod:`skssl.persistence._changes`).
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skssl._atomic import replacing
from skssl._compat import import_safetensors, plain_torch
from skssl.base._parameters import ViewsFunction
from skssl.persistence import _changes
from skssl.persistence._costs import check_keys, order
from skssl.persistence._pack import INSTEAD, Packer
from skssl.persistence._unpack import Unpacker

__all__ = ["load", "save"]

MOST_TEXT = 2**26  # safetensors reads headers of up to 100 MB


@plain_torch()
def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Save an estimator to a file that :func:`load` reads without running code from it.

    Parameters
    ----------
    model : estimator
        A transformer, classifier, regressor or detector of skssl, or an estimator of
        scikit-learn, such as a Pipeline, with any of them inside; fitted or not.
    path : str or path
        The file. An existing file is replaced atomically once the new one is complete; if saving
        fails, it stays.

    Raises
    ------
    TypeError
        If ``model`` is not an estimator.
    ValueError
        If it holds an object that cannot be saved without pickle, such as an instance of your own
        class. The message says which attribute.
    OSError
        If the file cannot be written, as on a full disk.
    ImportError
        If safetensors is missing: ``pip install skssl[persistence]``.

    See Also
    --------
    load : Loads the file.

    Notes
    -----
    Of your own module as ``encoder=`` the weights are saved, and of your own function as
    ``encoder=`` or ``views=`` the name; pass them to :func:`load` again. Callbacks are not saved.
    The state with which ``partial_fit`` continues is saved, as with pickle.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import skssl
    >>> X = np.random.default_rng(0).normal(size=(60, 4))
    >>> scarf = skssl.SCARF(n_components=8, max_epochs=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "scarf.skssl")
    ...     skssl.save(scarf, path)
    ...     again = skssl.load(path)
    >>> bool((again.transform(X) == scarf.transform(X)).all())
    True
    """
    safetensors = import_safetensors()
    if not isinstance(model, BaseEstimator):
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(f"Expected an estimator to save, got {name}. Pass a fitted one.")
    packer = _pack(model)
    text = json.dumps(
        {"versions": _versions(), "entries": packer.entries},
        allow_nan=False,
        check_circular=False,
        separators=(",", ":"),
    )
    if len(text) > MOST_TEXT:
        raise ValueError(
            f"The model holds {len(text) / 1e6:.0f} MB that are no arrays of numbers, such as "
            f"vocabularies; at most {MOST_TEXT / 1e6:.0f} MB can be saved. Learn a smaller one."
        )
    _check_costs(packer, len(text))
    metadata = {
        "skssl_format": str(_changes.FORMAT),
        "model": text,
        "digest": _digest(text, packer.tensors),
    }
    with replacing(Path(path)) as new:
        try:
            safetensors.save_file(packer.tensors, new, metadata)
        except Exception as error:  # SafetensorError, for all that the disk may refuse
            number = re.search(r"os error (\d+)", str(error))
            if isinstance(error, OSError) or number is None:
                raise
            reason = os.strerror(int(number[1]))
            raise OSError(int(number[1]), reason, os.fspath(path)) from error


@plain_torch()
def load(
    path: str | os.PathLike[str],
    *,
    encoder: nn.Module | Callable[[Tensor], nn.Module] | None = None,
    views: ViewsFunction | None = None,
) -> Any:
    """Load an estimator that :func:`save` saved; no code from the file is run.

    Parameters
    ----------
    path : str or path
        The file.
    encoder : module or callable, default=None
        The ``encoder=`` of the model, if it was your own: a module made as for ``fit``, whose
        copies get the saved weights, or a function.
    views : callable, default=None
        The ``views=`` of the model, if it was your own function.

    Returns
    -------
    model : estimator
        The saved estimator. Its outputs are equal bit by bit on the same kind of machine, with
        the same number of threads and the same versions.

    Raises
    ------
    ValueError
        If the file is damaged, has an unknown format, or names a class or function that is not
        allowed; or if ``encoder`` or ``views`` is missing, different, or not needed.
    OSError
        If the file does not exist.
    ImportError
        If safetensors is missing: ``pip install skssl[persistence]``.

    See Also
    --------
    save : Writes the file; has an example.

    Notes
    -----
    Files of older versions of skssl load. For estimators fitted with another version of
    scikit-learn, scikit-learn warns (``InconsistentVersionWarning``).
    """
    import_safetensors()
    data = Path(path).read_bytes()
    try:
        text, tensors, of = _read(data)
        model = _unpack(text, tensors, {"encoder": encoder, "views": views}, of, len(data))
    except ImportError:
        raise
    except Exception as error:  # of whatever kind: the file may hold anything
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{os.fspath(path)!r} cannot be loaded: {reason}. Expected a file of skssl.save, whole "
            f"and of format {_changes.FORMAT} or older."
        ) from error
    return model


def _pack(model: BaseEstimator) -> Packer:
    packer = Packer()
    try:
        packer.pack(model)
    except RecursionError as error:
        raise ValueError(
            f"The model holds objects within objects, too deep to save. {INSTEAD}"
        ) from error
    return packer


def _check_costs(packer: Packer, length: int) -> None:
    """Raise ValueError if ``load`` would refuse what was packed."""
    size = length + sum(tensor.nbytes for tensor in packer.tensors.values())
    try:
        for n in order(packer.entries, packer.tensors, size):
            check_keys(packer.entries[n], packer.entries)
    except ValueError as error:
        raise ValueError(
            f"The model cannot be saved, for load would refuse it: {error}. {INSTEAD}"
        ) from error


def _versions() -> dict[str, str]:
    package = sys.modules[__name__.partition(".")[0]]
    return {
        "skssl": getattr(package, "__version__", ""),
        "scikit-learn": sklearn.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the text and of the names and bytes of all tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(data: bytes) -> tuple[str, dict[str, Tensor], int]:
    """Return the text, the tensors and the format of a file, checked against its digest."""
    found = import_safetensors().load(data)  # it checks the header: lengths, offsets, dtypes
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    if "skssl_format" not in metadata:
        raise ValueError("it is of safetensors, but has no estimator in it")
    of = metadata["skssl_format"]
    if of not in map(str, range(1, _changes.FORMAT + 1)):
        raise ValueError(f"it is of format {of!r}, which another version of skssl reads")
    tensors = {name: tensor.clone() for name, tensor in found.items()}  # aligned, for equal bits
    if _digest(metadata["model"], tensors) != metadata["digest"]:
        raise ValueError("its content is not what was saved: it is damaged")
    return metadata["model"], tensors, int(of)


def _unpack(
    text: str, tensors: dict[str, Tensor], given: dict[str, Any], of: int, size: int
) -> Any:
    content = json.loads(text)
    try:
        unpacker = Unpacker(content["entries"], tensors, given, of)
        model = unpacker.model(size)
    except ValueError as error:
        saved, here = content["versions"], _versions()
        if saved == here:
            raise
        raise ValueError(f"{error}. It was saved with {saved}; here are {here}") from error
    if not isinstance(model, BaseEstimator):
        raise ValueError(f"it holds a {type(model).__name__}, which is no estimator")
    for name in {name for name, thing in given.items() if thing is not None} - unpacker.used:
        raise ValueError(f"nothing in it needs {name}=, which it has whole. Leave {name}= out")
    return model
