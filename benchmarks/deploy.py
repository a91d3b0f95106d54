"""What a fitted model costs where it is used: one row through Python and through onnxruntime.

    OMP_NUM_THREADS=1 python benchmarks/deploy.py            # about a minute

*Python* is ``transform`` or ``predict_proba`` of the estimator, *encoder* the bare forward of its
module in torch, *onnxruntime* a session of one thread on the graph of ``to_onnx``. Medians in
microseconds; the three take turns of 50 calls. *Difference* is the greatest
between Python and the graph over 1 000 rows, 200 of images.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import torch
from overhead import images, table
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl import SCARF, PretrainedClassifier, SimCLR, to_onnx

ROUNDS, CALLS = 20, 50


def mixed() -> pd.DataFrame:
    """A table of 15 columns of numbers and 5 of text, of which a tenth is missing."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(table(1_000, 15).astype(float)).add_prefix("number")
    text = rng.choice(list("abcdefgh"), (1_000, 5)).astype(object)
    frame = X.join(pd.DataFrame(text).add_prefix("text"))
    return frame.mask(rng.random(frame.shape) < 0.1)


def fitted() -> dict[str, tuple[Any, Any]]:
    """The models and what they read; an epoch will do, since costs are those of sizes."""
    X, frame, pictures = table(1_000, 20).astype(float), mixed(), images(200)
    y = (X[:, 0] > 0).astype(int)
    few = np.where(np.arange(1_000) < 100, y, -1)
    scarf = SCARF(max_epochs=1, random_state=0)
    frozen = FrozenEstimator(make_pipeline(StandardScaler(), scarf).fit(X))
    head = LogisticRegression(max_iter=1000)
    joined = PretrainedClassifier(scarf, head, random_state=0)
    default = PretrainedClassifier(scarf, random_state=0)
    return {
        "`SCARF`, 20 numbers": (SCARF(max_epochs=1, random_state=0).fit(X), X),
        "`SCARF`, 15 numbers and 5 texts": (SCARF(max_epochs=1, random_state=0).fit(frame), frame),
        "scaler, `SCARF`, logistic regression": (make_pipeline(frozen, head).fit(X, y), X),
        "`PretrainedClassifier` with logistic regression, 15 numbers and 5 texts": (
            joined.fit(frame, few),
            frame,
        ),
        "`PretrainedClassifier`, default end, 20 numbers, 1 000 rows, 100 labels": (
            default.fit(X, few),
            X,
        ),
        "`SimCLR`, 28 x 28 bytes": (SimCLR(max_epochs=1, random_state=0).fit(pictures), pictures),
    }


def session_of(graph: bytes) -> onnxruntime.InferenceSession:
    """A session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options)


def fed(session: onnxruntime.InferenceSession, X: Any) -> dict[str, np.ndarray]:
    """X as the session takes it."""
    if not isinstance(X, pd.DataFrame):
        return {"X": X}
    dtypes = {"tensor(string)": object, "tensor(double)": float}
    return {x.name: X[[x.name]].to_numpy(dtypes[x.type]) for x in session.get_inputs()}


def encoder_of(model: Any, row: Any) -> Callable[[], Any] | None:
    """The bare forward of a transformer's encoder."""
    if not hasattr(model, "encoder_"):
        return None
    x = model._read(row)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return model.encoder_(x)

    return forward


def microseconds(calls: list[Callable[[], Any] | None]) -> list[str]:
    """Median of each call, in turns."""
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, times in zip(calls, spent, strict=True):
            for _ in range(CALLS if call else 0):
                start = time.perf_counter()
                call()
                times.append(1e6 * (time.perf_counter() - start))
    return [f"{np.median(times):.0f}" if times else "" for times in spent]


def main() -> None:
    """Print the table."""
    print("| one row, µs | Python | encoder | onnxruntime | difference | graph kB | export s |")
    print("|---|---|---|---|---|---|---|")
    for name, (model, X) in fitted().items():
        start = time.perf_counter()
        graph = to_onnx(model).SerializeToString()
        export = time.perf_counter() - start
        session, verb = session_of(graph), getattr(model, "predict_proba", None) or model.transform
        rows, one, row = fed(session, X), fed(session, X[:1]), X[:1]
        difference = abs(session.run(None, rows)[-1] - verb(X)).max()
        calls = [lambda v=verb, r=row: v(r), encoder_of(model, row), None]
        calls[2] = lambda s=session, o=one: s.run(None, o)
        cells = *microseconds(calls), f"{difference:.0e}", f"{len(graph) / 1e3:.0f}"
        print("|", " | ".join((name, *cells, f"{export:.1f}")), "|", flush=True)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    main()
