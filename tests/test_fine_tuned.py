"""Fine-tuning: where it starts, when it stops, what it changes and what it gains."""

import copy
import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import (
    SCARF,
    DenoisingAutoencoder,
    FineTunedClassifier,
    FineTunedRegressor,
    PretrainedClassifier,
    PretrainedRegressor,
    SimCLR,
    TS2Vec,
    UnlabeledKFold,
)
from skssl._data import ImageReader, TableReader
from skssl._data._draws import Draws
from skssl._data._rows import Rows
from skssl._meta._fitting import Stage
from skssl._meta._reading import Seen
from skssl._training._loop import Net
from skssl.base._modalities import MODALITIES
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised import _fine_tuned
from skssl.semi_supervised._fine_tuned import ENOUGH, Head, clearly_best
from skssl.semi_supervised._linear import (
    N_FOLDS,
    PENALTIES,
    LinearClassifier,
    LinearRegressor,
    log_likelihood,
)
from skssl.views import image_views, original

X, Y = load_digits(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(len(X))
FEW, TEST = ORDER[:200], ORDER[200:1200]
CHEAP = {"n_components": 32, "max_epochs": 1, "precision": "float32", "random_state": 0}


def partly(n, y=Y):
    """Return y with labels for the first n of FEW only."""
    labels = np.full(len(y), -1)
    labels[FEW[:n]] = y[FEW[:n]]
    return labels


@functools.cache
def scarf(seed):
    return SCARF(n_components=64, max_epochs=10, precision="float32", random_state=seed).fit(X)


@functools.cache
def tuned(n, seed):
    model = FineTunedClassifier(FrozenEstimator(scarf(seed)), passthrough=False, random_state=seed)
    return model.fit(X, partly(n))


# ---- linear models -----------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 10])
def test_the_linear_classifier_is_a_logistic_regression(classes):
    rows = FEW[Y[FEW] < classes]
    Z = StandardScaler().fit(X[rows])
    ours = LinearClassifier(penalty=10.0).fit(X[rows], Y[rows])
    theirs = LogisticRegression(C=0.1, max_iter=300, tol=1e-3).fit(Z.transform(X[rows]), Y[rows])
    test = X[TEST]
    np.testing.assert_allclose(
        ours.predict_proba(test), theirs.predict_proba(Z.transform(test)), atol=1e-6
    )
    assert np.array_equal(ours.predict(test), theirs.predict(Z.transform(test)))
    decision = ours.decision_function(test)
    assert decision.shape == ((len(test),) if classes == 2 else (len(test), 10))
    assert len(ours.coef_) == classes


def test_the_chosen_penalty_is_that_of_the_model():
    np.testing.assert_allclose(PENALTIES, [1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1000])
    A, y = load_diabetes(return_X_y=True)
    Z = StandardScaler().fit_transform(A)
    model = LinearRegressor().fit(A, y)
    expected = Ridge(model.penalty_ * len(y)).fit(Z, y).predict(Z)
    np.testing.assert_allclose(model.predict(A), expected, rtol=1e-6)
    chosen = LinearClassifier().fit(A, y > 150)
    given = LinearClassifier(penalty=chosen.penalty_).fit(A, y > 150)
    np.testing.assert_array_equal(chosen.predict_proba(A), given.predict_proba(A))
    assert chosen.penalty_ != 1 and given.greater_penalty_ == given.penalty_ == chosen.penalty_


def test_linear_models_compute_in_double_precision():
    few, rows = X[:60].astype(np.float32), X[60:90].astype(np.float32)
    single, double = (
        LinearClassifier(penalty=1.0).fit(Z, Y[:60]).decision(rows)
        for Z in (few, few.astype(float))
    )
    np.testing.assert_array_equal(single, double)


def test_log_likelihood_is_that_of_the_true_classes():
    expected = np.log([0.8, 0.7, 0.4])
    codes, proba = np.array([0, 1, 1]), np.array([0.2, 0.7, 0.4])
    assert log_likelihood(codes, proba) == pytest.approx(expected.mean())
    both = np.stack([1 - proba, proba, 0 * proba], 1)
    assert log_likelihood(codes, both) == pytest.approx(expected.mean())
    weighted = log_likelihood(codes, both, np.array([1, 2, 0]))
    assert weighted == pytest.approx((expected[0] + 2 * expected[1]) / 3)
    assert log_likelihood(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(np.log(1e-15))


def test_the_penalty_is_chosen_by_held_out_loss():
    noise = np.random.default_rng(0).normal(size=(100, 20))
    y = np.arange(100) % 2
    assert LinearClassifier().fit(noise, y).penalty_ == 1000  # nothing to learn
    assert LinearClassifier().fit(noise + 5 * y[:, None], y).penalty_ < 1
    target = noise @ np.arange(20.0)
    assert LinearRegressor().fit(noise, target).penalty_ < 0.01
    assert LinearRegressor().fit(noise, np.random.default_rng(1).normal(size=100)).penalty_ > 0.1
    one_each = LinearClassifier().fit(noise[:3], [0, 1, 2])  # nothing to hold out
    assert one_each.penalty_ == 1 and np.array_equal(one_each.predict(noise[:3]), [0, 1, 2])


def test_the_greater_penalty_is_within_a_standard_error_of_the_best():
    random = np.random.default_rng(0)
    Z, y = random.normal(size=(60, 10)), np.arange(60) % 3
    Z[:, 0] += 2 * y
    linear = LinearClassifier().fit(Z, y)
    standard = StandardScaler().fit_transform(Z)
    folds = list(FewLabelsKFold(N_FOLDS).split(y, y))
    by_penalty = {}
    for penalty in PENALTIES:
        model = LogisticRegression(C=1 / penalty, max_iter=300, tol=1e-3)
        by_penalty[penalty] = [
            -log_loss(y[test], model.fit(standard[train], y[train]).predict_proba(standard[test]))
            for train, test in folds
        ]
    best = max(by_penalty, key=lambda p: np.mean(by_penalty[p]))
    error = np.std(by_penalty[best], ddof=1) / len(folds) ** 0.5
    least = np.mean(by_penalty[best]) - error
    greatest = max(p for p, scores in by_penalty.items() if np.mean(scores) >= least)
    assert (linear.penalty_, linear.greater_penalty_) == (best, greatest)
    assert greatest > best


@pytest.mark.parametrize(("n", "n_folds"), [(3, 0), (5, 2), (30, N_FOLDS)])
def test_numbers_are_held_out_in_the_same_folds_each_time(n, n_folds, monkeypatch):
    seen, fit = [], LinearRegressor._fit_linear

    def noted(self, X, y, model, grid, how):
        seen.extend(test.tolist() for _, test in how[0])
        return fit(self, X, y, model, grid, how)

    monkeypatch.setattr(LinearRegressor, "_fit_linear", noted)
    LinearRegressor().fit(np.eye(n), np.arange(n))
    cv = KFold(max(2, n_folds), shuffle=True, random_state=0)
    assert seen == [test.tolist() for _, test in cv.split(np.eye(n))][:n_folds]


def test_training_starts_from_the_greater_penalty(monkeypatch):
    starts = []
    train = FineTunedClassifier._run_epochs

    def recorded(self, net, *args):
        starts.append(net.head.weight.detach().abs().sum().item())
        return train(self, net, *args)

    monkeypatch.setattr(FineTunedClassifier, "_run_epochs", recorded)
    for greater in (0.1, 100.0):
        fit = LinearClassifier.fit

        def with_greater(self, *args, greater=greater, fit=fit, **kwargs):
            fit(self, *args, **kwargs)
            self.greater_penalty_ = greater
            return self

        monkeypatch.setattr(LinearClassifier, "fit", with_greater)
        FineTunedClassifier(
            FrozenEstimator(scarf(0)), passthrough=False, max_epochs=1, random_state=0
        ).fit(X, partly(100))
        monkeypatch.setattr(LinearClassifier, "fit", fit)
    smaller, larger = np.split(np.array(starts), 2)
    assert (larger < 0.5 * smaller).all() and len(smaller) > 1


def test_the_linear_regressor_is_a_ridge_regression():
    A, y = load_diabetes(return_X_y=True)
    Z = StandardScaler().fit_transform(A)
    ours = LinearRegressor(penalty=0.1).fit(A, y)
    np.testing.assert_allclose(ours.predict(A), Ridge(0.1 * len(y)).fit(Z, y).predict(Z))


@pytest.mark.parametrize("scale", [(), (0.0, 1.0), (150.0, 70.0)])
def test_a_head_starts_from_a_linear_model_and_is_written_back(scale):
    A, y = load_diabetes(return_X_y=True)
    linear = LinearRegressor(penalty=0.1).fit(A, y)
    head, before = Head(linear, *scale), linear.predict(A)
    with torch.no_grad():
        made = head(torch.from_numpy(A).float())[:, 0].numpy()
    center, spread = scale or (0.0, 1.0)
    np.testing.assert_allclose(spread * made + center, before, rtol=1e-4)
    assert [name for name, _ in head.named_parameters()] == ["weight", "bias"]  # they are trained
    other = copy.deepcopy(linear)
    other.coef_, other.intercept_ = np.zeros_like(other.coef_), None
    head.write(other)
    np.testing.assert_allclose(other.predict(A), before, rtol=1e-4)


# ---- when it stops -----------------------------------------------------------------------


def test_an_epoch_must_be_better_by_a_standard_error():
    start = torch.tensor([1.0, 2.0, 3.0, 4.0])
    steady = start - torch.tensor([0.5, 0.6, 0.5, 0.6])
    lucky = start - torch.tensor([5.0, -1.0, -1.0, -1.0])  # .5 on average, 1.5 its error
    assert clearly_best(torch.stack([start, lucky])) == 0
    assert clearly_best(torch.stack([start, start - 0.1, steady, lucky])) == 2
    assert clearly_best(torch.stack([start, start + 1])) == 0
    slight = start - torch.tensor([5.0, -1.0, -1.0, -2.9])
    many = torch.stack([start, slight]).repeat(1, ENOUGH // 4)
    assert clearly_best(many) == 1 and clearly_best(many[:, 4:]) == 0


@pytest.mark.parametrize("n", [10, 60])
def test_without_epochs_it_is_the_frozen_encoder_and_a_linear_model(n):
    y = partly(n)
    frozen = PretrainedClassifier(FrozenEstimator(scarf(0)), LinearClassifier()).fit(X, y)
    model = FineTunedClassifier(FrozenEstimator(scarf(0)), max_epochs=0).fit(X, y)
    assert model.n_iter_ == 0 and model.loss_curve_ == []
    np.testing.assert_allclose(model.predict_proba(X[TEST]), frozen.predict_proba(X[TEST]))


def test_the_curves_are_as_long_as_training_was():
    model = tuned(200, 0)
    assert 0 < model.n_iter_ == len(model.loss_curve_) < len(model.validation_loss_curve_)
    assert np.argmin(model.validation_loss_curve_) == model.n_iter_
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_one_label_a_class_leaves_the_encoder_as_it_was():
    first = [np.flatnonzero(Y == c)[0] for c in range(10)]
    y = np.full(len(Y), -1)
    y[first] = Y[first]
    model = FineTunedClassifier(FrozenEstimator(scarf(0))).fit(X, y)
    assert model.n_iter_ == 0 and model.validation_loss_curve_ == []
    assert np.array_equal(model.predict(X[first]), Y[first])


# ---- what it gains -----------------------------------------------------------------------


def test_many_labels_are_split_once_with_every_class_to_learn_from():
    labels = np.append(np.arange(3000) % 3, 3)  # one label of the last class
    ((train, test),) = FineTunedClassifier()._folds(labels)
    assert len(test) == 600 and len(train) == 2401
    assert set(labels[train]) == {0, 1, 2, 3} and set(labels[test]) == {0, 1, 2}
    ((train, test),) = FineTunedRegressor()._folds(np.arange(3000.0))
    assert len(test) == 600 and not np.intersect1d(train, test).size


def test_it_gains_over_the_frozen_encoder(seed, margin):
    """By 2.9, 2.8 and 2.4 points at 200 labels over three seeds."""
    gains = []
    for draw in (2 * seed, 2 * seed + 1):
        few = np.random.default_rng(draw).permutation(len(X))[:200]
        y = np.full(len(Y), -1)
        y[few] = Y[few]
        rest = np.setdiff1d(np.arange(len(X)), few)
        given = {"transformer": FrozenEstimator(scarf(seed)), "passthrough": False}
        frozen = PretrainedClassifier(classifier=LinearClassifier(), **given).fit(X, y)
        model = FineTunedClassifier(**given, random_state=draw).fit(X, y)
        gains.append(model.score(X[rest], Y[rest]) - frozen.score(X[rest], Y[rest]))
    margin(np.mean(gains), 0.014)


def test_chunks_of_labels_are_learnt_from(seed, margin):
    model = copy.deepcopy(tuned(60, seed))
    before, encoder = model.score(X[TEST], Y[TEST]), model.transformer_
    for _ in range(5):
        model.partial_fit(X[FEW], Y[FEW])
    margin(model.score(X[TEST], Y[TEST]) - before, 0.02)
    assert model.transformer_ is not encoder
    assert model.n_iter_ == len(model.loss_curve_)
    with pytest.raises(ValueError, match=r"y has the new classes \[11\]"):
        model.partial_fit(X[:3], [0, 1, 11])
    fresh = FineTunedClassifier(SCARF(**CHEAP), max_epochs=1).partial_fit(X[:50], Y[:50])
    assert np.array_equal(fresh.classes_, np.arange(10))


def test_a_rate_of_zero_leaves_the_encoder():
    model = FineTunedClassifier(
        FrozenEstimator(scarf(0)), encoder_lr_scale=0.0, weight_decay=0.0, random_state=0
    ).fit(X, partly(200))
    np.testing.assert_allclose(
        model.transformer_.transform(X[TEST]), scarf(0).transform(X[TEST]), atol=1e-6
    )


def test_weights_of_classes_and_smoothing_are_in_the_loss():
    model = FineTunedClassifier(SCARF(**CHEAP), class_weight={0: 3.0, 1: 1.0}, label_smoothing=0.2)
    binary = FEW[Y[FEW] < 2]
    model.set_params(max_epochs=0).fit(X[binary], Y[binary])
    target, weight = model._targets(np.array([0, 1, 1]))
    assert target.tolist() == [0, 1, 1] and weight.tolist() == [3, 1, 1]
    output = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    p = np.exp(output.numpy())
    p /= p.sum(1, keepdims=True)
    slow = [-0.9 * np.log(p[0, 0]) - 0.1 * np.log(p[0, 1])]
    slow += [-0.9 * np.log(p[i, 1]) - 0.1 * np.log(p[i, 0]) for i in (1, 2)]
    np.testing.assert_allclose(model._losses(output, target), slow, rtol=1e-5)
    sharp, soft = output * 2, output * 0.5
    for scaled in (sharp, soft):
        losses = [model._held_out_losses(o, target, weight) for o in (output, scaled)]
        means = [float(weight @ loss) for loss in losses]
        assert means[1] == pytest.approx(means[0], rel=0.02)  # how sure it is does not count


def test_held_out_losses_are_squared_errors_at_the_best_temperature():
    true, weight = np.eye(3)[np.arange(20) % 3], np.linspace(0.5, 2, 20)
    output = np.random.default_rng(0).normal(size=(20, 3)) + true
    slow = {}
    for t in np.geomspace(0.2, 5, 15):
        p = np.exp(output / t)
        errors = ((p / p.sum(1, keepdims=True) - true) ** 2).sum(1)
        slow[weight @ errors] = errors
    given = torch.from_numpy(output), torch.arange(20) % 3, torch.from_numpy(weight)
    losses = FineTunedClassifier()._held_out_losses(*given)
    np.testing.assert_allclose(losses.numpy(), slow[min(slow)])


def test_held_out_losses_are_weighted():
    class Known(FineTunedRegressor):
        def _make_rows(self, few, labels, weight):
            columns = torch.zeros(9, 1), torch.zeros(9, 0), torch.from_numpy(labels)
            return Rows(*columns, torch.from_numpy(weight))

        def _join(self, few):
            return np.arange(9.0)[:, None]

        def _held_out_outputs(self, frozen, start, rows, held_out, n_epochs, draws):
            return [torch.full((len(held_out), 1), level) for level in (0.0, 1.0)]

    model, y, weight = Known(max_epochs=1), np.linspace(-1, 0.5, 9), np.arange(1.0, 10)
    model.regressor_ = LinearRegressor().fit(model._join(None), y)
    stage = Stage(model, PlainTask(), "fine-tune", None, y)
    model._fine_tune(None, y, weight, stage, Draws(0))
    expected = [np.average((y - level) ** 2, weights=weight) for level in (0, 1)]
    assert model.validation_loss_curve_ == pytest.approx(expected)
    assert isinstance(model.validation_loss_curve_, list)
    assert model.n_iter_ == 0 and model.loss_curve_ == []


@pytest.mark.parametrize(
    ("n_labels", "n_epochs"), [(10, 200), (192, 67), (64 * 50, 40), (64 * 150, 20)]
)
def test_the_number_of_epochs_is_a_budget_of_steps(n_labels, n_epochs):
    """Forty epochs, and between 200 and 3000 steps."""
    assert FineTunedClassifier(batch_size=64)._n_epochs(n_labels) == n_epochs
    assert FineTunedClassifier(max_epochs=7)._n_epochs(n_labels) == 7


@pytest.mark.parametrize(("reader", "gentle"), [(TableReader, ""), (ImageReader, "weak")])
def test_rows_are_altered_gently_or_as_asked(reader, gentle):
    x, model = torch.zeros(2, 1, 8, 8), FineTunedClassifier()
    model.transformer_ = SimCLR()
    model.transformer_._reader = reader()
    view = model._view(x)
    assert repr(view) == repr(image_views(gentle, (1, 8, 8))) if gentle else view is original
    for views in (None, torch.neg):
        assert model.set_params(views=views)._view(x) is (views or original)


def test_labels_of_numbers_weigh_the_same():
    model = FineTunedRegressor()
    model.regressor_ = LinearRegressor().fit(np.arange(3.0)[:, None], [10.0, 20.0, 30.0])
    target, weight = model._targets(np.array([10.0, 20.0]))
    assert weight.tolist() == [1, 1] and target.tolist() == pytest.approx([-(1.5**0.5), 0])


@pytest.mark.parametrize("encoder_lr_scale", [0.0, 0.5])
def test_norms_of_a_trained_encoder_follow_the_batches(encoder_lr_scale):
    model, net = FineTunedRegressor(views=None, encoder_lr_scale=encoder_lr_scale), Net()
    net.encoder, net.head = torch.nn.BatchNorm1d(3), torch.nn.Identity()
    model.transformer_ = SCARF()
    model.transformer_._reader = TableReader()
    net.train()
    model._outputs(net, torch.ones(4, 3), torch.zeros(4, 0))
    assert net.encoder.running_mean.tolist() == pytest.approx([0.1 * bool(encoder_lr_scale)] * 3)


@pytest.mark.parametrize(("n_labels", "n_folds"), [(1, 0), (3, 0), (4, 2), (6, 3), (99, 3)])
def test_a_fold_of_numbers_has_two_labels_at_least(n_labels, n_folds):
    folds = FineTunedRegressor()._folds(np.arange(n_labels) / 2)
    assert len(folds) == n_folds and all(len(test) >= 2 for _, test in folds)


def test_many_numbers_are_split_once_and_the_same_each_time():
    model, labels = FineTunedRegressor(), np.arange(2001)
    [(train, test)], [(again, held_out)] = model._folds(labels), model._folds(labels)
    assert (len(train), len(test)) == (1600, 401)
    assert np.array_equal(train, again) and np.array_equal(test, held_out)


def test_other_rows_are_fitted_with_the_same_penalty():
    A, y = load_diabetes(return_X_y=True)
    weight, linear = np.linspace(0.5, 1.5, len(y)), LinearRegressor().fit(A, y)
    again = _fine_tuned.refit(linear, 0.03, A[::2], y[::2], weight[::2])
    expected = LinearRegressor(penalty=0.03).fit(A[::2], y[::2], sample_weight=weight[::2])
    assert again.penalty == 0.03 and linear.penalty != 0.03
    np.testing.assert_array_equal(again.coef_, expected.coef_)


def test_rows_of_the_training_have_weights_of_classes_and_of_labels(monkeypatch):
    model = FineTunedClassifier(class_weight={0: 3.0, 1: 1.0})
    model.transformer_, model.raw_columns_ = SCARF(), None
    model.classifier_ = LinearClassifier().fit(np.eye(2), [0, 1])
    monkeypatch.setattr(SCARF, "_read", lambda self, X: torch.from_numpy(X))
    monkeypatch.setattr(SCARF, "_scale", lambda self, rows: rows)
    rows = model._make_rows(Seen(np.eye(3)), np.array([0, 1, 0]), np.array([0.5, 2.0, 1.0]))
    x, raw, target, weight = rows.tensors
    assert torch.equal(x, torch.eye(3, dtype=x.dtype)) and raw.shape == (3, 0)
    assert target.tolist() == [0, 1, 0] and weight.tolist() == [1.5, 2, 3]


def test_a_batch_whose_labels_have_no_weight_has_no_loss():
    model, net = FineTunedRegressor(views=None), Net().eval()
    net.encoder, net.head = torch.nn.Identity(), torch.nn.Identity()
    x, raw, target = torch.tensor([[3.0], [5.0]]), torch.zeros(2, 0), torch.tensor([1.0, 1.0])
    for weight, loss in (([0.0, 0.0], 0), ([1.0, 3.0], (4 + 3 * 16) / 4)):
        assert model._loss(net, x, raw, target, torch.tensor(weight)).item() == loss


def test_held_out_rows_are_looked_at_before_training_and_after_each_epoch():
    class Known(FineTunedRegressor):
        def _make_net(self, linear, draws):
            net = Net()
            net.encoder, net.head = torch.nn.Identity(), torch.nn.Linear(1, 1, bias=False)
            torch.nn.init.constant_(net.head.weight, linear)
            return net

        def _run_epochs(self, net, rows, n_epochs, draws, on_epoch):
            for _ in range(n_epochs):
                torch.nn.init.constant_(net.head.weight, net.head.weight.item() + 1)
                assert not on_epoch([])

    rows = Rows(torch.ones(2, 1), torch.zeros(2, 0), torch.zeros(2), torch.ones(2))
    outputs = Known(views=None)._held_out_outputs(5.0, 7.0, rows, rows, 2, None)
    assert [output.flatten().tolist() for output in outputs] == [[5, 5], [8, 8], [9, 9]]


class PlainTask:
    """A task that nobody watches."""

    def subcontext(self, **given):
        return self

    call_on_fit_task_begin = call_on_fit_task_end = subcontext


class Elsewhere(torch.nn.Linear):
    """Stands for a layer on an accelerator."""

    is_here = False

    def cpu(self):
        self.is_here = True
        return super().cpu()


def test_what_is_kept_of_the_training_is_on_the_cpu():
    model, scaler = FineTunedRegressor(), torch.nn.Identity()
    model.transformer_, model.regressor_ = SCARF(), None
    model.transformer_.encoder_ = torch.nn.Sequential(scaler, torch.nn.Identity())
    net, written = Net(), []
    net.encoder, net.head = Elsewhere(3, 2), torch.nn.Identity()
    net.head.write = written.append
    model._keep(net)
    assert list(model.transformer_.encoder_) == [scaler, net.encoder] and written == [None]
    assert net.encoder.is_here and not net.encoder.training


def test_training_is_seeded_by_the_first_number_drawn(monkeypatch):
    seeds, make = [], FineTunedRegressor._draws
    monkeypatch.setattr(
        FineTunedRegressor, "_draws", lambda self, seed: seeds.append(seed) or make(self, seed)
    )
    model = FineTunedRegressor(SCARF(**CHEAP), max_epochs=0, random_state=0)
    model.fit(X[:20, 8:12], Y[:20])
    assert seeds == [209652396]  # of every version


@pytest.mark.parametrize("max_epochs", [0, 20])
def test_a_class_of_more_weight_is_predicted_more_often(max_epochs, seed, margin):
    noisy = np.where(np.random.default_rng(seed).random(len(Y)) < 0.3, 1 - Y % 2, Y % 2)
    y = np.full(len(Y), -1)
    y[FEW] = noisy[FEW]
    predicted = []
    for weight in ({0: 5.0, 1: 1.0}, None, {0: 1.0, 1: 5.0}):
        model = FineTunedClassifier(
            FrozenEstimator(scarf(seed)),
            class_weight=weight,
            max_epochs=max_epochs,
            random_state=seed,
        )
        predicted.append(model.fit(X, y).predict(X[TEST]).mean())
    margin(np.diff(predicted).min(), 0.05)


# ---- other data, other ends --------------------------------------------------------------


def test_numbers_are_fine_tuned_in_their_units(seed, margin):
    rows = np.random.default_rng(seed).normal(size=(600, 6))
    target = 1000 + 50 * np.sin(2 * rows[:, 0]) * rows[:, 1]
    y = np.where(np.arange(600) < 400, target, np.nan)
    dae = DenoisingAutoencoder(n_components=32, max_epochs=5, precision="float32")
    given = {"transformer": dae, "passthrough": False, "random_state": seed}
    linear = PretrainedRegressor(regressor=LinearRegressor(), **given).fit(rows, y)
    model = FineTunedRegressor(**given).fit(rows, y)
    gain = model.score(rows[400:], target[400:]) - linear.score(rows[400:], target[400:])
    assert model.n_iter_ > 0
    margin(gain, 0.25)  # .03 became .60


def test_pipelines_are_fine_tuned_at_their_end(seed, margin):
    pipe = make_pipeline(StandardScaler(), SCARF(**CHEAP | {"max_epochs": 10}))
    model = FineTunedClassifier(pipe, passthrough=False, random_state=seed).fit(X, partly(200))
    assert model.n_iter_ > 0
    margin(model.score(X[TEST], Y[TEST]), 0.85)
    with pytest.raises(NotFittedError):
        pipe.transform(X)


def test_a_frozen_transformer_is_not_changed():
    before = scarf(0).transform(X[TEST])
    model = tuned(200, 0)
    assert np.array_equal(scarf(0).transform(X[TEST]), before)
    assert not np.allclose(model.transformer_.transform(X[TEST]), before, atol=1e-2)


class CountedSCARF(SCARF):
    """Counts what is pretrained."""

    fits = 0

    def fit(self, X, y=None):
        CountedSCARF.fits += 1
        return super().fit(X, y)


def test_a_search_of_rates_pretrains_once_per_transformer_and_fold(tmp_path, monkeypatch):
    monkeypatch.setattr(CountedSCARF, "fits", 0)
    rows = FEW[:60]
    labels = np.where(np.arange(60) % 2, Y[rows] // 5, -1)
    scarf = CountedSCARF(**CHEAP | {"n_components": 8})
    model = FineTunedClassifier(scarf, passthrough=False, max_epochs=0, memory=str(tmp_path))
    grid = {"transformer__corruption": [0.3, 0.6], "learning_rate": [1e-3, 1e-2]}
    cv = UnlabeledKFold(2)
    GridSearchCV(model, grid, cv=cv, refit=False, error_score="raise").fit(X[rows], labels)
    assert CountedSCARF.fits == 2 * 2


def test_what_cannot_be_rebuilt_any_more_is_dropped():
    dae = DenoisingAutoencoder(**CHEAP | {"max_epochs": 10}).fit(X)
    model = FineTunedClassifier(FrozenEstimator(dae), passthrough=False, random_state=0).fit(
        X, partly(200)
    )
    assert model.n_iter_ > 0 and hasattr(dae, "decoder_")
    assert not hasattr(model.transformer_, "decoder_")


@pytest.mark.parametrize(
    ("transformer", "data"),
    [
        (SimCLR(**CHEAP), X[:90].reshape(-1, 8, 8).astype(np.uint8)),
        (TS2Vec(**CHEAP), X[:90].reshape(-1, 2, 32)),
    ],
    ids=["images", "series"],
)
def test_other_modalities_of_data(transformer, data):
    y = np.where(np.arange(90) < 60, Y[:90] % 3, -1)
    model = FineTunedClassifier(transformer, max_epochs=3, random_state=0).fit(data, y)
    assert model.predict_proba(data).shape == (90, 3)
    again = FineTunedClassifier(transformer, max_epochs=3, random_state=0).fit(data, y)
    assert np.array_equal(again.predict_proba(data), model.predict_proba(data))


def test_views_alter_rows_in_training_only():
    seen = []

    def watched(x):
        seen.append(len(x))
        return x

    model = FineTunedClassifier(FrozenEstimator(scarf(0)), views=watched, max_epochs=3)
    model.fit(X, partly(60))
    n_seen = len(seen)
    assert n_seen >= 3 * 3  # three folds, an epoch each at the least
    model.predict(X[TEST])
    assert len(seen) == n_seen


def test_what_has_no_encoder_is_said():
    with pytest.raises(ValueError, match="got PCA. PretrainedClassifier takes any transformer"):
        FineTunedClassifier(PCA(2)).fit(X, partly(60))


class Quick(LogisticRegression):
    """Stands for the ensemble, which takes its time."""

    def fit(self, X, y, X_unlabeled=None):
        return super().fit(X, y)


def test_the_default_on_images_is_fine_tuned_from_some_hundred_labels(monkeypatch):
    assert MODALITIES["image"].labels_to_fine_tune == 300
    row = replace(MODALITIES["image"], labels_to_fine_tune=50, method_parameters=CHEAP)
    monkeypatch.setitem(MODALITIES, "image", row)
    monkeypatch.setattr(PretrainedClassifier, "_default_predictor", lambda self, n: Quick())
    monkeypatch.setattr(_fine_tuned, "EPOCHS", 3)
    monkeypatch.setattr(_fine_tuned, "FEWEST_STEPS", 3)
    images = X[:120].reshape(-1, 8, 8).astype(np.uint8)
    few, many = (np.where(np.arange(120) < n, Y[:120] % 3, -1) for n in (49, 60))
    assert PretrainedClassifier(random_state=0).fit(images, few).fine_tuned_ is None
    model = PretrainedClassifier(random_state=0).fit(images, many)
    proba = model.predict_proba(images)
    frozen = model.classifier_.predict_proba(model._join(model._see(images)))
    np.testing.assert_allclose(
        proba, (frozen + model.fine_tuned_.predict_proba(images)) / 2, atol=1e-6
    )
    assert np.array_equal(model.predict(images), proba.argmax(1))
    np.testing.assert_allclose(model.decision_function(images), np.log(proba), atol=1e-6)
    given = PretrainedClassifier(SimCLR(**CHEAP), random_state=0).fit(images, many)
    assert given.fine_tuned_ is None
