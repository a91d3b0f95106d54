"""Tables drawn at random: graphs of functions, trees, clusters, categories; and real columns.

Each drawer returns a raw table, (n_rows, n_columns) float64 with codes for categories, the
cardinality of each column (0 = number), and a target: numbers, or codes of classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from sklearn.ensemble import ExtraTreesClassifier

MAX_CLASSES = 10
MAX_CATEGORIES = 30

Random = np.random.Generator
Raw = tuple[np.ndarray, np.ndarray, np.ndarray, bool]  # table, cardinality, target, is it a number


@dataclass
class Drawn:
    """A table to be predicted: scaled numbers and codes, NaN where missing; and classes."""

    x: np.ndarray
    cardinality: np.ndarray
    y: np.ndarray
    is_ordered: bool


# ---- functions ---------------------------------------------------------------------------


def standardized(x: np.ndarray) -> np.ndarray:
    """Give each column mean 0 and standard deviation 1; constant ones become 0."""
    spread = x.std(0)
    return (x - x.mean(0)) / np.where(spread > 1e-9, spread, 1.0)


ACTIVATIONS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda h: h,
    np.tanh,
    np.abs,
    np.sin,
    np.square,
    lambda h: np.maximum(h, 0),
    lambda h: np.exp(-h * h),
    lambda h: (h > 0).astype(float),
    lambda h: np.sign(h) * np.sqrt(np.abs(h)),
    np.round,
)


def log_uniform(random: Random, low: float, high: float) -> float:
    """Draw a number, uniform on a logarithmic scale."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def linear(random: Random, h: np.ndarray, n_out: int) -> np.ndarray:
    """A linear function, some of whose weights are near 0."""
    weight = random.normal(size=(h.shape[1], n_out)) * random.random((h.shape[1], n_out)) ** 2
    return h @ weight


def perceptron(random: Random, h: np.ndarray, n_out: int) -> np.ndarray:
    """A multilayer perceptron with random activations, one for each layer or each unit."""
    for _ in range(random.integers(1, 4)):
        n_units = int(log_uniform(random, 3, 40))
        scale = log_uniform(random, 0.5, 3) / np.sqrt(h.shape[1])
        h = h @ random.normal(size=(h.shape[1], n_units)) * scale + random.normal(size=n_units)
        if random.random() < 0.5:
            h = ACTIVATIONS[random.integers(len(ACTIVATIONS))](h)
        else:
            which = random.integers(len(ACTIVATIONS), size=n_units)
            h = np.stack([ACTIVATIONS[a](h[:, i]) for i, a in enumerate(which)], 1)
        h = standardized(h)
    return h @ random.normal(size=(h.shape[1], n_out))


def trees(random: Random, h: np.ndarray, n_out: int) -> np.ndarray:
    """A sum of random trees, oblivious or not, on columns of unequal importance."""
    n, d = h.shape
    made = np.zeros((n, n_out))
    importance = random.random(d) ** random.uniform(1, 5)
    importance /= importance.sum()
    depth = int(random.integers(1, 6))
    for _ in range(int(log_uniform(random, 1, 30))):
        leaf = np.zeros(n, dtype=int)
        for level in range(depth):
            n_nodes = 2**level if random.random() < 0.5 else 1
            column = random.choice(d, p=importance, size=n_nodes)
            row = random.integers(n, size=n_nodes)
            node = leaf % n_nodes
            leaf = 2 * leaf + (h[np.arange(n), column[node]] > h[row, column][node])
        made += random.normal(size=(2**depth, n_out))[leaf]
    return made


def waves(random: Random, h: np.ndarray, n_out: int) -> np.ndarray:
    """A smooth function: a draw of a Gaussian process, from its random features."""
    n_waves = 48
    length = log_uniform(random, 0.4, 4) * np.sqrt(h.shape[1])
    tail = np.sqrt(random.chisquare(3, size=n_waves) / 3) if random.random() < 0.5 else 1.0
    frequency = random.normal(size=(h.shape[1], n_waves)) / length / tail
    waves = np.cos(h @ frequency + random.uniform(0, 2 * np.pi, n_waves))
    return waves @ random.normal(size=(n_waves, n_out))


def products(random: Random, h: np.ndarray, n_out: int) -> np.ndarray:
    """Sums of products of two linear functions."""
    made = [linear(random, h, n_out) * linear(random, h, n_out) for _ in range(2)]
    return made[0] + made[1] * random.normal()


