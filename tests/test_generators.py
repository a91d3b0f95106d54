"""Methods that generate images, their adversaries, and the distance of what they generate."""

import functools
import pickle

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from test_methods import trained_net
from test_pretexts import evaluated, patches, probe, seeded, slow_cross_entropy
from torch import nn

from skssl import SSGAN, BiGAN, MultiTask, SimCLR, load, save
from skssl._data._draws import randn
from skssl._training._loop import Net, make_optimizer
from skssl.encoders import SpectralNet
from skssl.encoders._spectral import SpectralConv2d, SpectralLinear
from skssl.losses import hinge
from skssl.methods._adversary import frozen
from skssl.metrics import frechet_distance

DIGITS, LABELS = load_digits().images.astype(np.uint8), load_digits().target
CHEAP = {
    "n_components": 8,
    "max_epochs": 1,
    "batch_size": 20,
    "precision": "float32",
    "random_state": 0,
    "modality": "image",
}
METHODS = {"BiGAN": BiGAN(), "SSGAN": SSGAN(n_latent=6)}
every_method = pytest.mark.parametrize("name", METHODS)


@functools.cache
def fitted_once(name):
    return clone(METHODS[name]).set_params(**CHEAP).fit(DIGITS[:40])


# ---- the distance ------------------------------------------------------------------------


def test_the_distance_equals_the_formula():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6))
    B = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6)) + 1
    S, T = np.cov(A, rowvar=False), np.cov(B, rowvar=False)
    expected = ((A.mean(0) - B.mean(0)) ** 2).sum() + np.trace(S + T - 2 * sqrtm(S @ T).real)
    assert frechet_distance(A, B) == pytest.approx(expected)
    assert frechet_distance(B, A) == pytest.approx(expected)


def test_the_distance_of_normals_is_the_closed_form():
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * np.sqrt(3 / 4)
    A, B = corners * [1, 2] + [5, 0], corners * [4, 3] + [2, 4]  # of unit variances before
    assert frechet_distance(A, B) == pytest.approx(3**2 + 4**2 + (1 - 4) ** 2 + (2 - 3) ** 2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert frechet_distance(A @ turn, B @ turn) == pytest.approx(35)
    assert frechet_distance(A, A) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(A[:1].repeat(3, 0), B[:1].repeat(2, 0)) == pytest.approx(
        ((A[0] - B[0]) ** 2).sum()
    )


def test_fewer_rows_than_columns():
    A, B = np.random.default_rng(0).normal(size=(2, 5, 40))
    S, T = np.cov(A, rowvar=False), np.cov(B[:3], rowvar=False)
    root = np.sqrt(np.linalg.eigvals(S @ T).real.clip(0)).sum()
    expected = ((A.mean(0) - B[:3].mean(0)) ** 2).sum() + np.trace(S + T) - 2 * root
    assert frechet_distance(A, B[:3]) == pytest.approx(expected, rel=1e-5)


def test_the_transformer_is_the_ruler():
    X = DIGITS.reshape(-1, 64)
    pca = PCA(5, random_state=0).fit(X)
    expected = frechet_distance(pca.transform(X[:300]), pca.transform(X[300:]))
    assert frechet_distance(X[:300], X[300:], pca) == pytest.approx(expected)


def test_what_has_no_distance_is_said():
    A = np.eye(4)
    with pytest.raises(ValueError, match="same number of columns; got 4 and 3"):
        frechet_distance(A, A[:, :3])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        frechet_distance(A, A[:1])
    with pytest.raises(ValueError, match="NaN"):
        frechet_distance(A, A * np.nan)
    with pytest.raises(ValueError, match="'transformer' parameter"):
        frechet_distance(A, A, "SimCLR")
    with pytest.raises(NotFittedError):
        frechet_distance(A, A, PCA())


# ---- parts -------------------------------------------------------------------------------


def test_hinge_equals_loop():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0])
    slow = np.mean([max(0, 1 - r) for r in real.tolist()])
    slow += np.mean([max(0, 1 + f) for f in fake.tolist()])
    assert hinge(real, fake).item() == pytest.approx(slow)
    assert hinge(torch.zeros(3), torch.zeros(2)).item() == 2
    assert hinge(real.bfloat16(), fake.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("make", [SpectralLinear, lambda i, o: SpectralConv2d(i, o, 3)])
def test_spectral_layers_have_norm_one(make):
    layer = make(5, 7)
    x = torch.randn(2, 5, *[4] * (layer.weight.ndim - 2))
    for _ in range(200):
        layer(x)
    norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
    torch.testing.assert_close(layer.normalised(), layer.weight / norm, rtol=1e-4, atol=1e-5)
    layer.eval()
    u = layer.u.clone()
    torch.testing.assert_close(layer(x), layer(x))
    assert torch.equal(layer.u, u)  # evaluation changes nothing
    (gradient,) = torch.autograd.grad(layer.normalised().square().sum(), layer.weight)
    assert (gradient * layer.weight).sum().abs() < 1e-4  # the scale of a weight has no slope


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (5, 9), (4, 4), (2, 20)])
def test_discriminators_read_images_of_any_size(size):
    assert SpectralNet(2, size, 64, 4)(torch.zeros(3, 2, *size)).shape == (3, 64)


