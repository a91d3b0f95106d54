"""Print the lower bounds of pyproject.toml as exact versions, for `pip install -r`.

    python .ci/lower_bounds.py test onnx     # of the core and of two extras

Where extras give a package different bounds, the highest is printed.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def exact(requirements):
    """Return {name: version} of requirements that are all `name>=version`."""
    bounds = {}
    for requirement in requirements:
        name, version = requirement.split(">=")
        bounds[name] = max(bounds.get(name, version), version, key=parts)
    return bounds


def parts(version):
    return tuple(map(int, version.split(".")))


def main(extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = project["requires-python"].removeprefix(">=")
    if sys.version_info[:2] != parts(python):
        sys.exit(f"The lower bound is Python {python}, this is {sys.version}: set OLDEST=")
    optional = project["optional-dependencies"]
    requirements = sum((optional[extra] for extra in extras), project["dependencies"])
    print("\n".join(f"{name}=={version}" for name, version in exact(requirements).items()))


if __name__ == "__main__":
    main(sys.argv[1:])
