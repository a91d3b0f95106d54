"""Write tests/saved: small models of many kinds, rows, and what the models make of them.

    python tests/write_saved.py [name ...]

writes files of the format that skssl.save writes now, into a folder of its own. Those of released
formats stay as they are: test_saved.py loads them in every later version. Run it once, when the
format is new.
"""

import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skssl
from skssl.encoders import MLP, ResNet, TemporalConvNet, VideoEncoder
from skssl.persistence._changes import FORMAT

SAVED = Path(__file__).parent / "saved"
VERBS = ("transform", "predict", "predict_proba", "decision_function", "score_samples")
CHEAP = {"n_components": 4, "max_epochs": 2, "batch_size": 16, "precision": "float32"}
SEEDED = {**CHEAP, "random_state": 0}
N_KEPT = 6  # rows beside a file


# ---- rows --------------------------------------------------------------------------------


def numbers(rng, n=40):
    """Two clouds in three columns, in the second of which cells are missing."""
    X = rng.normal(size=(n, 3)) + 3 * (np.arange(n) % 2)[:, None]
    X[::5, 1] = np.nan
    return {"X": X}


def whole_numbers(rng, n=40):
    return {"X": np.nan_to_num(numbers(rng, n)["X"])}


def frame(rng, n=40):
    """Numbers, categories and bools, with missing cells."""
    return {
        "age": np.where(rng.random(n) < 0.2, np.nan, rng.integers(18, 90, n)),
        "income": rng.lognormal(10, 1, n) * (1 + np.arange(n) % 2),
        "city": rng.choice(["Rome", "Oslo", "Lima", ""], n),
        "member": rng.random(n) < 0.3,
    }


def events(rng, n=30):
    """Events of n customers."""
    size = rng.integers(1, 6, n)
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 90, size.sum()), "D")
    return {
        "client": np.repeat(np.arange(n), size),
        "when": days.to_numpy("datetime64[s]"),
        "spent": rng.lognormal(size=size.sum()),
        "shop": rng.choice(["Rome", "Oslo", "Lima"], size.sum()),
    }


def images(rng, n=32):
    return {"X": rng.integers(0, 256, (n, 8, 8, 3)).astype(np.uint8)}


def clips(rng, n=16):
    return {"X": rng.integers(0, 256, (n, 4, 6, 6, 3)).astype(np.uint8)}


def series(rng, n=32):
    X = np.sin(np.arange(16) * rng.uniform(0.2, 1.5, (n, 2, 1))) + 0.1 * rng.normal(size=(n, 2, 16))
    X[rng.random(X.shape) < 0.05] = np.nan
    return {"X": X}


def waveforms(rng, n=16):
    return {"X": 0.3 * np.sin(np.arange(800) * rng.uniform(0.1, 1.5, (n, 1)))}


