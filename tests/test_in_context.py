"""The net that fills in a column from other columns and rows."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skssl._in_context._net import FLOOR, SHARPNESS, InContextNet, Tables, number_features


def tables(n_labelled=12, n_unlabelled=6, n_new=5, n_columns=4, n_classes=3, n_tables=2):
    random = torch.Generator().manual_seed(0)
    n_rows = n_labelled + n_unlabelled + n_new
    x = torch.randn(n_tables, n_rows, n_columns, generator=random)
    x[:, :, 0] = torch.randint(4, (n_tables, n_rows), generator=random).float()
    x[:, ::5, -1] = torch.nan
    cardinality = torch.zeros(n_tables, n_columns, dtype=torch.int64)
    cardinality[:, 0] = 4
    y = torch.arange(n_labelled).expand(n_tables, -1) % n_classes
    return Tables(x, cardinality, y, n_unlabelled, n_classes, torch.tensor([False, True]))


@pytest.fixture(
    params=[{}, {"numeric": "rbf", "scalable": True, "label_in_cells": True}],
    ids=["default", "arms"],
)
def net(request):
    """A small net whose residual branches are not zero, as in training."""
    torch.manual_seed(0)
    net = InContextNet(width=16, n_blocks=2, n_heads=2, n_thinking=3, **request.param)
    for parameter in net.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def predict(net, task):
    return net(task, torch.Generator().manual_seed(1))


def test_probabilities(net):
    made = predict(net, tables())
    assert made.shape == (2, 5, 3) and made.isfinite().all()
    assert torch.allclose(made.exp().sum(2), torch.ones(2, 5))


def test_a_row_alone_equals_the_row_in_a_batch(net):
    task = tables()
    for row in range(5):
        kept = [*range(18), 18 + row]
        alone = Tables(task.x[:, kept], task.cardinality, task.y, 6, 3, task.is_ordered)
        assert torch.allclose(predict(net, alone)[:, 0], predict(net, task)[:, row], atol=1e-5)


def test_the_order_of_rows_in_the_context_does_not_matter(net):
    task = tables()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    others = torch.arange(12, 18).flip(0)
    rows = torch.cat([order, others, torch.arange(18, 23)])
    mixed = Tables(task.x[:, rows], task.cardinality, task.y[:, order], 6, 3, task.is_ordered)
    assert torch.allclose(predict(net, mixed), predict(net, task), atol=1e-5)


@pytest.mark.parametrize("changed", ["labels", "labelled rows", "unlabelled rows"])
def test_the_context_is_read(net, changed):
    task = tables()
    x, y = task.x.clone(), task.y.clone()
    if changed == "labels":
        y = y.flip(1)
    else:
        x[:, slice(12) if changed == "labelled rows" else slice(12, 18), 1] += 1
    other = Tables(x, task.cardinality, y, 6, 3, task.is_ordered)
    assert (predict(net, other) - predict(net, task)).abs().max() > 1e-3


def test_any_number_of_classes_and_columns(net):
    assert predict(net, tables(n_labelled=80, n_classes=40)).shape == (2, 5, 40)
    assert predict(net, tables(n_columns=1)).isfinite().all()
    assert predict(net, tables(n_columns=70, n_unlabelled=0)).isfinite().all()


def test_a_class_without_rows_is_as_improbable_as_can_be(net):
    task = tables()
    wider = Tables(task.x, task.cardinality, task.y, 6, 5, torch.tensor([False, False]))
    made = predict(net, wider)
    assert torch.allclose(made[..., 3:], torch.full((2, 5, 2), FLOOR).log(), atol=1e-3)


def test_the_vote_equals_a_loop(net):
    task, width = tables(n_unlabelled=2), 16
    rows = torch.randn(2, 19, width, generator=torch.Generator().manual_seed(3))
    made = net._vote(rows, task).exp()
    for t in range(2):
        voter, member = F.normalize(net.voter(rows[t]), dim=1), net.member(rows[t])
        for i in range(5):
            query = voter[14 + i]
            weight = torch.stack(
                [(SHARPNESS * net.sharpness.exp() * query @ voter[j]).exp() for j in range(12)]
            )
            vote = torch.stack([weight[task.y[t] == c].sum() / weight.sum() for c in range(3)])
            near = []
            for c in range(3):
                mean = member[:12][task.y[t] == c].mean(0)
                share = (task.y[t] == c).float().mean()
                near.append(8 * F.cosine_similarity(member[14 + i], mean, dim=0) + share.log())
            by_mean = torch.stack(near).softmax(0)
            share = net.mixture.sigmoid()
            expected = share * vote + (1 - share) * by_mean
            assert torch.allclose(made[t, i], expected * (1 - 3 * FLOOR) + FLOOR, atol=1e-5)


def test_with_random_weights_it_is_a_kernel_method_already():
    """Two moons: the vote of the untrained net is far better than the commonest class."""
    from sklearn.datasets import make_moons

    X, y = make_moons(300, noise=0.1, random_state=0)
    x = torch.from_numpy((X - X.mean(0)) / X.std(0)).float()[None]
    task = Tables(
        x,
        torch.zeros(1, 2, dtype=torch.int64),
        torch.from_numpy(y[:100])[None],
        0,
        2,
        torch.tensor([False]),
    )
    torch.manual_seed(0)
    made = predict(InContextNet(), task)[0].argmax(1).numpy()
    assert np.mean(made == y[100:]) > 0.8


def test_in_bfloat16_it_is_about_the_same(net):
    plain = predict(net, tables()).exp()
    rounded = predict(net.bfloat16(), tables()).exp()
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - plain).square().mean().sqrt() < 0.02


def test_attention_in_bfloat16_is_the_formula(net):
    block = net.bfloat16().blocks[0].of_rows
    x, context = torch.randn(2, 3, 7, 16).bfloat16(), torch.randn(2, 3, 5, 16).bfloat16()
    expected = block.float()(x.float(), context.float())
    found = block.bfloat16()(x, context)
    assert (found.float() - expected).square().mean() < 1e-3 * expected.square().mean()


def test_every_parameter_gets_a_gradient(net):
    (-predict(net, tables())[..., 0].mean()).backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_features_of_numbers():
    x = torch.tensor([0.0, 1.0])
    wave = number_features(x, "periodic")
    assert torch.allclose(wave[0], torch.tensor([0.0, 0, 0, 1, 0, 1]))
    assert torch.allclose(wave[1, 2:4], torch.tensor([np.sin(2.0), np.cos(2.0)]).float())
    near = number_features(x, "rbf")
    assert near[0, 1:].argmax() == 7 and near[0, 8] == 1.0  # the centre at 0
