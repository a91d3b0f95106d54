"""Check what `make dist` built: what the archives hold, and what the wheel says it needs.

python .ci/check_dist.py DIST
"""

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parents[1]


def tracked():
    """Return the files that git tracks."""
    command = ["git", "-C", str(ROOT), "ls-files"]
    return set(subprocess.check_output(command, text=True).splitlines())


def the_one(folder, pattern):
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"Expected one {pattern} in {folder}, got {len(found)}. Run `make dist`.")
    return found[0]


def in_sdist(path):
    """Return the files of an sdist, without those that setuptools adds."""
    with tarfile.open(path) as archive:
        names = [m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()]
    return {name for name in names if not name.startswith("skssl.egg-info/")} - {
        "PKG-INFO",
        "setup.cfg",
    }


def in_wheel(path):
    """Return the files of a wheel without its metadata, and the metadata."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(about))
    return {name for name in names if ".dist-info/" not in name}, metadata


def differences(what, found, expected):
    """Return a line for each file that is too much, or missing."""
    lines = [f"{what} lacks {name}" for name in sorted(expected - found)]
    return lines + [f"{what} should not hold {name}" for name in sorted(found - expected)]


def main(folder):
    files = tracked()
    package = {name for name in files if name.startswith("skssl/")}
    found, metadata = in_wheel(the_one(folder, "*.whl"))
    wrong = differences("the wheel", found, package)
    wrong += differences("the sdist", in_sdist(the_one(folder, "*.tar.gz")), files)
    if "skssl/py.typed" not in found:
        wrong.append("the wheel lacks skssl/py.typed, without which its types are not read")
    if metadata["License-Expression"] != "BSD-3-Clause" or not metadata["Requires-Python"]:
        wrong.append("the wheel says neither its licence nor its Python")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(found)} files in the wheel, {len(files)} in the sdist")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
