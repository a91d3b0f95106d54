import numpy as np
import pytest
import torch

from skssl._weights import DIGESTS, FOLDER, read_weights, write_weights

SETTINGS = {"width": 4, "numeric": "plain"}


@pytest.fixture
def state():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4)).state_dict()


def test_what_is_written_is_read(tmp_path, state):
    digest = write_weights(tmp_path / "net.npz", SETTINGS, state)
    settings, found = read_weights(tmp_path / "net.npz", digest)
    assert settings == SETTINGS
    assert list(found) == list(state)
    for name, weight in found.items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, state[name].half().float(), rtol=0, atol=0)


def test_the_same_weights_have_the_same_digest(tmp_path, state):
    digests = [write_weights(tmp_path / f"{i}.npz", SETTINGS, state) for i in range(2)]
    assert digests[0] == digests[1]
    state["0.weight"] = state["0.weight"] + 0.1
    assert write_weights(tmp_path / "2.npz", SETTINGS, state) != digests[0]


def test_a_damaged_file_is_refused(tmp_path, state):
    path = tmp_path / "net.npz"
    digest = write_weights(path, SETTINGS, state)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"SHA-256 is \w+, expected \w+. Install skssl again"):
        read_weights(path, digest)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(ValueError, match="are missing; install skssl again"):
        read_weights(tmp_path / "net.npz", "")


def test_objects_are_not_unpickled(tmp_path):
    import hashlib

    path = tmp_path / "net.npz"
    np.savez(path, weight=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_weights(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("bad", [float("nan"), 1e6])
def test_weights_that_float16_cannot_hold_are_refused(tmp_path, state, bad):
    state["0.bias"][0] = bad
    with pytest.raises(ValueError, match="0.bias do not fit float16"):
        write_weights(tmp_path / "net.npz", SETTINGS, state)


def test_the_digests_are_those_of_the_files_in_the_package():
    assert {path.stem for path in FOLDER.glob("*.npz")} == set(DIGESTS)
    for name, digest in DIGESTS.items():
        read_weights(FOLDER / f"{name}.npz", digest)
