"""PhenotypeTransformer: what a bag is a mixture of."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skssl import SCARF, PhenotypeTransformer, PretrainedClassifier, to_bags

X, Y = load_digits(return_X_y=True)
CV = StratifiedKFold(5, shuffle=True, random_state=0)


def boxes_of_digits(shares, size, seed, negatives=False, n=120):
    """Bags of digits, of which a share is low in half of the bags and high in the others.

    With negatives, every other digit is white on black: then all bags are grey on average.
    """
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % 2)
    is_low = rng.random((n, size)) < np.where(label, *shares)[:, None]
    digit = rng.integers(0, 5, (n, size)) + 5 * ~is_low
    rows = np.array([rng.choice(np.flatnonzero(Y == d)) for d in digit.ravel()])
    pixels = X[rows]
    if negatives:
        pixels[::2] = 16 - pixels[::2]
    frame = pd.DataFrame(pixels, columns=[f"pixel{i}" for i in range(64)])
    frame["box"] = np.repeat(np.arange(n), size)
    return to_bags(frame, id="box"), label


def auc(Z, label):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    return cross_val_score(model, Z, label, cv=CV, scoring="roc_auc").mean()


def means(bags):
    return np.vstack([bag.mean() for bag in bags])


@pytest.mark.parametrize(
    ("shares", "size", "negatives", "bound"), [((0.8, 0.2), 20, True, 0.3), ((0.6, 0.4), 80, 0, 0)]
)
def test_bags_whose_label_is_the_mixture(shares, size, negatives, bound, seed, margin):
    ours, pooled = [], []
    for draw in range(8 * seed, 8 * seed + 8):
        bags, label = boxes_of_digits(shares, size, draw, negatives)
        pixels = FunctionTransformer()  # as they are
        model = PhenotypeTransformer(pixels, n_clusters=20, random_state=draw)
        ours.append(auc(model.fit_transform(bags), label))
        pooled.append(auc(means(bags), label))
    margin(np.mean(ours), 0.95, "area under the curve")
    margin(np.mean(ours) - np.mean(pooled), bound, "over the pooled rows")


def slow_log_ratios(labels, clusters, pseudo_count):
    """The centred log-ratio of one bag's shares, from Aitchison's formula."""
    shares = [(labels.count(c) + pseudo_count) for c in clusters]
    shares = [share / sum(shares) for share in shares]
    geometric_mean = np.prod(shares) ** (1 / len(shares))
    return [np.log(share / geometric_mean) for share in shares]


EVENTS = pd.DataFrame(
    {
        "client": list("aaabbbbc"),
        "when": range(8),
        "spent": [0.0, 0.1, 9, 9, 9, 9.1, 0, 5],
        "shop": pd.Categorical(list("uuvvvvuu")),
    }
)
BAGS = to_bags(EVENTS, id="client", time="when")


@pytest.mark.parametrize("pseudo_count", [0.5, 2.0])
def test_log_ratios_against_the_formula(pseudo_count):
    model = PhenotypeTransformer(n_clusters=3, pseudo_count=pseudo_count, random_state=0)
    Z = model.fit(BAGS).transform(BAGS)
    parts = EVENTS[["spent", "shop"]]
    labels = model.clusterer_.predict(model.transformer_.transform(parts)).tolist()
    assert labels[0] == labels[1] == labels[6] and labels[2] == labels[3] == labels[4] == labels[5]
    for row, bag in zip(Z, (labels[:3], labels[3:7], labels[7:]), strict=True):
        np.testing.assert_allclose(row, slow_log_ratios(bag, range(3), pseudo_count), rtol=1e-5)
    np.testing.assert_allclose(Z.sum(1), 0, atol=1e-6)
    assert Z.dtype == np.float32
    # Twice the events: twice the counts.
    again = pd.concat([EVENTS, EVENTS.assign(when=EVENTS["when"] + 10)])
    twice = model.transform(to_bags(again, id="client", time="when"))
    expected = slow_log_ratios(labels[:3] * 2, range(3), pseudo_count)
    np.testing.assert_allclose(twice[0], expected, rtol=1e-5)


def test_only_its_own_parts_are_learnt_from():
    model = PhenotypeTransformer(n_clusters=2, random_state=0)
    some = clone(model).fit(BAGS.iloc[:2])
    fresh = EVENTS[EVENTS["client"] != "c"]
    alone = clone(model).fit(to_bags(fresh, id="client", time="when"))
    np.testing.assert_array_equal(some.transform(BAGS), alone.transform(BAGS))
    assert list(some.get_feature_names_out()) == ["phenotypetransformer0", "phenotypetransformer1"]
    assert list(some.feature_names_in_) == ["when", "spent", "shop"]


def test_transformer_and_clusterer_of_ones_own():
    bags, label = boxes_of_digits((0.8, 0.2), 20, 0, n=40)
    scarf = SCARF(n_components=16, max_epochs=2, precision="float32")
    model = PhenotypeTransformer(scarf, GaussianMixture(6, covariance_type="diag"), random_state=0)
    Z = model.fit_transform(bags)
    assert Z.shape == (40, len(model.clusters_)) and len(model.clusters_) <= 6
    np.testing.assert_array_equal(clone(model).fit_transform(bags), Z)
    assert scarf.random_state is None and not hasattr(scarf, "encoder_")
    pixels = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    frozen = FrozenEstimator(scarf.fit(pixels))
    kmeans = FrozenEstimator(KMeans(5, random_state=0).fit(scarf.transform(pixels)))
    model = PhenotypeTransformer(frozen, kmeans).fit(bags)
    assert model.transformer_.estimator is scarf
    shares = np.bincount(kmeans.predict(scarf.transform(bags.iloc[0])), minlength=5) + 0.5
    expected = np.log(shares) - np.log(shares).mean()
    np.testing.assert_allclose(model.transform(bags)[0], expected, rtol=1e-5)


def test_a_label_that_fit_did_not_see_counts_for_nothing():
    class Rounds(KMeans):
        def fit(self, Z, y=None):
            self.fitted_ = True
            return self

        def predict(self, Z):
            return np.rint(Z[:, 0]).astype(int)

    as_they_are = FunctionTransformer(lambda frame: frame[["spent"]])
    model = PhenotypeTransformer(as_they_are, Rounds()).fit(BAGS.iloc[:2])
    assert model.clusters_.tolist() == [0, 9]
    np.testing.assert_array_equal(model.transform(BAGS)[2], [0, 0])


def test_in_a_semi_supervised_pipeline():
    bags, label = boxes_of_digits((0.9, 0.1), 20, 0, n=60)
    few = np.where(np.arange(60) < 20, label, -1)
    model = PhenotypeTransformer(n_clusters=10)
    model = PretrainedClassifier(model, LogisticRegression(), random_state=0).fit(bags, few)
    assert model.score(bags, label) > 0.9


def test_callbacks_reach_the_transformer():
    class Look:
        seen: list[str] = []

        def setup(self, estimator, context):
            pass

        teardown = setup

        def on_fit_task_begin(self, estimator, context):
            self.seen.append(context.task_name)

        on_fit_task_end = setup

    scarf = SCARF(n_components=4, max_epochs=1, precision="float32")
    PhenotypeTransformer(scarf, n_clusters=2, random_state=0).set_callbacks(Look()).fit(BAGS)
    assert {"fit-transformer", "fit-clusterer"} <= set(Look.seen)


@pytest.mark.parametrize(
    ("model", "data", "error", "message"),
    [
        ({}, X, ValueError, "PhenotypeTransformer reads bags; X looks like modality='table'"),
        ({}, BAGS, ValueError, "8 parts in all, fewer than n_clusters=20"),
        ({"n_clusters": 1}, BAGS, ValueError, "n_clusters"),
        ({"pseudo_count": 0}, BAGS, ValueError, "pseudo_count"),
        ({"clusterer": HDBSCAN()}, BAGS, ValueError, "clusterer"),
        (
            {"n_clusters": 2},
            to_bags(EVENTS[["client", "when"]], id="client", time="when"),
            ValueError,
            "no column but the time, 'when'",
        ),
        ({"n_clusters": 2}, BAGS.reindex(list("abz")), ValueError, "1 of 3 bags have no event"),
    ],
)
def test_what_cannot_be_described_is_said(model, data, error, message):
    model = PhenotypeTransformer(**model)
    with pytest.raises(error, match=message):
        model.fit(data)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_other_bags_than_those_of_fit_are_said():
    model = PhenotypeTransformer(n_clusters=2, random_state=0).fit(BAGS)
    with pytest.raises(ValueError, match="time='when', these have time=None"):
        model.transform(to_bags(EVENTS, id="client"))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(to_bags(EVENTS.drop(columns="shop"), id="client", time="when"))
    with pytest.raises(NotFittedError):
        clone(model).transform(BAGS)
