"""The net that fills in a column from other columns and rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skssl.in_context._evidence import N_KERNELS
from skssl.in_context._layers import SHARPNESS
from skssl.in_context._net import FLOOR, VOTED, Context, InContextNet, number_features


def tables(n_labelled=12, n_unlabelled=6, n_new=5, n_columns=4, n_classes=3, n_tables=2):
    """Return contexts and rows to be predicted."""
    random = torch.Generator().manual_seed(0)
    n_context = n_labelled + n_unlabelled
    x = torch.randn(n_tables, n_context + n_new, n_columns, generator=random)
    x[:, :, 0] = torch.randint(4, x.shape[:2], generator=random).float()
    x[:, ::5, -1] = torch.nan
    cardinality = torch.zeros(n_tables, n_columns, dtype=torch.int64)
    cardinality[:, 0] = 4
    y = torch.arange(n_labelled).expand(n_tables, -1) % n_classes
    is_ordered = torch.tensor([False, True])
    return Context(x[:, :n_context], cardinality, y, n_classes, is_ordered), x[:, n_context:]


@pytest.fixture
def net():
    """A small net whose residual branches are not zero, as in training."""
    torch.manual_seed(0)
    net = InContextNet(width=16, cell_width=24, n_blocks=2, n_heads=2, n_thinking=3)
    for parameter in net.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def predict(net, context, x):
    return net(context, x, torch.Generator().manual_seed(1))


def test_probabilities(net):
    made = predict(net, *tables())
    assert made.shape == (2, 5, 3) and made.isfinite().all()
    assert torch.allclose(made.exp().sum(2), torch.ones(2, 5))


def test_a_row_alone_equals_the_row_in_a_batch(net):
    context, x = tables()
    together = predict(net, context, x)
    for row in range(5):
        alone = predict(net, context, x[:, [row]])
        assert torch.allclose(alone[:, 0], together[:, row], atol=1e-5)


def test_a_context_is_read_once_for_many_predictions(net):
    context, x = tables()
    memory = net.read(context, torch.Generator().manual_seed(1))
    made = torch.cat([net.predict(memory, part) for part in x.split(2, 1)], 1)
    assert torch.allclose(made, predict(net, context, x), atol=1e-5)


def test_the_order_of_rows_in_the_context_does_not_matter(net):
    context, x = tables()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    rows = torch.cat([order, torch.arange(12, 18).flip(0)])
    mixed = replace(context, x=context.x[:, rows], y=context.y[:, order])
    assert torch.allclose(predict(net, mixed, x), predict(net, context, x), atol=1e-5)


@pytest.mark.parametrize("changed", ["labels", "labelled rows", "unlabelled rows"])
def test_the_context_is_read(net, changed):
    context, new = tables()
    x, y = context.x.clone(), context.y.clone()
    if changed == "labels":
        y = y.flip(1)
    else:
        x[:, slice(12) if changed == "labelled rows" else slice(12, 18), 1] += 1
    other = replace(context, x=x, y=y)
    assert (predict(net, other, new) - predict(net, context, new)).abs().max() > 1e-3


def test_any_number_of_classes_and_columns(net):
    assert predict(net, *tables(n_labelled=80, n_classes=40)).shape == (2, 5, 40)
    assert predict(net, *tables(n_columns=1)).isfinite().all()
    assert predict(net, *tables(n_columns=70, n_unlabelled=0)).isfinite().all()


def test_a_class_without_rows_is_as_improbable_as_can_be(net):
    context, x = tables()
    wider = replace(context, n_classes=5, is_ordered=torch.tensor([False, False]))
    made = predict(net, wider, x)
    assert torch.allclose(made[..., 3:], torch.full((2, 5, 2), FLOOR).log(), atol=1e-3)


def test_the_vote_equals_a_loop(net, monkeypatch):
    """Of classes, and of numbers, where a class is worth the mean of its rows."""
    context, x = tables(n_unlabelled=2)
    random = torch.Generator().manual_seed(3)
    values = torch.randn(2, 12, generator=random)
    context = replace(context, values=values)
    memory, vote = net.read(context, torch.Generator().manual_seed(1)), net.vote
    labelled, rows = (
        torch.randn(2, 12, 16, generator=random),
        torch.randn(2, 5, 16, generator=random),
    )
    memory.voters, memory.members = vote.look(labelled, memory.one_hot)
    evidence = memory.statistics.read(x)
    trust = (net.trust.prior + net.trust.sharpness.exp() * evidence.scores).exp()
    told = evidence.probabilities(trust / trust.sum((1, 2), keepdim=True))
    monkeypatch.setattr(net, "embed", lambda memory, x: (rows, evidence))
    made, means = net.predict(memory, x).exp(), net.expect(memory, x)
    for t in range(2):
        y = context.y[t]
        for i in range(5):
            query = F.normalize(vote.voter(rows[t, i]), dim=0)
            like = evidence.likeness[t, :, i, :12]
            score = []
            for j in range(12):
                cosine = query @ F.normalize(vote.voter(labelled[t, j]), dim=0)
                alike = sum(w * k for w, k in zip(vote.rows_alike, like[:, j], strict=True))
                score.append(SHARPNESS * vote.sharpness.exp() * cosine + alike)
            weight = torch.stack(score).exp()
            each = torch.stack([weight[y == c].sum() / weight.sum() for c in range(3)])
            near = []
            for c in range(3):
                mean = vote.member(labelled[t][y == c]).mean(0)
                cosine = F.cosine_similarity(vote.member(rows[t, i]), mean, dim=0)
                alike = vote.classes_alike @ like[:, y == c].mean(1)
                near.append(vote.nearness * cosine + alike + told[t, i, c].log())
            share, near = vote.mixture.sigmoid(), torch.stack(near).softmax(0)
            expected = share * each + (1 - share) * near
            assert torch.allclose(made[t, i], expected * (1 - 3 * FLOOR) + FLOOR, atol=1e-5)
            of_rows = sum(w * v for w, v in zip(weight / weight.sum(), values[t], strict=True))
            of_classes = sum(near[c] * values[t][y == c].mean() for c in range(3))
            expected = share * of_rows + (1 - share) * of_classes
            expected = VOTED * expected + (1 - VOTED) * evidence.number[t, i]
            assert torch.allclose(means[t, i], expected, atol=1e-5)


def test_a_class_without_rows_has_no_members(net):
    context, _ = tables(n_classes=4)
    context = replace(context, y=context.y.clamp(max=2))
    memory = net.read(context, torch.Generator().manual_seed(1))
    assert not memory.members[:, 3].any() and not memory.one_hot[..., 3].any()


def test_with_random_weights_it_is_a_kernel_method_already():
    """Two moons: the vote of the untrained net is far better than the commonest class."""
    from sklearn.datasets import make_moons

    X, y = make_moons(300, noise=0.1, random_state=0)
    x = torch.from_numpy((X - X.mean(0)) / X.std(0)).float()[None]
    numbers, unordered = torch.zeros(1, 2, dtype=torch.int64), torch.tensor([False])
    context = Context(x[:, :100], numbers, torch.from_numpy(y[:100])[None], 2, unordered)
    torch.manual_seed(0)
    made = predict(InContextNet(), context, x[:, 100:])[0].argmax(1).numpy()
    assert np.mean(made == y[100:]) > 0.8


def test_in_bfloat16_it_is_about_the_same(net):
    plain = predict(net, *tables()).exp()
    rounded = predict(net.bfloat16(), *tables()).exp()
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - plain).square().mean().sqrt() < 0.02


def test_attention_equals_torch_s(net):
    block = net.blocks[0].attention
    x, context = torch.randn(2, 7, 16), torch.randn(2, 5, 16)
    like = torch.randn(2, N_KERNELS, 7, 5)
    key, value = block.look(context)
    query = block._heads(block.query(x))
    bias = torch.einsum("hk,tknm->thnm", block.alike, like)
    expected = F.scaled_dot_product_attention(query, key, value, bias)
    expected = block.out(expected.transpose(1, 2).reshape(2, 7, 16))
    assert torch.allclose(block(x, (key, value), like), expected, atol=1e-5)


def test_every_parameter_gets_a_gradient(net):
    (-predict(net, *tables())[..., 0].mean()).backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_features_of_numbers():
    x = torch.tensor([0.0, 1.0])
    wave = number_features(x)
    assert torch.allclose(wave[0], torch.tensor([0.0, 0, 0, 1, 0, 1]))
    assert torch.allclose(wave[1, 2:4], torch.tensor([np.sin(2.0), np.cos(2.0)]).float())
