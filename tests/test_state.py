"""All that a method keeps on ``net`` moves in training, and all of its encoder gets gradients.

The methods, and the modalities that each reads, are found by walking ``skssl.__all__``.
"""

import pytest
import torch
from sklearn.base import clone
from test_common import EVERY, SAMPLES, TRAINED, TRANSFORMERS, mixed_frame, name_of
from torch import nn

from skssl import DINO, SimSiam

# Best weights are put back at the end: of the first epoch at the earliest, which has six steps.
TRAINING = {
    "batch_size": 8,
    "max_epochs": 2,
    "n_iter_no_change": 2,
    "weight_decay": 0.0,  # which would move a weight that no loss reads
    "precision": "float32",
}
# Further ahead no recording of the sample has a frame.
PARAMS = {"CPC": {"prediction_steps": 6}}
CASES = [pytest.param(t, "table", id=f"{name_of(t)}-table") for t in TRANSFORMERS] + TRAINED


def watched(transformer, X):
    """Fit; return the net, its state before the first step, and the encoder's gradients."""

    class Watched(type(transformer)):
        def _build(self, net, X):
            super()._build(net, X)
            state = [*net.named_parameters(), *net.named_buffers()]
            self.net, self.before = net, {name: tensor.clone() for name, tensor in state}
            self.reached = set()
            for name, weight in net.encoder.named_parameters():
                if weight.requires_grad:
                    weight.register_post_accumulate_grad_hook(self.note(name))

        def note(self, name):
            return lambda weight: self.reached.add(name) if weight.grad.any() else None

    fitted = Watched(**transformer.get_params(deep=False)).set_params(**TRAINING)
    fitted.set_params(**PARAMS.get(name_of(transformer), {})).fit(X)
    assert len(fitted.validation_loss_curve_) == 2
    return fitted


def still(fitted):
    """Return the names on the net whose values are those of before training.

    Encoders' constants, such as the levels of categories, which are computed from rows before
    training, are left out.
    """
    owners, buffers = dict(fitted.net.named_modules()), dict(fitted.net.named_buffers())
    names = []
    for name, tensor in [*fitted.net.named_parameters(), *buffers.items()]:
        owner = type(owners[name.rpartition(".")[0]]).__module__
        is_of_encoders = name in buffers and owner.startswith("skssl.encoders")
        if torch.equal(tensor, fitted.before[name]) and not is_of_encoders:
            names.append(name)
    return names


@pytest.mark.parametrize(("transformer", "modality"), CASES)
def test_all_state_moves_and_all_of_the_encoder_gets_gradients(transformer, modality):
    X = mixed_frame() if modality == "table" else SAMPLES[modality]()
    fitted = watched(clone(transformer), X)
    unmoved, constants = still(fitted), fitted._constants
    assert {n for n in unmoved if not n.startswith(tuple(constants))} == set()
    assert {c for c in constants if not any(n.startswith(c) for n in unmoved)} == set()
    encoder = {name for name, _ in fitted.encoder_[1].named_parameters()}
    assert encoder and fitted.reached == encoder


def test_what_is_declared_constant_has_a_reason():
    for transformer in EVERY:
        for name, reason in getattr(transformer, "_constants", {}).items():
            assert len(reason.split()) > 3, (name_of(transformer), name)


class HalfTrained(SimSiam):
    """Its loss reads the first half of what it keeps as the encoder."""

    def _build(self, net, X):
        super()._build(net, X)
        net.part, width = net.encoder, self.n_components
        net.encoder = nn.Sequential(net.part, nn.Linear(width, width))

    def _loss(self, net, x):
        whole, net.encoder = net.encoder, net.part
        try:
            return super()._loss(net, x)
        finally:
            net.encoder = whole


class Still(DINO):
    """Its teacher never moves."""

    def _loss(self, net, x):
        teacher = {name: value.clone() for name, value in net.teacher.state_dict().items()}
        loss = super()._loss(net, x)
        net.teacher.load_state_dict(teacher)
        return loss


def test_the_checks_find_what_they_are_for():
    params = {"n_components": 8, "random_state": 0}
    half = watched(HalfTrained(**params), mixed_frame())
    assert {n for n, _ in half.encoder_[1].named_parameters()} - half.reached == {
        "1.weight",
        "1.bias",
    }
    unmoved = still(watched(Still(**params), mixed_frame()))
    assert "teacher.1.prototypes.weight" in unmoved
    assert all(name.startswith("teacher.") for name in unmoved)