def test_too_small_images_are_said():
    with pytest.raises(ValueError, match="at least 2 pixels a side, got 1 x 20"):
        SpectralNet(2, (1, 20))


def test_a_frozen_module_passes_gradients_on():
    module, x = nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)
    torch.testing.assert_close(frozen(module, x), module(x))
    frozen(module, x).sum().backward()
    assert x.grad.abs().sum() > 0 and module.weight.grad is None
    assert module.weight.requires_grad


def test_betas_of_a_net_are_the_optimizer_s():
    net = Net()
    net.encoder = nn.Linear(2, 2)
    assert make_optimizer(net, 1e-3, 0).param_groups[0]["betas"] == (0.9, 0.999)
    net.betas = 0.0, 0.9
    assert make_optimizer(net, 1e-3, 0).param_groups[0]["betas"] == (0.0, 0.9)


# ---- losses ------------------------------------------------------------------------------


def test_ssgan_s_loss_equals_loop():
    fitted, net, x = trained_net(SSGAN(n_latent=6, alpha=0.3, beta=0.7, **CHEAP), DIGITS[:20])
    fake = evaluated(net.decoder, seeded(randn, 20, 6))
    critic = real = made = 0.0
    for images, weight in ((x.numpy(), 1), (fake, -1)):
        scores, errors = [], []
        for i, image in enumerate(images):
            for turns in range(4 if i < 5 else 1):
                turned = np.ascontiguousarray(np.rot90(image, turns, (1, 2)), np.float32)
                with torch.no_grad():
                    score, *logits = net.critic(torch.from_numpy(turned)[None])[0].tolist()
                if turns == 0:
                    scores.append(score)
                if i < 5:
                    errors.append(slow_cross_entropy(np.array(logits), turns))
        critic += np.mean([max(0, 1 - weight * score) for score in scores])
        if weight == 1:
            real = np.mean(errors)
        else:
            made = -np.mean(scores) + 0.3 * np.mean(errors)
    loss = seeded(fitted._loss, net, x).item()
    assert loss == pytest.approx(critic + 0.7 * real + made, rel=1e-4)


def test_bigan_s_loss_equals_loop():
    fitted, net, x = trained_net(BiGAN(inversion=0.6, **CHEAP), DIGITS[:20])
    loss = seeded(fitted._loss, net, x).item()
    z = seeded(randn, 20, 8)
    slow = 0.0
    for i in range(20):
        with torch.no_grad():
            real = net.critic(x[i : i + 1], net.encoder(x[i : i + 1])).item()
            fake = net.critic(net.decoder(z[i : i + 1]), z[i : i + 1]).item()
            back = net.encoder(net.decoder(z[i : i + 1]))[0]
        slow += (max(0, 1 - real) + max(0, 1 + fake) + real - fake) / 20
        slow += (
            0.6
            * np.mean([(a - b) ** 2 for a, b in zip(back.tolist(), z[i].tolist(), strict=True)])
            / 20
        )
    assert loss == pytest.approx(slow, rel=1e-4)


