"""Terrain, drives over it, and what learns from them while they last."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from skssl.datasets import KNOWN_TERRAINS, TERRAINS, make_terrain, make_terrain_drive

STREAM = Path(__file__).parents[1] / "benchmarks" / "stream.py"


def test_terrain_comes_in_pairs_of_one_colour():
    ground, acceleration, terrain = make_terrain((400, 600), random_state=0)
    assert ground.shape == (400, 600, 3) and ground.dtype == np.uint8
    assert acceleration.shape == terrain.shape == (400, 600)
    assert acceleration.dtype == np.float32
    colour = np.array([ground[terrain == i].mean(0) for i in range(6)])
    shaken = np.array([np.sqrt((acceleration[terrain == i] ** 2).mean()) for i in range(6)])
    for smooth, rough in (("asphalt", "gravel"), ("sand", "stones"), ("lawn", "tussocks")):
        a, b = KNOWN_TERRAINS.index(smooth), KNOWN_TERRAINS.index(rough)
        assert np.abs(colour[a] - colour[b]).max() < 12
        assert shaken[b] > 2 * shaken[a]


def test_terrain_is_periodic():
    ground = make_terrain((96, 128), random_state=0)[0].astype(float)
    for axis in (0, 1):
        steps = np.abs(np.diff(ground, axis=axis, append=ground.take([0], axis))).mean(
            (1 - axis, 2)
        )
        assert steps[-1] < 1.5 * steps.mean()


def test_roughness_is_that_of_the_ground_in_the_frame():
    frames, roughness, terrain = make_terrain_drive(20, random_state=3)
    ground, acceleration, kinds = make_terrain((64, 240), random_state=3)
    likeness = []
    for i in range(20):
        columns = [(12 * i + j) % 240 for j in range(32)]
        shaken = [acceleration[row, j] ** 2 for row in (4, 8, 12, 20, 24, 28) for j in columns]
        assert roughness[i] == pytest.approx(np.sqrt(np.mean(shaken) + 0.05**2), rel=1e-5)
        assert terrain[i] == kinds[16, columns[16]]
        patch = ground[:32, columns].mean(-1).ravel()
        likeness.append(np.corrcoef(patch, frames[i].mean(-1).ravel())[0, 1])
    assert min(likeness) > 0.8  # the noise of the camera, on asphalt


def test_events_are_signed_changes_of_brightness():
    frames, roughness, _ = make_terrain_drive(20, events=True, random_state=3)
    assert frames.shape == (20, 32, 32, 1) and frames.dtype == np.float32
    assert np.array_equal(frames, frames.round()) and frames.min() < 0 < frames.max()
    assert np.array_equal(roughness, make_terrain_drive(20, random_state=3)[1])
    ground = np.log(make_terrain((64, 240), random_state=3)[0].astype(float).mean(-1))
    change = (ground - np.roll(ground, 1, 1))[:32, 36:68] / 0.05
    assert np.abs(frames[3, :, :, 0] - np.trunc(change)).max() <= 3
    assert np.abs(frames[3, :, :, 0] - np.trunc(change)).mean() < 0.5


def test_seeds():
    first, again, other = (make_terrain_drive(8, random_state=seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(make_terrain(random_state=0)[0], make_terrain(random_state=0)[0])


@pytest.mark.parametrize("make", [make_terrain, make_terrain_drive])
@pytest.mark.parametrize("terrains", [(), ("asphalt", "ice")])
def test_unknown_terrains_are_named(make, terrains):
    with pytest.raises(ValueError, match="terrains must be some of .*'cobbles'"):
        make(terrains=terrains)


def test_terrains_are_several_names():
    with pytest.raises(ValueError, match="terrains must be a sequence of names.*'sand'"):
        make_terrain(terrains="sand")


def test_what_is_too_small():
    with pytest.raises(ValueError, match="shape must be at least 32 pixels"):
        make_terrain((31, 100))
    with pytest.raises(ValueError, match="n_frames must be at least 3; got 2"):
        make_terrain_drive(2)


@pytest.mark.parametrize("name", TERRAINS)
def test_every_terrain_alone(name):
    frames, roughness, terrain = make_terrain_drive(5, terrains=[name], random_state=0)
    assert frames.std() > 1 and (roughness > 0.05).all() and not terrain.any()


# ---- what learns ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stream():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STREAM.parent)
        return runpy.run_path(str(STREAM))


def test_a_diverse_buffer_is_bounded_and_keeps_what_is_old(stream):
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(200, 4)), rng.normal(size=(400, 4)) + [10, 0, 0, 0]
    kept = {}
    for keep in ("diverse", "latest"):
        learner = stream["Learner"](100, keep)
        for Z in np.concatenate([old, new]).reshape(-1, 10, 4):
            learner.add(Z, Z[:, 1])
            assert len(learner.y) == len(learner.Z) <= 200
        assert np.array_equal(learner.y, learner.Z[:, 1])
        kept[keep] = (learner.Z[:, 0] < 5).sum()
    assert kept["diverse"] > 30 and kept["latest"] == 0


@pytest.mark.parametrize("events", [False, True])
def test_a_minute_of_stream_beats_a_constant_and_colours(stream, events):
    frames, y = stream["drive"](events, 600, 1)
    test, y_test = stream["drive"](events, 300, 2)
    new, _ = stream["drive"](events, 100, 3, ["cobbles"])
    encoder = stream["make_encoder"](events, 1).fit(frames)
    Z, learner = encoder.transform(frames), stream["Learner"]()
    for second in range(60):
        now = slice(10 * second, 10 * second + 10)
        learner.add(Z[now], y[now])
        learner.replay()
    ridge = stream["ridge"]().fit(stream["mean_colour"](frames), y)
    colour = stream["rmse"](ridge.predict(stream["mean_colour"](test)), y_test)
    rival = min(colour, stream["rmse"](y.mean(), y_test))
    assert max(dict(learner.errors("", encoder.transform(test), y_test)).values()) < 0.65 * rival
    old_and_new = encoder.transform(test), encoder.transform(new)
    assert stream["novelty"](Z, *old_and_new) > 0.9