def nearest(random: Random, h: np.ndarray, n_out: int) -> np.ndarray:
    """A value for each cell around random points."""
    n_points = int(log_uniform(random, 2, 16))
    points = h[random.integers(len(h), size=n_points)]
    distance = ((h[:, None] - points) ** 2).sum(2)
    return random.normal(size=(n_points, n_out))[distance.argmin(1)]


FUNCTIONS = (linear, perceptron, trees, waves, products, nearest)


def noise(random: Random, shape: tuple[int, ...]) -> np.ndarray:
    """Normal or with heavy tails; most of it is small."""
    draw = random.normal(size=shape) if random.random() < 0.7 else random.standard_t(3, size=shape)
    return draw * log_uniform(random, 0.003, 1)


def classes_of(random: Random, scores: np.ndarray) -> np.ndarray:
    """The greatest of several scores, with unequal shares."""
    return (
        standardized(scores) + random.normal(size=scores.shape[1]) * random.choice([0, 0.5, 1])
    ).argmax(1)


# ---- tables ------------------------------------------------------------------------------


def causes(random: Random, n: int, d: int) -> np.ndarray:
    """Independent, correlated or clustered numbers, of several distributions."""
    how = random.random()
    if how < 0.3:
        return random.normal(size=(n, d))
    if how < 0.45:
        return random.uniform(-1.7, 1.7, size=(n, d))
    if how < 0.6:
        return standardized(np.clip(random.standard_t(2.5, size=(n, d)), -12, 12))
    if how < 0.8:
        n_factors = int(random.integers(1, d + 1))
        mixed = random.normal(size=(n, n_factors)) @ random.normal(size=(n_factors, d))
        return standardized(mixed + log_uniform(random, 0.05, 1.4) * random.normal(size=(n, d)))
    centres = random.normal(size=(int(random.integers(2, 9)), d)) * random.uniform(0.5, 3)
    return standardized(centres[random.integers(len(centres), size=n)] + random.normal(size=(n, d)))