@every_method
def test_adversaries_follow_their_own_losses(name):
    """No gradient of the generator's loss reaches the discriminator, nor the other way."""
    fitted, net, x = trained_net(clone(METHODS[name]).set_params(**CHEAP), DIGITS[:20])
    net.zero_grad()
    torch.manual_seed(0)
    fitted._loss(net, x).backward()
    torch.manual_seed(0)
    if name == "BiGAN":
        codes = net.encoder(x)
        z = randn(*codes.shape)
        fake = net.decoder(z)
        made = net.critic(x, codes).mean() - net.critic(fake, z).mean()
        made = made + (net.encoder(fake) - z).square().mean()
        real, fake = codes.detach(), fake.detach()
        critic = hinge(net.critic(x, real), net.critic(fake, z))
    else:
        fake = net.decoder(randn(20, 6))
        turned = [torch.cat([a[:5].rot90(k, (2, 3)) for k in range(4)]) for a in (fake, x)]
        turns = torch.arange(4).repeat_interleave(5)
        errors = [nn.functional.cross_entropy(net.critic(a)[:, 1:], turns) for a in turned]
        made = 0.2 * errors[0] - net.critic(fake)[:, 0].mean()
        critic = hinge(net.critic(x)[:, 0], net.critic(fake.detach())[:, 0]) + errors[1]
    pairs = [(net.critic, critic), (net.decoder, made)]
    for part, loss in pairs + [(net.encoder, made)] * (name == "BiGAN"):
        weights = list(part.parameters())
        gradients = torch.autograd.grad(loss, weights, retain_graph=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-5)


@every_method
def test_gradients_are_finite_under_bfloat16_at_duplicates(name):
    params = {**CHEAP, "precision": "bfloat16"}
    fitted = clone(METHODS[name]).set_params(**params).fit(DIGITS[:2].repeat(10, 0))
    assert np.isfinite(fitted.loss_curve_).all() and np.isfinite(fitted.transform(DIGITS)).all()


# ---- generate ----------------------------------------------------------------------------


@every_method
def test_generate_draws_by_the_random_state(name, tmp_path):
    fitted = fitted_once(name)
    images = fitted.generate(30, random_state=0)
    assert images.shape == (30, 8, 8) and images.dtype == np.uint8
    assert images.std(0).max() > 0  # they differ
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    assert np.array_equal(fitted.generate(30, random_state=np.random.RandomState(0)), images)
    assert np.array_equal(fitted.generate(np.int64(30), random_state=0), images)
    assert not np.array_equal(fitted.generate(30, random_state=1), images)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    save(fitted, tmp_path / "gan")
    for other in (load(tmp_path / "gan"), pickle.loads(pickle.dumps(fitted))):
        assert np.array_equal(other.generate(30, random_state=0), images)
    assert fitted.generate(1).shape == (1, 8, 8)


@every_method
def test_generated_images_have_the_layout_of_the_real_ones(name):
    X = patches(40, 8)
    for real in (X, X.astype(np.float64) / 255, np.moveaxis(X, 3, 1)):
        fitted = clone(METHODS[name]).set_params(**CHEAP).fit(real)
        images = fitted.generate(3, random_state=0)
        assert images.shape == (3, *real.shape[1:])
        assert images.dtype == (np.uint8 if real.dtype == np.uint8 else np.float32)
        slack = 1e-3 * np.ptp(real) if images.dtype.kind == "f" else 0
        assert real.min() - slack <= images.min() and images.max() <= real.max() + slack
    rows = DIGITS[:40].reshape(40, 64)
    fitted = clone(METHODS[name]).set_params(**CHEAP, image_shape=(8, 8)).fit(rows)
    assert fitted.generate(3).shape == (3, 64)


