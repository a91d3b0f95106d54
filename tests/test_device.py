"""Fits on an accelerator that is none, pretend_device.py, beside the same fits on the CPU."""

import subprocess
import sys
from pathlib import Path

from test_common import TRAINED, TRANSFORMERS


def test_fits_on_an_accelerator_are_those_on_the_cpu():
    """Every method on each modality; what else a fit may do; and that a mistake is found."""
    script = Path(__file__).with_name("fit_on_device.py")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said = dict(line.split(": ", 1) for line in run.stdout.splitlines())
    assert {name: end for name, end in said.items() if end != "ok"} == {}
    assert len(said) > len(TRAINED) + len(TRANSFORMERS) + 10
    assert "a forgetful method" in said
