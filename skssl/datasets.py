"""Small generators of example data: digits that move, spoken words, terrain and drives over it."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import fourier_gaussian, gaussian_filter1d
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


PIXEL = 0.05  # metres of ground
PATCH = 32  # pixels per side of what the camera sees
STEP = 12  # pixels per frame: 0.6 m, or 6 m/s at ten frames per second
WHEELS = [4, 8, 12, 20, 24, 28]  # rows of a patch under the two wheels
TERRAINS = {  # colour; rms height in cm and its scale in pixels; contrast of the albedo, its scale
    "asphalt": ((122, 119, 116), 0.08, 1.2, 0.10, 0.7),
    "gravel": ((124, 119, 112), 0.6, 1.3, 0.06, 1.0),
    "sand": ((186, 160, 118), 0.18, 2.0, 0.04, 0.7),
    "stones": ((180, 156, 118), 1.0, 2.2, 0.08, 2.0),
    "lawn": ((92, 119, 63), 0.15, 1.8, 0.22, 0.8),
    "tussocks": ((95, 117, 66), 1.3, 2.2, 0.12, 1.5),
    "cobbles": ((121, 118, 114), 0.8, 0.0, 0.06, 0.7),  # 0: a grid of stones
}
KNOWN_TERRAINS = ("asphalt", "gravel", "sand", "stones", "lawn", "tussocks")


def make_terrain(
    shape: tuple[int, int] = (256, 256),
    *,
    terrains: Sequence[str] = KNOWN_TERRAINS,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a map of patches of terrain: how it looks, and how it shakes a wheel.

    Each terrain has a colour, a pattern, and heights of a size and a scale of its own; the sun
    shades the heights, and a wheel that rolls over them is accelerated. Three colours come twice,
    smooth and rough, so that a mean colour says little about the roughness, and so does contrast:
    the pattern of a lawn is stronger than that of stones. The map is periodic.

    Parameters
    ----------
    shape : tuple of int, default=(256, 256)
        Height and width in pixels of 5 cm, each at least 32.
    terrains : sequence of str, default=("asphalt", "gravel", "sand", "stones", "lawn", "tussocks")
        The terrains on the map; there is one more, ``"cobbles"``.
    random_state : int, RandomState instance or None, default=None
        Seeds the patches and everything on them.

    Returns
    -------
    ground : ndarray of shape (height, width, 3), uint8
        The ground from above.
    acceleration : ndarray of shape (height, width), float32
        Vertical acceleration in m/s² of a sprung wheel that rolls to the right at 6 m/s. It grows
        with the square of the speed.
    terrain : ndarray of shape (height, width), int
        Position in ``terrains``.

    Raises
    ------
    ValueError
        If a terrain is unknown, or the map is smaller than a frame of :func:`make_terrain_drive`.

    Examples
    --------
    >>> from skssl.datasets import make_terrain
    >>> ground, acceleration, terrain = make_terrain((64, 96), random_state=0)
    >>> ground.shape, acceleration.shape, terrain.shape
    ((64, 96, 3), (64, 96), (64, 96))
    """
    ground, acceleration, terrain = _lay(shape, terrains, check_random_state(random_state))
    return _as_bytes(ground), acceleration.astype(np.float32), terrain