@every_method
@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), ("3", TypeError)]
)
def test_bad_numbers_of_images_are_said(name, n, error):
    with pytest.raises(error, match="^n "):
        fitted_once(name).generate(n)


@every_method
def test_generate_needs_a_fit(name):
    with pytest.raises(NotFittedError):
        clone(fitted_once(name)).generate(3)


@every_method
def test_other_data_is_said(name):
    method = clone(METHODS[name]).set_params(**CHEAP)
    for X in (load_iris().data, np.zeros((20, 3, 2, 8, 8))):
        with pytest.raises(ValueError, match="images"):
            clone(method).set_params(modality="auto").fit(X)


def test_images_that_are_not_square_are_said():
    with pytest.raises(ValueError, match="expected square ones, got 8 x 6 pixels. Crop or pad"):
        SSGAN(**CHEAP).fit(DIGITS[:40, :, 1:7])
    assert BiGAN(**CHEAP).fit(DIGITS[:40, :, 1:7]).generate(2).shape == (2, 8, 6)


def test_bigan_reconstructs():
    for X in (DIGITS[:40], patches(40, 8) / np.float32(255)):
        fitted = BiGAN(**CHEAP).fit(X)
        out = fitted.reconstruct(X)
        assert out.shape == X.shape and out.dtype == X.dtype
        z = torch.from_numpy(fitted.transform(X))
        made = fitted._scaler.inverse(fitted.decoder_(z)).detach().numpy()
        made = made[:, 0].round() if X.ndim == 3 else np.moveaxis(made, 1, -1)
        np.testing.assert_allclose(out, made, atol=1 if X.ndim == 3 else 1e-4)
    assert not hasattr(SSGAN(), "reconstruct")


@every_method
def test_as_a_task_of_several(name):
    tasks = [("simclr", SimCLR(), 1.0), ("mine", METHODS[name], 0.5)]
    fitted = MultiTask(tasks, **CHEAP).fit(DIGITS[:40])
    assert fitted.transform(DIGITS[:40]).shape == (40, 8)


# ---- learning ----------------------------------------------------------------------------

# Epochs over half of the digits, and by how much each beats untrained encoders: half of what was
# measured.
LEARNS = {"BiGAN": (71, 0.055), "SSGAN": (143, 0.01)}


@functools.cache
def learnt(name, seed, trained=True):
    """Fit 1 000 or 2 000 steps, in half a minute, or none."""
    method = type(METHODS[name])(random_state=seed, max_epochs=LEARNS[name][0] if trained else 0)
    return method.fit(DIGITS[::2])


@pytest.mark.slow
@pytest.mark.learns(*LEARNS)
@every_method
def test_training_beats_the_untrained_encoder(name, seed, margin):
    scores = [probe(learnt(name, seed, t).transform(DIGITS), LABELS) for t in (True, False)]
    margin(scores[0] - scores[1], LEARNS[name][1])


@pytest.mark.slow
@every_method
def test_generated_images_are_closer_than_those_of_a_normal_distribution(name, seed, margin):
    train, test = DIGITS[::2], DIGITS[1::2]
    ruler = SimCLR(views="no_flip", max_epochs=15, random_state=0).fit(train)
    pca = PCA(50, random_state=0).fit(train.reshape(-1, 64))
    Z = np.random.default_rng(seed).normal(size=(len(test), 50)) * pca.explained_variance_**0.5
    drawn = pca.inverse_transform(Z).round().clip(0, 16).astype(np.uint8).reshape(-1, 8, 8)
    made = learnt(name, seed).generate(len(test), random_state=seed)
    far, near = (frechet_distance(images, test, ruler) for images in (drawn, made))
    margin(far / near, 1.2)
