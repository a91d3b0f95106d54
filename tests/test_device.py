"""Fits on an accelerator that is none, pretend_device.py, beside the same fits on the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_common import TRAINED, TRANSFORMERS
from torch.utils import backend_registration

from skssl._compat import CallbackSupportMixin

HAS_BACKENDS = hasattr(backend_registration, "_setup_privateuseone_for_python_backend")
HAS_CALLBACKS = CallbackSupportMixin.__module__ != "skssl._compat"


@pytest.mark.skipif(not HAS_BACKENDS, reason="this torch knows no accelerator made in Python")
@pytest.mark.skipif(not HAS_CALLBACKS, reason="a fit that goes on needs scikit-learn 1.9 or newer")
def test_fits_on_an_accelerator_are_those_on_the_cpu():
    """Every method on each modality; what else a fit may do; and that a mistake is found."""
    script = Path(__file__).with_name("fit_on_device.py")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said = dict(line.split(": ", 1) for line in run.stdout.splitlines())
    assert {name: end for name, end in said.items() if end != "ok"} == {}
    assert len(said) > len(TRAINED) + len(TRANSFORMERS) + 10
    assert "a forgetful method" in said