def sentences(rng, n=40):
    words = "the a cat dog bird sat ran flew on over mat house tree slowly quickly".split()
    return {"X": np.array([" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(n)])}


def as_array(rows):
    return rows["X"]


def as_list(rows):
    return rows["X"].tolist()


def as_frame(rows):
    """Return a frame, text as categories; the empty string is a missing one."""
    made = pd.DataFrame({name: column for name, column in rows.items()})
    for name in made.select_dtypes(["object", "string"]):
        made[name] = pd.Categorical(made[name].where(made[name] != "", None))
    return made


def as_bags(rows):
    return skssl.to_bags(as_frame(rows), id="client", time="when")


# ---- models ------------------------------------------------------------------------------


def classes(n, n_labelled):
    """Return labels, -1 behind the first of each class."""
    return np.where(np.arange(n) < n_labelled, np.arange(n) % 2, -1)


def scarf(width=3):
    """A method whose net has a few hundred weights."""
    return skssl.SCARF(**SEEDED, encoder=MLP(width, 8, 4))


def fit_table(X):
    return skssl.SCARF(**SEEDED, encoder=MLP(9, 8, 4)).fit(X)


def fit_images(X):
    return skssl.SimCLR(**SEEDED, encoder=ResNet(3, (8, 8), (0, 1), 8)).fit(X)


def fit_series(X):
    return skssl.TS2Vec(**SEEDED, encoder=TemporalConvNet(2, 4, 8, 2)).fit(X)


def fit_text(X):
    tokenizer = skssl.TextTokenizer(vocab_size=300)
    method = skssl.TextContrast(**SEEDED, chunk_range=(0.3, 0.9))
    return make_pipeline(tokenizer, method).fit(X)


def fit_byte_pairs(X):
    return skssl.TextTokenizer(algorithm="bpe", vocab_size=300).fit(X)


def fit_bags(X):
    return skssl.CoLES(**SEEDED).fit(X)


def fit_audio(X):
    encoder = TemporalConvNet(40, 4, 8, 1)
    return skssl.DenoisingAudio(**SEEDED, sampling_rate=8000, encoder=encoder).fit(X)


def fit_video(X):
    encoder = VideoEncoder(ResNet(6, (4,), (1,), 4))
    return skssl.NextFrame(**SEEDED, context=2, encoder=encoder).fit(X)


def fit_tasks(X):
    tasks = [("vime", skssl.VIME(), 1.0), ("scarf", skssl.SCARF(), 0.2)]
    return skssl.MultiTask(tasks, **SEEDED, encoder=MLP(4, 8, 4)).fit(X)


def fit_stream(X):
    """Fit what goes on learning: its file has the net and the optimizer's state as well."""
    return skssl.VIME(**SEEDED, encoder=MLP(4, 8, 4)).partial_fit(X).partial_fit(X)


def fit_classifier(X):
    """Fit the default ensemble: linear models, neighbours and trees."""
    return skssl.PretrainedClassifier(scarf(9), random_state=0).fit(X, classes(len(X), 24))


def fit_regressor(X):
    y = np.where(np.arange(len(X)) < 20, X["income"], np.nan)
    return skssl.PretrainedRegressor(scarf(9), random_state=0).fit(X, y)


def fit_boosted(X):
    trees = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5)
    model = skssl.PretrainedClassifier(scarf(4), trees, random_state=0)
    return model.fit(X, classes(len(X), 30))


def fit_fine_tuned(X):
    model = skssl.FineTunedClassifier(scarf(4), max_epochs=2, random_state=0)
    return model.fit(X, classes(len(X), 20))


def fit_prototypes(X):
    return skssl.PrototypeClassifier().fit(X, classes(len(X), 10))


def fit_embedding_outliers(X):
    return skssl.EmbeddingOutlierDetector(scarf(4), random_state=0).fit(X)


def fit_reconstruction_outliers(X):
    method = skssl.DenoisingAutoencoder(**CHEAP, encoder=MLP(4, 8, 4))
    return skssl.ReconstructionOutlierDetector(method, random_state=0).fit(X)


def fit_search(X):
    model = make_pipeline(StandardScaler(), scarf(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    return GridSearchCV(model, grid, cv=2, scoring="accuracy").fit(X, np.arange(len(X)) % 2)


MODELS = {  # by the name of the file: its rows, as what the model reads them, and the fit
    "table": (frame, as_frame, fit_table),
    "images": (images, as_array, fit_images),
    "series": (series, as_array, fit_series),
    "text": (sentences, as_list, fit_text),
    "byte_pairs": (sentences, as_list, fit_byte_pairs),
    "bags": (events, as_bags, fit_bags),
    "audio": (waveforms, as_array, fit_audio),
    "video": (clips, as_array, fit_video),
    "multi_task": (numbers, as_array, fit_tasks),
    "stream": (numbers, as_array, fit_stream),
    "classifier": (frame, as_frame, fit_classifier),
    "regressor": (frame, as_frame, fit_regressor),
    "boosted_trees": (numbers, as_array, fit_boosted),
    "fine_tuned": (numbers, as_array, fit_fine_tuned),
    "prototypes": (whole_numbers, as_array, fit_prototypes),
    "embedding_outliers": (numbers, as_array, fit_embedding_outliers),
    "reconstruction_outliers": (numbers, as_array, fit_reconstruction_outliers),
    "search": (whole_numbers, as_array, fit_search),
}


def fitted(name):
    """Return the rows of a model, as arrays, and the model fitted to them."""
    make, read, fit = MODELS[name]
    rows = make(np.random.default_rng(0))
    torch.manual_seed(0)  # of encoders that are given as modules
    with mock.patch("skssl.semi_supervised._ensemble.N_TREES", 4):  # for small files
        return rows, fit(read(rows))


def kept(name, rows):
    """Return the first rows, as arrays."""
    if MODELS[name][1] is as_bags:
        return {column: values[rows["client"] < N_KEPT] for column, values in rows.items()}
    return {column: values[:N_KEPT] for column, values in rows.items()}


def outputs(model, X):
    """Return what a model makes of rows, by the name of the method."""
    return {verb: np.asarray(getattr(model, verb)(X)) for verb in VERBS if hasattr(model, verb)}


def write(name, folder):
    """Write a model, some rows, and what it makes of them."""
    rows, model = fitted(name)
    few = kept(name, rows)
    made = outputs(model, MODELS[name][1](few))
    skssl.save(model, folder / f"{name}.skssl")
    given = {f"input.{column}": values for column, values in few.items()}
    np.savez_compressed(
        folder / f"{name}.npz", **given, **{f"output.{verb}": value for verb, value in made.items()}
    )


def main(names):
    folder = SAVED / str(FORMAT)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or MODELS:
        write(name, folder)
        print(f"{name:24} {(folder / f'{name}.skssl').stat().st_size / 1000:6.1f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