def graph(random: Random, n: int, d: int) -> Raw:
    """Nodes of a directed acyclic graph: each a function of a few earlier ones, and noise."""
    n_roots = int(random.integers(1, max(2, d // 2) + 1))
    nodes = causes(random, n, n_roots)
    usual = FUNCTIONS[random.integers(len(FUNCTIONS))] if random.random() < 0.3 else None
    n_nodes = max(d, n_roots) + 1 + int(random.integers(0, d + 2))
    while nodes.shape[1] < n_nodes:
        n_parents = min(nodes.shape[1], 1 + int(random.geometric(0.35)))
        parents = random.choice(nodes.shape[1], n_parents, replace=False)
        function = usual or FUNCTIONS[random.integers(len(FUNCTIONS))]
        n_out = int(random.integers(1, 4))
        made = standardized(function(random, nodes[:, parents], n_out))
        nodes = np.hstack([nodes, standardized(made + noise(random, made.shape))])
    target = int(random.integers(n_roots, nodes.shape[1]))
    others = np.setdiff1d(np.arange(nodes.shape[1]), [target])
    table = nodes[:, random.choice(others, d, replace=len(others) < d)]
    if random.random() < 0.4:  # a category of several nodes' making
        n_parents = min(len(others), int(random.integers(1, 7)))
        parents = nodes[:, random.choice(others, n_parents, replace=False)]
        function = FUNCTIONS[random.integers(len(FUNCTIONS))]
        scores = function(random, parents, int(random.integers(2, MAX_CLASSES + 1)))
        return table, np.zeros(d, int), classes_of(random, scores), False
    return table, np.zeros(d, int), nodes[:, target], True


def function_of_columns(random: Random, n: int, d: int) -> Raw:
    """A target that is a function of some of the columns."""
    table = causes(random, n, d)
    n_relevant = d if random.random() < 0.5 else int(random.integers(1, d + 1))
    relevant = table[:, random.permutation(d)[:n_relevant]]
    function = FUNCTIONS[random.integers(len(FUNCTIONS))]
    if random.random() < 0.6:
        n_classes = 2 if random.random() < 0.4 else int(random.integers(2, MAX_CLASSES + 1))
        target = classes_of(random, function(random, relevant, n_classes))
        return table, np.zeros(d, int), target, False
    target = standardized(function(random, relevant, 1))[:, 0]
    return table, np.zeros(d, int), target + noise(random, (n,)), True


def clusters(random: Random, n: int, d: int) -> Raw:
    """Classes of one to three clusters, round, stretched or bent."""
    n_classes = 2 if random.random() < 0.4 else int(random.integers(2, MAX_CLASSES + 1))
    n_each = int(random.integers(1, 4))
    n_latent = int(random.integers(1, d + 1))
    centres = random.normal(size=(n_classes * n_each, n_latent)) * log_uniform(random, 0.7, 4)
    which = random.integers(len(centres), size=n)
    stretch = (
        np.eye(n_latent)
        + random.normal(size=(len(centres), n_latent, n_latent)) * 0.5 * random.random()
    )
    latent = np.einsum("nd,nde->ne", random.normal(size=(n, n_latent)), stretch[which])
    latent = latent + centres[which]
    bend = perceptron if random.random() < 0.3 else linear
    table = latent if n_latent == d and random.random() < 0.5 else bend(random, latent, d)
    table = standardized(table) + noise(random, (n, d)) * 0.5
    return table, np.zeros(d, int), which % n_classes, False


def categories(random: Random, n: int, d: int) -> Raw:
    """Columns that are all categories; a target that sums what each says, or conjunctions do."""
    same = int(log_uniform(random, 2, 8))
    levels = np.full(d, same) if random.random() < 0.5 else random.integers(2, 9, size=d)
    latent = causes(random, n, d) if random.random() < 0.5 else random.normal(size=(n, d))
    table = np.empty((n, d), int)
    for j in range(d):
        cuts = np.quantile(latent[:, j], np.sort(random.random(levels[j] - 1)))
        table[:, j] = random.permutation(levels[j])[np.searchsorted(cuts, latent[:, j])]
    n_classes = 2 if random.random() < 0.5 else int(random.integers(2, MAX_CLASSES + 1))
    importance = random.random(d) ** random.uniform(0, 6)
    scores = np.zeros((n, n_classes))
    for j in range(d):
        scores += importance[j] * random.normal(size=(levels[j], n_classes))[table[:, j]]
    if random.random() < 0.4:
        scores *= random.choice([0.0, 0.3])
        for _ in range(int(log_uniform(random, 2, 16))):
            columns = random.choice(d, min(d, int(random.integers(2, 4))), replace=False)
            holds = (table[:, columns] == table[random.integers(n), columns]).all(1)
            scores += np.outer(holds, random.normal(size=n_classes))
    return table.astype(float), levels, classes_of(random, scores), False


def observe(random: Random, raw: Raw) -> Raw:
    """What is written down: rounded, cut to categories, on another scale, or missing."""
    table, cardinality, target, is_number = raw
    table, cardinality = table.copy(), cardinality.copy()
    n, d = table.shape
    p_category, p_round = random.choice([0, 0.2, 0.6, 1]), random.choice([0, 0.2])
    for j in np.flatnonzero(cardinality == 0):
        if random.random() < p_category:
            n_levels = int(log_uniform(random, 2, 12))
            cuts = np.quantile(table[:, j], np.sort(random.random(n_levels - 1)))
            codes = np.unique(np.searchsorted(cuts, table[:, j]), return_inverse=True)[1]
            if codes.max() > 1 and random.random() < 0.7:
                cardinality[j] = codes.max() + 1
                codes = random.permutation(codes.max() + 1)[codes]
            table[:, j] = codes
        elif random.random() < p_round:
            table[:, j] = np.round(table[:, j] * random.uniform(0.7, 5))
    if random.random() < 0.3:
        share = random.uniform(0, 0.3) * random.random(d)
        lost = random.random((n, d)) < share
        if random.random() < 0.5:  # more often where values are high
            lost &= np.argsort(np.argsort(table, 0), 0) > n * random.uniform(0, 0.7)
        table[lost] = np.nan
    return table, cardinality, target, is_number


# ---- real tables -------------------------------------------------------------------------


@dataclass
class Column:
    """Numbers, or codes of categories (-1 where missing)."""

    values: np.ndarray
    n_levels: int


def real(random: Random, n: int, d: int, tables: Sequence[list[Column]]) -> Raw | None:
    """Some rows and columns of a real table, one column of which is the target."""
    size = np.array([len(table) ** 0.5 for table in tables])
    table = tables[random.choice(len(tables), p=size / size.sum())]
    if len(table[0].values) < n:
        return None
    rows = random.permutation(len(table[0].values))[:n]
    target, *others = random.permutation(len(table))
    y = table[target].values[rows]
    is_number = not table[target].n_levels
    if np.isnan(y).any():
        return None
    columns, levels = [], []
    for j in others:
        x = table[j].values[rows]
        if np.isnan(x).mean() > 0.5 or is_copy(x, y):
            continue
        columns.append(x)
        levels.append(table[j].n_levels)
        if len(columns) == d:
            break
    if len(columns) < d:
        return None
    return np.stack(columns, 1), np.array(levels), y, is_number


def is_copy(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a column gives the target away: ranks that agree, or constant columns."""
    known = ~np.isnan(x)
    if len(np.unique(x[known])) < 2:
        return True
    ranks = [np.argsort(np.argsort(v[known])) for v in (x, y)]
    return abs(np.corrcoef(*ranks)[0, 1]) > 0.97


# ---- tasks -------------------------------------------------------------------------------


def rank_normal(x: np.ndarray) -> np.ndarray:
    """Numbers as quantiles of a normal distribution; ties share the middle, NaN stays."""
    known = ~np.isnan(x)
    made = np.full(len(x), np.nan)
    values, place, count = np.unique(x[known], return_inverse=True, return_counts=True)
    if len(values) < 2:
        made[known] = 0.0
        return made
    quantile = ndtri((np.cumsum(count) - count / 2) / known.sum())
    made[known] = np.clip(quantile, -3, 3)[place]
    return (made - np.nanmean(made)) / np.nanstd(made)


def classify(random: Random, target: np.ndarray, is_number: bool) -> tuple[np.ndarray, bool] | None:
    """Turn a target into classes, and tell whether they are in order."""
    is_ordered = False
    if is_number:
        values = np.unique(target)
        n = 2 if random.random() < 0.35 else int(random.integers(2, MAX_CLASSES + 1))
        equal = np.arange(1, n) / n
        cuts = np.quantile(
            target, equal if random.random() < 0.5 else np.sort(random.random(n - 1))
        )
        few = len(values) <= MAX_CLASSES and random.random() < 0.7
        target = np.searchsorted(values if few else cuts, target)
        is_ordered = random.random() < 0.5
    else:
        names, count = np.unique(target, return_counts=True)
        common = names[np.argsort(-count)][: MAX_CLASSES - 1]
        target = np.where(np.isin(target, common), target, names.max() + 1)
    names, y = np.unique(target, return_inverse=True)
    if len(names) < 2 or np.bincount(y).max() > 0.93 * len(y):
        return None
    if random.random() < 0.2 and not is_ordered:  # labels of which some are wrong
        wrong = random.random(len(y)) < random.uniform(0, 0.25)
        y = np.where(wrong, y[random.permutation(len(y))], y)
    return y, is_ordered


def is_learnable(drawn: Drawn, n_labelled: int, at_least: float) -> bool:
    """Whether shallow trees do better than the commonest class, by a share of what is left."""
    x = np.nan_to_num(drawn.x, nan=-4.0)
    new = slice(n_labelled, n_labelled + 150)
    y, y_new = drawn.y[:n_labelled], drawn.y[new]
    model = ExtraTreesClassifier(20, max_depth=6, random_state=0).fit(x[:n_labelled], y)
    accuracy = np.mean(model.predict(x[new]) == y_new)
    commonest = np.mean(y_new == np.bincount(y).argmax())
    return accuracy - commonest > at_least * (1 - commonest + 1e-6)


def draw(
    random: Random,
    n: int,
    d: int,
    tables: Sequence[list[Column]],
    real_share: float = 0.5,
    at_least: float = 0.3,
) -> Drawn:
    """Draw a table of n rows and d columns that can be predicted."""
    while True:
        if tables and random.random() < real_share:
            raw = real(random, n, d, tables)
        else:
            family = random.choice(4, p=[0.45, 0.2, 0.15, 0.2])
            made = (graph, function_of_columns, clusters, categories)[family](random, n, d)
            raw = observe(random, made) if np.isfinite(made[0]).all() else None
        drawn = None if raw is None else task_of(random, raw, at_least)
        if drawn is not None:
            return drawn


def task_of(random: Random, raw: Raw, at_least: float) -> Drawn | None:
    """Turn a table and its target into a task, if that can be learnt."""
    table, cardinality, target, is_number = raw
    classes = classify(random, target, is_number)
    if classes is None:
        return None
    for j in np.flatnonzero(cardinality == 0):
        table[:, j] = rank_normal(table[:, j])
    drawn = Drawn(table.astype(np.float16), cardinality, *classes)
    return drawn if is_learnable(drawn, min(100, len(table) // 2), at_least) else None
