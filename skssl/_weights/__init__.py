"""Starting weights: arrays that lie in the package, are read without pickle, and have a digest.

A file holds the arrays of a net as float16, and the settings it was built with as JSON. It is
written by a command in ``benchmarks/pretraining``; its digest is listed here by hand, so that a
file that was exchanged or damaged is refused.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent
DIGESTS = {  # SHA-256 of each file
    "tables": "e01eccde934680dc48b1e1289b75fcb16132f3e9733576e3c84aeff395f2d38a",
}
_SETTINGS = "settings.json"  # the entry that is no array of weights


def read_weights(path: Path, digest: str) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Read starting weights.

    Parameters
    ----------
    path : Path
        A file that `write_weights` wrote.
    digest : str
        The SHA-256 that it must have, in hexadecimal.

    Returns
    -------
    settings : dict
        What the net is built with.
    state : dict of str to Tensor
        Its weights, float32.

    Raises
    ------
    ValueError
        If the file is not there, or not the one that has the digest.
    """
    if not path.is_file():
        raise ValueError(f"The starting weights {path} are missing; install skssl again.")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ValueError(
            f"The starting weights {path} are not those of this version: their SHA-256 is "
            f"{found}, expected {digest}. Install skssl again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    settings = json.loads(str(arrays.pop(_SETTINGS)))
    return settings, {name: torch.from_numpy(a).float() for name, a in arrays.items()}


def write_weights(path: Path, settings: dict[str, object], state: dict[str, Tensor]) -> str:
    """Write starting weights, and return the digest of the file.

    Parameters
    ----------
    path : Path
        Of the file; it is replaced.
    settings : dict
        What the net is built with, as JSON can hold it.
    state : dict of str to Tensor
        Its weights; they are rounded to float16.

    Returns
    -------
    digest : str
        SHA-256, in hexadecimal. The same weights have the same.

    Raises
    ------
    ValueError
        If a weight is not finite or too large for float16.
    """
    arrays = {name: weight.detach().cpu().half().numpy() for name, weight in state.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"The weights {name} do not fit float16: they hold inf or NaN there.")
    arrays[_SETTINGS] = np.array(json.dumps(settings, sort_keys=True))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue(), zipfile.ZIP_DEFLATED)
    return hashlib.sha256(path.read_bytes()).hexdigest()
