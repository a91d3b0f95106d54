"""One file takes gradients, steps optimizers, sets rates, opens autocast and moves batches."""

import ast
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import skssl
from skssl import MultiTask

ROOT = Path(skssl.__file__).parent
LOOP = "_training/_loop.py"
# What may be done elsewhere, and why.
ALLOWED = {
    ("_data/_rows.py", "device"): "all rows go to an accelerator once, before there are batches",
    ("methods/_ijepa.py", "device"): "places in the grid, drawn on the CPU, follow the images",
}


def is_device(node):
    names = getattr(node, "id", None), getattr(node, "attr", None)
    return "device" in names


def deed(node):
    """Return which of the loop's deeds a node of a syntax tree does, if any."""
    if isinstance(node, ast.Subscript):
        is_rate = isinstance(node.slice, ast.Constant) and node.slice.value == "lr"
        return "rate" if is_rate and isinstance(node.ctx, ast.Store) else None
    if not isinstance(node, ast.Call):
        return None
    receiver = ast.unparse(getattr(node.func, "value", node.func))
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    is_off = any(k.arg == "enabled" and ast.unparse(k.value) == "False" for k in node.keywords)
    is_net = receiver.split(".")[-1] == "net"  # a net is moved as a whole, where it is made
    deeds = {
        "gradient": name in {"backward", "zero_grad", "clip_grad_norm_"},
        "step": name == "step" and "optim" in receiver,
        "optimizer": "torch.optim" in receiver or name in {"AdamW", "Adam", "SGD"},
        "plan": name in {"Plan", "one_cycle"},
        "autocast": name == "autocast" and not is_off,
        "device": name == "cuda" or (name == "to" and not is_net and any(map(is_device, given))),
    }
    return next((name for name, is_done in deeds.items() if is_done), None)


def deeds(text):
    return {found for node in ast.walk(ast.parse(text)) if (found := deed(node))}


def test_only_the_loop_trains():
    done = {
        path.relative_to(ROOT).as_posix(): deeds(path.read_text()) for path in ROOT.rglob("*.py")
    }
    assert {"gradient", "step", "optimizer", "plan", "rate", "autocast", "device"} == done.pop(LOOP)
    assert {(file, what) for file, found in done.items() for what in found} == set(ALLOWED)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("loss.backward()", "gradient"),
        ("self.optimizer.step()", "step"),
        ("torch.optim.SGD(net.parameters())", "optimizer"),
        ("for group in groups: group['lr'] = 0", "rate"),
        ("with torch.autocast('cpu', dtype=torch.bfloat16): pass", "autocast"),
        ("Plan(1, 2, rate)", "plan"),
        ("batch.to(x.device)", "device"),
        ("batch.to(device=device)", "device"),
    ],
)
def test_deeds_are_found(text, what):
    assert deeds(text) == {what}


def test_a_step_is_short():
    """How many of our functions one step calls, and how often they stand in another file.

    Raise the numbers if a step has to do more, not if it does the same on more ways.
    """
    calls = []

    def note(frame, event, arg):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(ROOT)) and code.co_name[0] != "<":
            calls.append((code.co_filename, code.co_name))

    numbers = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    X = pd.DataFrame(numbers, columns=list("abc"))
    X["two"], X["three"] = numbers[:, 0] > 0, np.digitize(numbers[:, 1], (-1, 1)).astype(str)
    method = MultiTask(n_components=8, max_epochs=1, batch_size=16, random_state=0)
    sys.setprofile(note)
    try:
        method.fit(X)
    finally:
        sys.setprofile(None)
    ends = [
        i for i, (file, name) in enumerate(calls) if file == str(ROOT / LOOP) and name == "_step"
    ]
    step = calls[ends[1] : ends[2]]
    changes = sum(a[0] != b[0] for a, b in zip(step, [*step[1:], step[0]], strict=True))
    assert len(ends) == 4
    assert len(step) <= 29 and changes <= 22


@pytest.mark.parametrize(
    "text", ["net.to(device)", "x.to(torch.float32)", "torch.autocast('cpu', enabled=False)"]
)
def test_other_calls_are_none(text):
    assert not deeds(text)