def make_terrain_drive(
    n_frames: int = 600,
    *,
    terrains: Sequence[str] = KNOWN_TERRAINS,
    events: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make the frames of a camera on a vehicle, and the roughness that its wheels meet there.

    The vehicle crosses a map of :func:`make_terrain` at 6 m/s, with ten frames per second. A frame
    is 1.6 m of ground wide, and five eighths of it are on the next one, too. The light changes
    within seconds, in strength by a fifth and a little in colour.

    Parameters
    ----------
    n_frames : int, default=600
        Number of frames, at least 3; 600 are a minute.
    terrains : sequence of str, default=("asphalt", "gravel", "sand", "stones", "lawn", "tussocks")
        As in :func:`make_terrain`.
    events : bool, default=False
        Whether to return frames of an event camera: changes of the logarithm of the brightness
        within the last 5 cm, counted in steps of 5 %.
    random_state : int, RandomState instance or None, default=None
        Seeds the map, the light and the noise.

    Returns
    -------
    frames : ndarray of shape (n_frames, 32, 32, 3), uint8
        Colour images; with ``events``, of shape (n_frames, 32, 32, 1) and float32, the number of
        events, negative where it grows darker.
    roughness : ndarray of shape (n_frames,)
        Root mean square in m/s² of the vertical acceleration on the ground of each frame, noise of
        the sensor included. A vehicle measures it a moment later, when it is there.
    terrain : ndarray of shape (n_frames,), int
        Position in ``terrains`` of the centre of each frame.

    Raises
    ------
    ValueError
        If there are fewer than 3 frames, or a terrain is unknown.

    Examples
    --------
    >>> from skssl.datasets import make_terrain_drive
    >>> frames, roughness, terrain = make_terrain_drive(50, random_state=0)
    >>> frames.shape, roughness.shape, terrain.shape
    ((50, 32, 32, 3), (50,), (50,))
    """
    if n_frames * STEP < PATCH:
        raise ValueError(f"n_frames must be at least {-(-PATCH // STEP)}; got {n_frames}.")
    rng = check_random_state(random_state)
    ground, acceleration, terrain = _lay((2 * PATCH, n_frames * STEP), terrains, rng)
    at = (np.arange(n_frames)[:, None] * STEP + np.arange(PATCH)) % (n_frames * STEP)
    seen = ground[:PATCH, at].swapaxes(0, 1)
    if events:
        before = np.roll(ground, 1, 1)[:PATCH, at].swapaxes(0, 1)
        change = np.log(seen.mean(-1, keepdims=True)) - np.log(before.mean(-1, keepdims=True))
        noise = 0.3 * rng.normal(size=change.shape)
        frames = np.trunc(change / 0.05 + noise).astype(np.float32)
    else:
        light = 0.2 * _wander((n_frames, 1), rng) + 0.03 * _wander((n_frames, 3), rng)
        seen = seen * np.exp(light)[:, None, None]
        frames = _as_bytes(seen + 2 * rng.normal(size=seen.shape))
    shaken = np.square(acceleration[WHEELS][:, at]).mean((0, 2))
    return frames, np.sqrt(shaken + 0.05**2), terrain[PATCH // 2, at[:, PATCH // 2]]


def _lay(
    shape: tuple[int, int], terrains: Sequence[str], rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ground as floats, the acceleration on it, and which terrain is where."""
    if isinstance(terrains, str):
        raise ValueError(f"terrains must be a sequence of names; got {terrains!r}. Pass a list.")
    unknown = [name for name in terrains if name not in TERRAINS]
    if unknown or not len(terrains):
        raise ValueError(f"terrains must be some of {list(TERRAINS)}; got {list(terrains)}.")
    if min(shape) < PATCH:
        raise ValueError(f"shape must be at least {PATCH} pixels each way; got {tuple(shape)}.")
    terrain = np.argmax([_field(shape, 50, rng) for _ in terrains], axis=0)
    unevenness = np.exp(0.25 * _field(shape, 50, rng))
    height, ground = np.zeros(shape), np.zeros((*shape, 3))
    for i, name in enumerate(terrains):
        colour, rms, scale, contrast, grain = TERRAINS[name]
        share = _smooth(terrain == i, 2)
        height += share * rms * unevenness * (_field(shape, scale, rng) if scale else _grid(shape))
        tint = 1 + 0.06 * _field(shape, 25, rng)
        albedo = share * tint * (1 + contrast * _field(shape, grain, rng)).clip(min=0.1)
        ground += albedo[..., None] * np.array(colour)
    slope_x = np.roll(height, -1, 1) - np.roll(height, 1, 1)
    slope_y = np.roll(height, -1, 0) - np.roll(height, 1, 0)
    ground *= (1 + 0.09 * slope_x + 0.05 * slope_y).clip(0.2, 2)[..., None]
    bend = gaussian_filter1d(height, 2, axis=1, order=2, mode="wrap")  # cm per square pixel
    return ground.clip(1), 0.1 * bend / 100 / PIXEL**2 * 6.0**2, terrain


def _smooth(image: np.ndarray, scale: float) -> np.ndarray:
    """Blur a periodic image with a Gaussian."""
    waves = fourier_gaussian(np.fft.rfft2(image), scale, n=image.shape[1])
    return np.fft.irfft2(waves, s=image.shape)


def _field(shape: tuple[int, int], scale: float, rng: np.random.RandomState) -> np.ndarray:
    """Draw smooth noise of mean 0 and variance 1."""
    noise = _smooth(rng.normal(size=shape), scale)
    return (noise - noise.mean()) / noise.std()


def _grid(shape: tuple[int, int]) -> np.ndarray:
    """Return the heights of stones laid in bond, mean 0 and variance 1."""
    row, column = np.ogrid[: shape[0], : shape[1]]
    bond = column // 8 % 2 * 4
    stones = np.sqrt(np.abs(np.sin(np.pi * (row + bond) / 8) * np.sin(np.pi * column / 8)))
    return (stones - stones.mean()) / stones.std()


def _wander(shape: tuple[int, int], rng: np.random.RandomState) -> np.ndarray:
    """Draw columns that vary slowly, over about 20 rows, with variance 1."""
    noise = gaussian_filter1d(rng.normal(size=shape), 20, axis=0, mode="wrap")
    return noise * np.sqrt(2 * np.sqrt(np.pi) * 20)


def _as_bytes(images: np.ndarray) -> np.ndarray:
    return images.round().clip(0, 255).astype(np.uint8)
