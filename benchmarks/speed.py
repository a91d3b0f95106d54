"""What a step of every method costs beside its arithmetic, beside other libraries, and where.

    OMP_NUM_THREADS=1 python benchmarks/speed.py             # all of it, about 15 minutes
    OMP_NUM_THREADS=1 python benchmarks/speed.py methods     # one part
    OMP_NUM_THREADS=1 python benchmarks/speed.py methods --only SCARF VIME --epochs 14

Steps are those of ``overhead.py``: *ours* is a whole step of ``fit``, *bare* the same modules
and loss on ready-made views, in turn, epoch by epoch. Methods are found by walking
``skssl.__all__``; each is timed on the first modality that it reads.
"""

import argparse
import cProfile
import inspect
import os
import pstats
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from overhead import compare, four_layers, images, table

import skssl
from skssl import SCARF, VIME, DenoisingAutoencoder, SimCLR
from skssl._compat import has_native_bfloat16
from skssl.base._transformer import SSLTransformer
from skssl.datasets import make_moving_digits

N_EPOCHS = 8  # of which two are left out


def series() -> np.ndarray:
    """Random walks of 64 steps."""
    return np.random.default_rng(0).standard_normal((2_048, 1, 64)).cumsum(2)


def waveforms() -> np.ndarray:
    """Noise of a quarter of a second."""
    return np.random.default_rng(0).standard_normal((256, 2_000))


def texts(n_texts: int = 2_048) -> list[str]:
    """Texts of 30 words that are drawn from 5 000."""
    words = np.random.default_rng(0).zipf(1.3, (n_texts, 30)).clip(max=5_000)
    return [" ".join(f"w{word}" for word in text) for text in words]


def bags() -> Any:
    """Events of 2 048 customers, 20 of each."""
    n_events = 2_048 * 20
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "client": np.repeat(np.arange(2_048), 20),
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.random(n_events) * 90, "D"),
            "spent": rng.lognormal(size=n_events),
            "shop": pd.Categorical(rng.choice(["Rome", "Oslo", "Lima"], n_events)),
        }
    )
    return skssl.to_bags(events, id="client", time="when")


def clips() -> np.ndarray:
    """Digits that move, 12 frames of 20 x 20."""
    return make_moving_digits(128, 12, random_state=0)[0]


# By modality: data, encoder, batch.
SAMPLES: dict[str, tuple[Any, Any, int]] = {
    "table": (table, four_layers, 1024),
    "bags": (bags, "auto", 512),
    "image": (partial(images, 512, 3), "auto", 128),
    "series": (series, "auto", 512),
    "audio": (waveforms, "auto", 64),
    "text": (texts, "auto", 512),
    "video": (clips, "auto", 32),
}
# Of whose steps many take a second at those: who attend, or compare, along a row.
BATCH = {
    "CPC": 64,
    "CoLES": 256,
    "ICL": 256,
    "IJEPA": 32,
    "MaskedLanguageModel": 32,
    "MaskedTable": 64,
    "NextStep": 64,
    "NextToken": 32,
    "RotationPrediction": 64,
    "TS2Vec": 16,
}
N_STEPS = 4  # of an epoch


def public_methods() -> list[type[SSLTransformer]]:
    """Return every public method."""
    public = [getattr(skssl, name) for name in skssl.__all__]
    return [c for c in public if inspect.isclass(c) and issubclass(c, SSLTransformer)]


def methods(only: list[str] | None = None, epochs: int = 6) -> None:
    """Every method against its bare step, in bfloat16 too where the CPU has it."""
    both = has_native_bfloat16(torch.device("cpu"))
    print("\n| method | data | batch | precision | ours ms | bare ms | ours / bare | / float32 |")
    print("|---|---|---|---|---|---|---|---|")
    for cls in public_methods():
        if only and cls.__name__ not in only:
            continue
        modality = cls()._modalities[0]
        make, encoder, batch_size = SAMPLES[modality]
        batch_size = BATCH.get(cls.__name__, batch_size)
        X = make()[: N_STEPS * batch_size]
        method = partial(cls, sampling_rate=8_000) if modality == "audio" else cls
        encoder = cls.encoder if cls.encoder != "auto" else encoder
        plain = 0.0
        for precision in ("float32", "bfloat16") if both else ("float32",):
            a, b, ratio = compare(method, X, encoder, batch_size, precision, precision, epochs)
            plain = plain or b
            cells = cls.__name__, modality, batch_size, precision, f"{a:.0f}", f"{b:.0f}"
            ends = f"{ratio:.2f}", f"{a / plain:.2f}"
            print("|", " | ".join(map(str, (*cells, *ends))), "|", flush=True)


