"""Small generators of example data, based on data that scikit-learn ships."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import check_random_state

SIDE = 8  # pixels per side of a digit


def make_moving_digits(
    n_clips: int = 1000,
    n_frames: int = 12,
    *,
    size: int = 20,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make clips of handwritten digits that move in straight lines and bounce off the walls.

    A small Moving MNIST [1]_ from scikit-learn's digits of 8 x 8 pixels: one digit per clip,
    which moves up to two pixels per frame in each direction and never stands still.

    Parameters
    ----------
    n_clips : int, default=1000
        Number of clips.
    n_frames : int, default=12
        Number of frames in a clip.
    size : int, default=20
        Height and width of a frame in pixels, at least 9.
    random_state : int, RandomState instance or None, default=None
        Seeds the digits, their starting points and their velocities.

    Returns
    -------
    clips : ndarray of shape (n_clips, n_frames, size, size), uint8
        The clips, black where there is no digit.
    digits : ndarray of shape (n_clips,), int
        The digit in each clip, from 0 to 9.
    velocities : ndarray of shape (n_clips, 2), int
        Initial velocity in pixels per frame, down and to the right; a wall reverses one of the
        two.

    Raises
    ------
    ValueError
        If a frame is too small for a digit to move.

    References
    ----------
    .. [1] Srivastava, Mansimov and Salakhutdinov, "Unsupervised Learning of Video
       Representations Using LSTMs", ICML 2015. https://arxiv.org/abs/1502.04681

    Examples
    --------
    >>> from skssl.datasets import make_moving_digits
    >>> clips, digits, velocities = make_moving_digits(5, n_frames=3, random_state=0)
    >>> clips.shape, digits.shape, velocities.shape
    ((5, 3, 20, 20), (5,), (5, 2))
    """
    if size <= SIDE:
        raise ValueError(
            f"size must be at least {SIDE + 1} pixels for a digit of {SIDE}; got {size}."
        )
    rng = check_random_state(random_state)
    images, target = load_digits(return_X_y=True)
    chosen = rng.randint(len(images), size=n_clips)
    bytes_of = (images[chosen].reshape(-1, SIDE, SIDE) * (255 / 16)).round().astype(np.uint8)
    ways = np.array([(a, b) for a in range(-2, 3) for b in range(-2, 3) if (a, b) != (0, 0)])
    velocities = ways[rng.randint(len(ways), size=n_clips)]
    room = size - SIDE
    start = rng.randint(room + 1, size=(n_clips, 2))
    at = (start[:, None] + velocities[:, None] * np.arange(n_frames)[:, None]) % (2 * room)
    at = np.minimum(at, 2 * room - at)  # reflected at the walls: (n_clips, n_frames, 2)
    inside = at[..., None] + np.arange(SIDE)
    clips = np.zeros((n_clips, n_frames, size, size), np.uint8)
    clip, frame = np.ogrid[:n_clips, :n_frames]
    rows, columns = inside[:, :, 0, :, None], inside[:, :, 1, None, :]
    clips[clip[..., None, None], frame[..., None, None], rows, columns] = bytes_of[:, None]
    return clips, target[chosen], velocities


FORMANTS = np.array([(300, 2300), (700, 1200), (350, 800), (500, 1800), (2500, 3500)])  # Hz
WORDS = np.array([(0, 1, 4), (1, 0, 2), (2, 3, 0), (3, 2, 4), (4, 1, 3), (1, 3, 4)])


def make_spoken_words(
    n_samples: int = 300, *, random_state: int | np.random.RandomState | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Make waveforms of six words of three phones each, every one spoken by a new voice.

    A phone is a sum of harmonics around two formants. Pitch, the length of the vocal tract,
    loudness and the length of each phone differ from waveform to waveform.

    Parameters
    ----------
    n_samples : int, default=300
        Number of waveforms.
    random_state : int, RandomState instance or None, default=None
        Seeds the voices and a little noise.

    Returns
    -------
    X : ndarray of shape (n_samples, 3200), float32
        Waveforms of 0.4 seconds at 8000 samples per second.
    words : ndarray of shape (n_samples,), int
        The word in each waveform, from 0 to 5, in turn.

    Examples
    --------
    >>> from skssl.datasets import make_spoken_words
    >>> X, words = make_spoken_words(12, random_state=0)
    >>> X.shape, words
    ((12, 3200), array([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]))
    """
    rng = check_random_state(random_state)
    words = np.arange(n_samples) % len(WORDS)
    X = np.empty((n_samples, 3200), np.float32)
    for row, word in zip(X, words, strict=True):
        ends = np.cumsum(rng.uniform(0.2, 0.4, 3)) * 3200
        phone = WORDS[word][np.searchsorted(ends, np.arange(3200)).clip(max=2)]
        row[:] = rng.uniform(0.05, 0.2) * _voice(phone, rng) + 0.003 * rng.normal(size=3200)
    return X, words


def _voice(phone: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Synthesise the phone at each sample in a random voice."""
    hertz = np.arange(1, 40)[:, None] * rng.uniform(90, 220)
    low, high = FORMANTS[phone].T * rng.uniform(0.9, 1.1)
    loudness = np.exp(-(((hertz - low) / 150) ** 2)) + 0.5 * np.exp(-(((hertz - high) / 250) ** 2))
    angle = 2 * np.pi * hertz * np.arange(len(phone)) / 8000 + rng.uniform(0, 6, (39, 1))
    return (loudness * np.sin(angle) * (hertz < 3900)).sum(0)
