"""Bags of events, the tensor they are read as, and CoLES, which learns from them."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from packaging.version import Version
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, CoLES, MultiTask, PretrainedClassifier, UnlabeledKFold, to_bags
from skssl._compat import take_rows
from skssl._data import BagReader
from skssl.base._modality_of import infer_modality
from skssl.encoders import EventScaler, MeanState
from skssl.losses import margin_contrastive
from skssl.preprocessing import BagArray, BagDtype
from skssl.views import random_slice

NAN = float("nan")
CHEAP = {
    "n_components": 8,
    "max_epochs": 2,
    "batch_size": 20,
    "precision": "float32",
    "random_state": 0,
}


def customers(n=60, seed=0, mean_events=12):
    """Simulated purchases in two shops; the label is in which of them a customer spends more.

    No column by itself tells: its mean, spread and shares are alike in both halves.
    """
    rng = np.random.default_rng(seed)
    parts, label = [], rng.permutation(np.arange(n) % 2)
    for who in range(n):
        size = int(2 + rng.poisson(mean_events))
        shop = rng.integers(2, size=size)
        dearer = 2 * (shop == label[who]) - 1
        level = rng.normal(0, 0.3) + rng.uniform(0.1, 0.6) * dearer
        days = rng.exponential(5, size).cumsum()
        parts.append(
            pd.DataFrame(
                {
                    "client": f"c{who}",
                    "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(days, unit="D"),
                    "spent": rng.lognormal(level, 0.8),
                    "shop": np.array(["north", "south"])[shop],
                }
            )
        )
    events = pd.concat(parts).sample(frac=1, random_state=0, ignore_index=True)
    events.loc[::17, "spent"] = None
    return events, pd.Series(label, index=[f"c{who}" for who in range(n)])


EVENTS, LABEL = customers()
BAGS = to_bags(EVENTS, id="client", time="when")
Y = LABEL[BAGS.index].to_numpy()


# ---- to_bags -----------------------------------------------------------------------------


def test_one_entry_a_customer_in_time_order():
    before = EVENTS.copy()
    assert list(BAGS.index) == list(EVENTS["client"].drop_duplicates())
    assert BAGS.dtype == "bags" and isinstance(BAGS.dtype, BagDtype) and BAGS.index.name == "client"
    for client, bag in BAGS.items():
        expected = EVENTS[EVENTS["client"] == client].sort_values("when", ignore_index=True)
        pd.testing.assert_frame_equal(bag, expected.drop(columns="client"))
    pd.testing.assert_frame_equal(EVENTS, before)


@pytest.mark.parametrize("library", ["polars", "arrow"])
def test_other_frames(library):
    frame = pl.from_pandas(EVENTS)
    bags = to_bags(frame if library == "polars" else frame.to_arrow(), id="client", time="when")
    assert list(bags.index) == list(BAGS.index)
    np.testing.assert_allclose(bags.array.events.gap, BAGS.array.events.gap, atol=1e-6)
    Z = CoLES(**CHEAP).fit(BAGS).transform(bags)
    np.testing.assert_allclose(CoLES(**CHEAP).fit(BAGS).transform(BAGS), Z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("when", "gaps"),
    [
        ([5, 2, 9], [0, 3, 4]),
        ([5.5, 2.0, 5.5], [0, 3.5, 0]),
        (
            pd.to_datetime(["2026-01-02 00:00:00", "2026-01-01 00:00:00", "2026-01-04 00:00:30"]),
            [0, 86400, 172830],
        ),
        (
            pd.to_datetime(["2026-01-02", "2026-01-01", "2026-01-03"]).tz_localize("UTC"),
            [0, 86400, 86400],
        ),
        (pd.array([5, 2, 9], dtype="Int64"), [0, 3, 4]),
    ],
    ids=["int", "float", "datetime", "zone", "nullable"],
)
def test_gaps(when, gaps):
    events = pd.DataFrame({"id": [7, 7, 7], "t": when, "v": [0, 1, 2]})
    bags = to_bags(events, id="id", time="t")
    assert bags.array.events.gap.tolist() == gaps
    assert bags[7]["v"].tolist()[0] == 1


def test_without_time_rows_stand_as_they_are():
    events = pd.DataFrame({"id": ["b", "a", "b"], "v": [3.0, 2.0, 1.0]})
    bags = to_bags(events, id="id")
    assert bags["b"]["v"].tolist() == [3.0, 1.0]
    x = BagReader().fit(bags).read(bags)
    assert x.shape == (2, 2, 2) and x[1, 1].isnan().all() and x[..., 1][0].tolist() == [0, 0]


def test_an_event_may_be_nothing_but_its_time():
    events = pd.DataFrame({"id": [0, 1] * 20, "t": np.arange(40) ** 2})
    assert CoLES(**CHEAP).fit_transform(to_bags(events, id="id", time="t")).shape == (2, 8)


@pytest.mark.parametrize(
    ("df", "how", "error", "message"),
    [
        (EVENTS, {"id": "who"}, ValueError, "id='who' must name one column"),
        (EVENTS, {"id": "client", "time": "t"}, ValueError, "time='t' must name one column"),
        (EVENTS, {"id": "when", "time": "when"}, ValueError, "two columns are needed"),
        (EVENTS[["client"]], {"id": "client"}, ValueError, "nothing but 'client'"),
        (EVENTS.assign(client=None), {"id": "client"}, ValueError, "have no 'client'"),
        (EVENTS, {"id": "client", "time": "shop"}, TypeError, "pd.to_datetime"),
        (
            EVENTS.assign(when=pd.NaT),
            {"id": "client", "time": "when"},
            ValueError,
            "have no 'when'.*dropna",
        ),
        (EVENTS.assign(t=np.inf), {"id": "client", "time": "t"}, ValueError, "infinity"),
        (EVENTS.to_numpy(), {"id": 0}, TypeError, "expects a dataframe"),
        (pl.from_pandas(EVENTS).lazy(), {"id": "client"}, TypeError, "collect"),
    ],
)
def test_to_bags_says_what_is_wrong(df, how, error, message):
    with pytest.raises(error, match=message):
        to_bags(df, **how)


# ---- the Series --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows", [np.array([3, 1, 1]), np.arange(60) % 2 == 0, slice(5, 9), [4, 2]], ids=str
)
def test_selecting_moves_offsets_only(rows):
    part = take_rows(BAGS, rows)
    assert part.array.events is BAGS.array.events
    where = np.arange(60)[rows]
    assert list(part.index) == list(BAGS.index[where])
    for i, j in enumerate(where):
        pd.testing.assert_frame_equal(part.iloc[i], BAGS.iloc[j])


def test_a_pickled_part_carries_only_its_own_customers():
    part = BAGS.iloc[[5, 2]]
    again = pickle.loads(pickle.dumps(part))
    assert len(again.array.events.gap) == part.array.lengths.sum()
    assert (again.array == part.array).all() and not (again.array == part.array[::-1]).any()
    assert len(pickle.dumps(part)) < len(pickle.dumps(BAGS)) / 5
    assert pickle.loads(pickle.dumps(BAGS)).array.equals(BAGS.array)
    assert copy.deepcopy(BAGS).array.equals(BAGS.array)


def test_concat():
    apart = pickle.loads(pickle.dumps(BAGS.iloc[20:]))
    for second in (BAGS.iloc[20:], apart):
        whole = pd.concat([BAGS.iloc[:20], second])
        assert (whole.array == BAGS.array).all() and list(whole.index) == list(BAGS.index)
    other = to_bags(EVENTS.drop(columns="when"), id="client")
    with pytest.raises(ValueError, match="different time columns"):
        pd.concat([BAGS, other])


def test_memory_is_that_of_the_frame():
    frame = EVENTS.drop(columns="client").memory_usage(index=False).sum()
    assert BAGS.array.nbytes < frame + 8 * len(EVENTS) + 16 * len(BAGS) + 1000


def test_looks():
    lines = repr(BAGS.head(2)).split("\n")
    assert lines[1].split() == [BAGS.index[0], str(len(BAGS.iloc[0])), "events"]
    assert lines[3] == "Name: events, dtype: bags"
    assert "BagArray" in repr(BAGS.array) and "events" in repr(BAGS.array)
    assert BAGS.map(len).tolist() == BAGS.array.lengths.tolist()
    spent = BAGS.map(lambda bag: bag["spent"].mean())
    expected = EVENTS.groupby("client")["spent"].mean()[BAGS.index]
    np.testing.assert_allclose(spent.astype(float), expected)


def test_missing_bags_are_said():
    some = BAGS.reindex([BAGS.index[0], "nobody"])
    assert some.isna().tolist() == [False, True] and "NaN" in repr(some)
    fitted = CoLES(**CHEAP).fit(BAGS)
    with pytest.raises(ValueError, match=r"1 of 2 bags have no event.*bags\[bags.notna\(\)\]"):
        fitted.transform(some)
    assert fitted.transform(some[some.notna()]).shape == (1, 8)


def test_bags_are_not_made_of_lists():
    with pytest.raises(TypeError, match="to_bags"):
        pd.Series([1, 2], dtype="bags")
    assert isinstance(pd.Series(BAGS.array, dtype="bags").array, BagArray)


# ---- reader, scaler, views ---------------------------------------------------------------


def test_the_tensor():
    assert infer_modality(BAGS) == infer_modality(BAGS.array) == "bags"
    reader = BagReader().fit(BAGS)
    assert reader.columns.cardinality == (0, 2, 0)
    x = reader.read(BAGS)
    assert x.shape == (60, BAGS.array.lengths.max(), 3)
    for row, bag in zip(x, BAGS, strict=True):
        k = len(bag)
        assert row[k:].isnan().all()
        np.testing.assert_allclose(row[:k, 0], bag["spent"], rtol=1e-6)
        assert row[:k, 1].tolist() == (bag["shop"] == "south").astype(float).tolist()
        gap = bag["when"].diff().dt.total_seconds().fillna(0)
        np.testing.assert_allclose(row[:k, 2], np.log1p(gap), rtol=1e-4)


def test_the_last_events_are_kept():
    x = BagReader().fit(BAGS).read(BAGS)
    short = BagReader(max_events=4).fit(BAGS).read(BAGS)
    assert short.shape == (60, 4, 3)
    for row, whole, n in zip(short, x, BAGS.array.lengths, strict=True):
        k = min(n, 4)
        assert torch.equal(row[:k].nan_to_num(), whole[n - k : n].nan_to_num())


def test_scaling_is_that_of_the_events():
    x = BagReader().fit(BAGS).read(BAGS)
    scaler = EventScaler(x, BagReader().fit(BAGS).columns)
    z = scaler(x)
    longer = torch.cat([x, torch.full((60, 5, 3), NAN, dtype=x.dtype)], 1)
    assert torch.equal(scaler(longer)[:, : x.shape[1]].nan_to_num(), z.nan_to_num())
    assert z.isnan().equal(x.isnan()) and abs(z[..., 0].nanmean()) < 0.05
    assert torch.equal(z[..., 1].nan_to_num(), x[..., 1].float().nan_to_num())


@pytest.mark.parametrize(("low", "high"), [(0.25, 0.75), (0.5, 0.5), (1.0, 1.0), (0.0, 0.1)])
def test_slices_are_runs_of_events(low, high):
    total = torch.tensor([1, 2, 5, 40] * 50)
    step = torch.arange(40.0)
    x = torch.where(step < total[:, None], step, NAN)[..., None]
    torch.manual_seed(0)
    view = random_slice(x, low, high)[..., 0]
    size = (~view.isnan()).sum(1)
    assert (size >= 1).all() and (size >= (low * total).floor()).all()
    assert (size <= (high * total).ceil().clamp(min=1)).all()
    for row, n, k in zip(view, total, size, strict=True):
        assert row[k:].isnan().all() and torch.equal(row[:k], row[0] + torch.arange(float(k)))
        assert row[k - 1] < n
    starts = view[total == 40, 0]
    assert starts.min() <= 2 and (starts + size[total == 40]).max() >= 38  # anywhere


def test_length_and_place_of_a_slice_are_independent():
    torch.manual_seed(0)
    view = random_slice(torch.arange(100.0).repeat(2000, 1)[..., None], 0.25, 0.75)[..., 0]
    size = (~view.isnan()).sum(1)
    place = view[:, 0] / (100 - size)
    assert (size.min(), size.max()) == (25, 75) and (place.min(), place.max()) == (0, 1)
    assert place.mean().item() == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(size, place)[0, 1]) < 0.1


def test_padding_is_not_read():
    torch.manual_seed(0)
    gru = MeanState(3, 4)
    x = torch.randn(2, 5, 3)
    x[..., -1] = 1
    padded = torch.cat([x, torch.zeros(2, 3, 3)], 1)
    torch.testing.assert_close(gru(x), gru(padded))
    torch.testing.assert_close(gru(x), gru.gru(x)[0].mean(1))


# ---- the loss ----------------------------------------------------------------------------


def slow_margin_contrastive(z, owner, margin, n_negatives):
    """One pair at a time."""
    z = z / z.norm(dim=1, keepdim=True)
    n, terms = len(z), []
    for i in range(n):
        for j in range(i + 1, n):
            if owner[i] == owner[j]:
                terms.append(0.5 * float((z[i] - z[j]).norm()) ** 2)
    for i in range(n):
        others = sorted(float((z[i] - z[j]).norm()) for j in range(n) if owner[i] != owner[j])
        terms += [0.5 * max(0.0, margin - d) ** 2 for d in others[:n_negatives]]
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("margin", "n_negatives"), [(0.5, 2), (1.5, 3), (1.0, 100)])
def test_margin_contrastive_equals_loop(margin, n_negatives):
    z = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    owner = torch.tensor([0, 1, 2] * 3)
    expected = slow_margin_contrastive(z, owner, margin, n_negatives)
    assert margin_contrastive(z, owner, margin, n_negatives).item() == pytest.approx(expected)


def test_margin_contrastive_closed_form():
    z = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]], dtype=torch.float64)
    owner = torch.tensor([0, 0, 1])
    expected = (1 + 0.125 + 0 + 0.125) / 4
    assert margin_contrastive(z, owner, 0.5, 1).item() == pytest.approx(expected, abs=1e-5)
    assert margin_contrastive(z[:2], owner[:2]).item() == pytest.approx(1.0)  # no negative
    assert margin_contrastive(z[:1], owner[:1]).item() == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fill", [0.0, 1.0, 100.0])
def test_margin_contrastive_has_finite_gradients_at_duplicates(fill, dtype):
    z = torch.full((8, 5), fill, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = margin_contrastive(z @ torch.eye(5), torch.arange(8) % 4)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite() and z.grad.isfinite().all()


def test_coles_draws_slices_of_a_customer_together():
    class Kept(CoLES):
        def _build(self, net, X):
            self.net, self.rows = net, X

    fitted = Kept(n_slices=3, margin=0.7, n_negatives=2, **CHEAP).fit(BAGS)
    net, x = fitted.net.eval(), fitted.rows[:10]
    with torch.no_grad():
        torch.manual_seed(0)
        loss = fitted._loss(net, x)
        torch.manual_seed(0)
        z = torch.cat([net.encoder(random_slice(x)) for _ in range(3)])
    expected = slow_margin_contrastive(z, torch.arange(30) % 10, 0.7, 2)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


# ---- CoLES in scikit-learn ---------------------------------------------------------------


def test_the_order_of_customers_is_the_users():
    fitted = CoLES(**CHEAP).fit(BAGS)
    Z = fitted.transform(BAGS)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(fitted.transform(BAGS.iloc[order]), Z[order], rtol=1e-4, atol=1e-5)
    out = fitted.set_output(transform="pandas").transform(BAGS)
    keeps_index = Version(sklearn.__version__) >= Version("1.7.1")  # that of a Series
    assert list(out.index) == list(BAGS.index if keeps_index else range(60))
    assert out.columns[0] == "coles0"


def test_customers_of_one_event():
    events, _ = customers(40)
    firsts = to_bags(events.drop_duplicates("client"), id="client", time="when")
    Z = CoLES(**CHEAP).fit(firsts).transform(firsts)
    assert np.isfinite(Z).all() and Z.std() > 1e-3
    mixed = pd.concat([firsts.iloc[:20], to_bags(events, id="client", time="when").iloc[20:]])
    assert np.isfinite(CoLES(**CHEAP).fit_transform(mixed)).all()


def test_columns_of_events_are_checked_by_name():
    fitted = CoLES(**CHEAP).fit(BAGS)
    assert list(fitted.feature_names_in_) == ["when", "spent", "shop"]
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(to_bags(EVENTS.rename(columns={"spent": "paid"}), "client", "when"))
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(to_bags(EVENTS.drop(columns="when"), "client"))
    with pytest.raises(ValueError, match="time='when', these have time=None"):
        fitted.transform(to_bags(EVENTS, "client"))


def test_categories_of_events():
    events = EVENTS.assign(shop=(EVENTS["shop"] == "north").astype(int))
    bags = to_bags(events, "client", "when")
    for chosen, cardinality in (("from_dtype", (0, 0, 0)), (["shop"], (0, 2, 0)), ([1], (0, 2, 0))):
        fitted = CoLES(categorical_features=chosen, **CHEAP).fit(bags)
        assert fitted._reader.columns.cardinality == cardinality
    new = to_bags(EVENTS.assign(shop="west"), "client", "when")
    assert np.isfinite(CoLES(**CHEAP).fit(BAGS).transform(new)).all()


@pytest.mark.parametrize("spoil", [np.inf, -np.inf])
def test_infinite_cells_are_named(spoil):
    with pytest.raises(ValueError, match="spent.*inf"):
        CoLES(**CHEAP).fit(to_bags(EVENTS.assign(spent=spoil), "client", "when"))


@pytest.mark.parametrize(
    ("make", "X", "message"),
    [
        (CoLES, EVENTS, "CoLES reads bags; X looks like modality='table'.*to_bags"),
        (CoLES, np.ones((9, 4)), "CoLES reads bags; X looks like modality='table'.*to_bags"),
        (CoLES, np.ones((9, 4, 5)), "CoLES reads bags; X looks like modality='series'.*to_bags"),
        (SCARF, BAGS, "SCARF reads tables; X looks like modality='bags'.*CoLES reads bags"),
        (MultiTask, BAGS, "MultiTask reads tables; X looks like modality='bags'.*CoLES reads bags"),
    ],
    ids=["frame", "array", "series", "SCARF", "MultiTask"],
)
def test_wrong_modalities_are_said(make, X, message):
    with pytest.raises(ValueError, match=message):
        make(**CHEAP).fit(X)


def test_wrong_modalities_are_said_in_transform_and_when_the_user_insists():
    fitted = CoLES(**CHEAP).fit(BAGS)
    with pytest.raises(ValueError, match="CoLES reads bags.*to_bags"):
        fitted.transform(EVENTS)
    with pytest.raises(TypeError, match="Expected bags of events, got DataFrame.*to_bags"):
        CoLES(**CHEAP, modality="bags").fit(EVENTS)
    with pytest.raises(ValueError, match="SCARF reads tables.*CoLES reads bags"):
        SCARF(**CHEAP).fit(np.ones((9, 3))).transform(BAGS)


def test_bad_parameters_are_said():
    with pytest.raises(ValueError, match="slice_range"):
        CoLES(slice_range=(0.9, 0.1), **CHEAP).fit(BAGS)
    with pytest.raises(ValueError, match="n_slices"):
        CoLES(n_slices=1, **CHEAP).fit(BAGS)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        CoLES(**CHEAP).fit(BAGS.iloc[:1])


def test_users_encoders():
    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * x.sum(1) / x[..., -1:].sum(1)

    for encoder in (Mean(), lambda x: torch.nn.Sequential(Mean(), torch.nn.Linear(x.shape[2], 5))):
        Z = CoLES(**{**CHEAP, "learning_rate": 1e-2}, encoder=encoder).fit_transform(BAGS)
        assert np.isfinite(Z).all()
    assert Z.shape == (60, 5)
    with pytest.raises(ValueError, match="shape"):
        CoLES(**CHEAP, encoder=torch.nn.Identity()).fit(BAGS)
    with pytest.raises(ValueError, match="'vit' does not read bags; by name there is 'auto'"):
        CoLES(**CHEAP, encoder="vit").fit(BAGS)
    with pytest.raises(TypeError, match="got the class Mean"):
        CoLES(**CHEAP, encoder=Mean).fit(BAGS)


def test_more_customers_without_labels():
    more = to_bags(customers(30, seed=1, mean_events=30)[0], "client", "when")
    fitted = CoLES(**CHEAP).fit(BAGS, X_unlabeled=more)
    assert fitted.transform(BAGS).shape == (60, 8)
    joined = CoLES(**CHEAP).fit(pd.concat([BAGS, more]))
    np.testing.assert_array_equal(fitted.transform(more), joined.transform(more))


def test_early_stopping():
    fitted = CoLES(**{**CHEAP, "max_epochs": 30}, n_iter_no_change=2).fit(BAGS)
    assert len(fitted.validation_loss_curve_) == fitted.n_iter_


def test_splits_searches_and_pipelines():
    model = make_pipeline(CoLES(**CHEAP), StandardScaler(), LogisticRegression())
    train, test, y_train, y_test = train_test_split(BAGS, Y, random_state=0)
    assert model.fit(train, y_train).predict(test).shape == y_test.shape
    assert np.isfinite(cross_val_score(model, BAGS, Y, cv=KFold(3), error_score="raise")).all()
    grid = {"coles__margin": [0.5, 1.0]}
    search = GridSearchCV(model, grid, cv=ShuffleSplit(2, random_state=0), error_score="raise")
    assert search.fit(BAGS, Y).predict(BAGS.iloc[:3]).shape == (3,)


@pytest.mark.parametrize("memory", [False, True])
def test_pretrained_classifier(memory, tmp_path):
    y = np.where(np.arange(60) < 30, Y, -1)
    model = PretrainedClassifier(
        CoLES(**CHEAP),
        LogisticRegression(),
        memory=str(tmp_path) if memory else None,
        random_state=0,
    )
    model.fit(BAGS, y)
    assert model.raw_columns_ is None
    assert model.predict_proba(BAGS).shape == (60, 2) and 0 <= model.score(BAGS, Y) <= 1
    search = GridSearchCV(model, {"classifier__C": [0.1, 1.0]}, cv=UnlabeledKFold(2), refit=False)
    assert np.isfinite(search.fit(BAGS, y).cv_results_["mean_test_score"]).all()
    default = PretrainedClassifier(CoLES(**CHEAP), random_state=0).fit(BAGS, y)
    assert default.predict(BAGS).shape == (60,)


def test_bags_have_no_raw_columns_to_join():
    joined = PretrainedClassifier(CoLES(**CHEAP), LogisticRegression(), passthrough=True)
    message = "joins the raw columns of tables, images.*; X looks like modality='bags'.*'auto'"
    with pytest.raises(ValueError, match=message):
        joined.fit(BAGS, Y)


def test_bags_have_a_cache_key_of_their_events():
    from skssl._meta._cache import fit_key

    coles = CoLES(**CHEAP)
    key = fit_key(coles, BAGS)
    assert key is not None and key == fit_key(coles, pickle.loads(pickle.dumps(BAGS)))
    part = BAGS.iloc[:30]
    assert fit_key(coles, part) == fit_key(coles, pickle.loads(pickle.dumps(part))) != key
    changed = EVENTS.assign(spent=EVENTS["spent"] + 1)
    later = EVENTS.copy()
    later.loc[0, "when"] += pd.Timedelta(days=300)
    for events in (changed, later):
        assert fit_key(coles, to_bags(events, "client", "when")) != key
    assert fit_key(coles, BAGS.iloc[::-1]) != key


def test_multitask_of_bags():
    coles = MultiTask([("a", CoLES(), 1.0), ("b", CoLES(n_slices=2), 0.5)], **CHEAP)
    assert coles.fit_transform(BAGS).shape == (60, 8)
    with pytest.raises(ValueError, match="MultiTask reads nothing"):
        MultiTask([("a", CoLES(), 1.0), ("b", SCARF(), 0.5)], **CHEAP).fit(BAGS)


# ---- learning ----------------------------------------------------------------------------

# Points of accuracy over the untrained encoder, on simulated customers: half of the mean over
# 8 seeds, which was 10.4; the lowest was 6.8. Aggregates of single columns know nothing here.
MARGIN = 5.2


def probe(Z, y):
    """Return the accuracy of logistic regressions on 40 labels, the mean of five draws."""
    scores, Z = [], StandardScaler().fit_transform(Z)
    for seed in range(5):
        few, rest = train_test_split(
            np.arange(len(Z)), train_size=40, stratify=y, random_state=seed
        )
        model = LogisticRegression(C=0.03, max_iter=300)
        scores.append(model.fit(Z[few], y[few]).score(Z[rest], y[rest]))
    return 100 * np.mean(scores)


def gain(seed):
    """Return the points of accuracy over the untrained encoder, and over aggregates."""
    events, label = customers(300, seed=seed, mean_events=20)
    bags = to_bags(events, id="client", time="when")
    y = label[bags.index].to_numpy()
    coles = CoLES(n_components=32, learning_rate=3e-3, precision="float32", random_state=seed)
    trained, untrained = (
        probe(clone(coles).set_params(max_epochs=epochs).fit_transform(bags), y)
        for epochs in (25, 0)
    )
    by_client = events.assign(shop=events["shop"] == "north").groupby("client")
    columns = by_client[["spent", "shop"]].agg(["mean", "std", "count"]).loc[bags.index]
    return trained - untrained, trained - probe(columns.fillna(0), y)


@pytest.mark.learns("CoLES")
def test_it_beats_its_own_untrained_encoder_and_aggregates(seed, margin):
    over_untrained, over_aggregates = gain(seed)
    margin(over_untrained, MARGIN, "over the untrained encoder")
    margin(over_aggregates, 20, "over aggregates")