# By library: what names its Python, its script, the batches, what of ours does the same, on what.
TABLE, IMAGES = (table, four_layers), (images, "auto")
PEERS: dict[str, tuple[str, str, tuple[int, ...], Any, Any]] = {
    "ts3l's SCARF": ("TS3L_PYTHON", "ts3l", (128,), SCARF, TABLE),
    "pytorch-tabular's denoiser": ("TABULAR_PYTHON", "pytorch_tabular", (128, 1024), VIME, TABLE),
    "TabNet's pretrainer": ("TABNET_PYTHON", "tabnet", (128, 1024), DenoisingAutoencoder, TABLE),
    "skorch, a denoiser": ("SKORCH_PYTHON", "skorch", (128, 1024), DenoisingAutoencoder, TABLE),
    "lightly's SimCLR": ("LIGHTLY_PYTHON", "lightly", (256,), SimCLR, IMAGES),
}


def peers() -> None:
    """Steps of other libraries and of ours, in turn; each needs a Python of its own."""
    print("\n| library | batch | its ms | ours | ours ms | its / ours | auto ms | its / auto |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (variable, script, batches, cls, (make, encoder)) in PEERS.items():
        python = os.environ.get(variable)
        if python is None:
            print(f"| {name} | skipped: {variable} is not set (benchmarks/README.md) |")
            continue
        for batch_size in batches:
            times = []
            for _ in range(3):
                path = str(Path(__file__).with_name(f"peer_{script}.py"))
                run = subprocess.run(
                    [python, path, str(batch_size)], capture_output=True, check=True, text=True
                )
                ours = [
                    compare(cls, make(), encoder, batch_size, precision, "float32", 4)[0]
                    for precision in ("float32", "auto")
                ]
                times.append([float(run.stdout.split()[-1]), *ours])
            its, plain, auto = np.median(times, axis=0)
            cells = name, batch_size, f"{its:.1f}", cls.__name__, f"{plain:.1f}"
            ratios = f"{its / plain:.1f}", f"{auto:.1f}", f"{its / auto:.1f}"
            print("|", " | ".join(map(str, (*cells, *ratios))), "|", flush=True)


# What a step consists of: the function whose time it is, and a part of its file's path.
PARTS = {
    "batches": ("batches", "skssl/_training/_loop.py"),
    "views": ("__call__", "skssl/views/_lists.py"),
    "forward, loss": ("_loss", "skssl/methods/"),  # views included, which are taken off
    "backward": ("backward", "torch/_tensor.py"),
    "clipping": ("clip_grad_norm_", "utils/clip_grad.py"),
    "optimizer": ("step", "optim/adam.py"),
}


def shares(method: SSLTransformer, X: np.ndarray) -> tuple[float, dict[str, float]]:
    """Return milliseconds of a step and which share of them each part takes."""
    profiler = cProfile.Profile()
    profiler.runcall(method.fit, X)
    entries = pstats.Stats(profiler).stats.items()

    def spent(function: str, file: str) -> tuple[int, float]:
        found = [
            (calls, total)
            for (path, _, name), (calls, _, _, total, _) in entries
            if name == function and file in path
        ]
        return max(found, key=lambda one: one[1])

    n_steps, whole = spent("_step", "skssl/_training/_loop.py")
    parts = {part: spent(*where)[1] for part, where in PARTS.items()}
    parts["forward, loss"] -= parts["views"]
    whole += parts["batches"]
    parts["the rest"] = whole - sum(parts.values())
    return whole / n_steps * 1e3, {part: time / whole for part, time in parts.items()}


def profile() -> None:
    """Where the time of a step goes, by cProfile of fits without callbacks."""
    print("\n| fit | precision | ms | " + " | ".join([*PARTS, "the rest"]) + " |")
    print("|---|---|---|" + "---|" * (len(PARTS) + 1))
    fits: list[tuple[str, Any, np.ndarray]] = [
        ("SCARF, batch 128", SCARF(encoder=four_layers, batch_size=128, max_epochs=5), table()),
        ("SCARF, batch 1024", SCARF(encoder=four_layers, batch_size=1024, max_epochs=5), table()),
        ("SimCLR, images, batch 256", SimCLR(batch_size=256, max_epochs=2), images()),
    ]
    for name, method, X in fits:
        for precision in ("float32", "auto"):
            ms, parts = shares(method.set_params(precision=precision, random_state=0), X)
            cells = name, precision, f"{ms:.1f}", *(f"{share:.1%}" for share in parts.values())
            print("|", " | ".join(cells), "|", flush=True)


SECTIONS = {f.__name__: f for f in (methods, peers, profile)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(SECTIONS)}; all by default")
    names = [cls.__name__ for cls in public_methods()]
    parser.add_argument("--only", nargs="+", choices=names, help="of `methods`; all by default")
    parser.add_argument("--epochs", type=int, default=6, help="turns of `methods`; 2 are left out")
    args = parser.parse_args()
    given: dict[str, dict[str, Any]] = {"methods": {"only": args.only, "epochs": args.epochs}}
    for part in args.parts or SECTIONS:
        SECTIONS[part](**given.get(part, {}))
