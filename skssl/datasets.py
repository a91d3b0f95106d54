"""Small generators of data to try things on, made from what ships with scikit-learn."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import check_random_state

SIDE = 8  # pixels of a digit


def make_moving_digits(
    n_clips: int = 1000, n_frames: int = 12, *, size: int = 20, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make clips of handwritten digits that move straight on and bounce off the walls.

    A small Moving MNIST [1]_ from scikit-learn's digits of 8 x 8 pixels: one digit a clip,
    which goes up to two pixels a frame each way and never stands still.

    Parameters
    ----------
    n_clips : int, default=1000
        Number of clips.
    n_frames : int, default=12
        Frames of a clip.
    size : int, default=20
        Height and width of a frame in pixels, at least 9.
    random_state : int, RandomState instance or None, default=None
        Seeds which digits are drawn, where they start and where they go.

    Returns
    -------
    clips : ndarray of shape (n_clips, n_frames, size, size), uint8
        The clips, black where there is no digit.
    digits : ndarray of shape (n_clips,), int
        Which digit it is, from 0 to 9.
    velocities : ndarray of shape (n_clips, 2), int
        Pixels a frame, down and to the right, as the clip begins; a wall turns one of them
        round.

    Raises
    ------
    ValueError
        If a frame has no room for a digit to move.

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
    at = np.minimum(at, 2 * room - at)  # there and back again: (n_clips, n_frames, 2)
    inside = at[..., None] + np.arange(SIDE)
    clips = np.zeros((n_clips, n_frames, size, size), np.uint8)
    clip, frame = np.ogrid[:n_clips, :n_frames]
    rows, columns = inside[:, :, 0, :, None], inside[:, :, 1, None, :]
    clips[clip[..., None, None], frame[..., None, None], rows, columns] = bytes_of[:, None]
    return clips, target[chosen], velocities
