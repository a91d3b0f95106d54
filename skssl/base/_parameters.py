"""Parameters and attributes that methods share: their checks and their documentation."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform, get_args

import torch
from torch import Tensor, nn

from skssl._compat import Constraints, HasMethods, Interval, Options, StrOptions
from skssl._data._images import ChannelAxis
from skssl._data._table import CategoricalFeatures
from skssl.base._modalities import MODALITIES, modalities_with
from skssl.encoders._numbers import Numeric
from skssl.encoders._series import Pooling

T = TypeVar("T")

EncoderName = Literal[
    "auto", "ft_transformer", "resnet18", "vit", "transformer", "causal", "bag", "gru"
]
Encoder = EncoderName | nn.Module | Callable[[Tensor], nn.Module]
ViewsName = Literal["auto", "weak", "strong", "no_flip", "rotations"]
ViewsFunction = Callable[[Tensor], Tensor | Sequence[Tensor]]
UsersViews = ViewsName | ViewsFunction
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"] | str | torch.device

CONSTRAINTS: Constraints = {
    "n_components": [Interval(Integral, 1, 2**16, closed="both")],
    "encoder": [StrOptions(set(get_args(EncoderName))), callable],
    "views": [StrOptions(set(get_args(ViewsName))), callable],
    "modality": [StrOptions({"auto", *MODALITIES})],
    "max_epochs": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [None, Interval(Integral, 1, None, closed="left")],
    "compile": ["boolean"],
    "precision": [StrOptions(set(get_args(Precision)))],
    "device": [str, torch.device],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
    "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
    "numeric": [StrOptions(set(get_args(Numeric)))],
    "max_events": [Interval(Integral, 1, None, closed="left")],
    "image_shape": ["array-like", None],
    "channel_axis": [StrOptions({"auto"}), Options(Integral, {1, 2, 3, 4, -1})],
    "tokenizer": [StrOptions({"auto"}), HasMethods(["fit", "transform"])],
    "pad_token": [Interval(Integral, 0, None, closed="left"), None],
    "pooling": [StrOptions({"mean", "max"}), None],
    "sampling_rate": [Interval(Integral, 1, 2**20, closed="both"), None],
    "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
}

PARAMETER_DOCS = {
    "n_components": """n_components : int, default=256
    Width of the embedding made by the default encoder.""",
    "encoder": """encoder : str, torch.nn.Module or callable, default="auto"
    ``"auto"`` chooses an encoder by the modality and shape of X. ``"ft_transformer"`` is for
    tables: each cell attends to the other cells of its row, at a cost that grows with the square
    of their number. ``"resnet18"`` and ``"vit"`` are for images; ``"transformer"``, ``"causal"``
    (which reads earlier tokens only) and ``"bag"`` (the mean of token vectors, weighted by
    rarity) for texts and tokens. A module is copied. A callable receives the input of the
    module, scaled floats of shape (n, n_inputs) or (n, channels, height, width), or tokens
    (n, length), and returns a module.""",
    "views": """views : str or callable, default="auto"
    ``"auto"`` is the default of the method. For random alterations of images there are also
    ``"weak"``, ``"strong"``, ``"no_flip"`` (for digits and signs) and ``"rotations"`` (for cells
    and satellite images). A callable maps a batch to an altered batch, or to a list of them:
    scaled images (n, channels, height, width), table rows of scaled numbers, category codes and
    NaN, or tokens (n, length), where 0 is padding.""",
    "modality": """modality : str, default="auto"
    What X is: ``"auto"`` tells a table by its two dimensions or by being a dataframe, bags by
    their dtype, images by four dimensions, or three of bytes, series by three of floats, and
    clips by five. Floats (n, height, width) whose sides are at least 8 and within a factor of 2
    may be images as well: methods whose paper is about images take them as images, with a
    warning. Say ``"video"`` for clips without channels, (n, time, height, width), unless the
    method reads clips only.""",
    "max_epochs": """max_epochs : "auto" or int, default="auto"
    Number of passes over X. ``"auto"`` is a budget of 1 500 to 6 000 steps: ten passes in
    between. On series, audio and video it also ends when ten million places have been read:
    steps, or the stretches or patches that the encoder makes of them, or squares of 4 x 4
    pixels. 0 leaves the encoder untrained: the baseline that training has to beat.""",
    "batch_size": """batch_size : "auto" or int, default="auto"
    Rows per step; all of them if there are fewer. ``"auto"`` is 256, halved, down to 32, while a
    batch would have more than 16 million numbers: 64 images of 224 x 224 pixels and three
    channels. A last ragged batch is dropped.""",
    "learning_rate": """learning_rate : float, default=1e-3
    Peak learning rate of AdamW, after a linear warm-up and before a cosine decay.""",
    "weight_decay": """weight_decay : float, default=1e-4
    Weight decay of AdamW.""",
    "validation_fraction": """validation_fraction : float, default=0.1
    Share of the rows that is held out for early stopping if ``n_iter_no_change`` is set.""",
    "n_iter_no_change": """n_iter_no_change : int or None, default=None
    Stop after this number of epochs without a lower loss on the held-out rows, whose views stay
    the same, and keep the best weights. None trains for ``max_epochs``.""",
    "precision": """precision : "auto", "float32" or "bfloat16", default="auto"
    Precision of training steps; ``"auto"`` is bfloat16 if the hardware supports it natively.
    ``transform`` is always float32.""",
    "compile": """compile : bool, default=False
    Whether to compile the encoder with ``torch.compile`` for training. Compiling takes ten
    seconds or more and, on a CPU, needs a C++ compiler; it may pay in fits of minutes with
    convolutional nets.""",
    "device": """device : str or torch.device, default="auto"
    Where to train; ``"auto"`` takes an accelerator if there is one. The fitted encoder
    comes back to the CPU.""",
    "warm_start": """warm_start : bool, default=False
    Whether ``fit`` continues from the last ``fit`` instead of starting again.""",
    "verbose": """verbose : bool or int, default=False
    Whether to print a line per epoch, with the remaining time. If the first epoch takes longer
    than a second, a line before it tells how long the fit takes.""",
    "random_state": """random_state : int, RandomState instance or None, default=None
    Seeds weights, batches and views; global random states are neither read nor changed.""",
    "categorical_features": """categorical_features : "from_dtype", array-like or None, \
default="from_dtype"
    The columns of a table that are categories: by dtype (category, Enum, bool, str, object of
    str), or as names, indices or a boolean mask; None for no categories.""",
    "numeric": """numeric : {"plain", "piecewise-linear", "periodic"}, default="plain"
    Numeric embedding of the numbers of a table: the scaled number only; in addition the share of
    each of 8 quantile bins that lies below it, which helps if targets have steps; or in addition
    learned sines and cosines of it, which cost more and are smoother.""",
    "max_events": """max_events : int, default=512
    Read at most so many events of each sequence, the last ones.""",
    "image_shape": """image_shape : tuple of int or None, default=None
    (height, width) of images that are passed as rows of pixels, with the number of channels
    first or last if there are any.""",
    "channel_axis": """channel_axis : {"auto", 1, 2, -1}, default="auto"
    Axis of the channels in images (n, ...) of four dimensions, or in clips (n, time, ...) of
    five: the first or the last axis of an image. ``"auto"`` takes the axis that is shorter than
    height and width, and raises if there is no such axis.""",
    "sampling_rate": """sampling_rate : int or None, default=None
    Samples per second of waveforms (n, time), which are read as log-mel spectrograms with 100
    frames per second and 40 bands. None for any other data.""",
    "tokenizer": """tokenizer : "auto" or estimator, default="auto"
    Turns texts into token ids; a clone of it is fitted. ``"auto"`` is
    :class:`skssl.TextTokenizer` with its defaults. Not used for token arrays.""",
    "pad_token": """pad_token : int or None, default=0
    The id of padding in token arrays; None if every id is a token.""",
    "pooling": """pooling : {"mean", "max"} or None, default="mean"
    How ``transform`` pools the steps or tokens of a sample to one row; None keeps them, and the
    embedding has shape (n_samples, n_steps, n_components), with NaN where a series or a waveform
    has no step, before its first and behind its last, and 0 at padding of tokens.""",
    "contamination": """contamination : "auto" or float, default="auto"
    Share of the training rows that ``predict`` labels as outliers. ``"auto"`` labels rows whose
    score is more than 1.5 interquartile ranges below the first quartile. Scores do not depend on
    it.""",
}


ATTRIBUTE_DOCS = {
    "encoder_": """encoder_ : torch.nn.Sequential
    Scaler and encoder, on the CPU in evaluation mode: maps the tensor that X is read as to the
    embedding.""",
    "views_": """views_ : callable
    Maps a batch, as read by the encoder in training, to the list of its views.""",
    "loss_curve_": """loss_curve_ : list of float
    Mean loss of each epoch; an epoch longer than 2 000 steps has several entries.""",
    "validation_loss_curve_": """validation_loss_curve_ : list of float
    Held-out loss after each epoch; only with ``n_iter_no_change``.""",
    "probe_curves_": """probe_curves_ : dict of str to list of float
    Values of :class:`skssl.callbacks.ProbeMonitor` and :class:`skssl.callbacks.EarlyStopping`,
    by the name of the scorer; only with these callbacks.""",
    "n_iter_": """n_iter_ : int
    Number of entries of ``loss_curve_``.""",
    "n_features_in_": """n_features_in_ : int
    Number of columns seen in ``fit``.""",
    "feature_names_in_": """feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the columns seen in ``fit``, if X had names that are all strings.""",
}


_AFTER_ATTRIBUTES = ("See Also", "Notes", "References", "Examples")


def document(
    doc: str | None, parameters: dict[str, str], attributes: dict[str, str], names: set[str]
) -> str | None:
    """Insert the shared parameters of a class, and the attributes, into its numpydoc text.

    A parameter or attribute that the class documents itself is unchanged.
    """
    if doc is None:
        return None
    text = inspect.cleandoc(doc)
    parameters = {name: entry for name, entry in parameters.items() if name in names}
    text = _fill(text, "Parameters", parameters, before=("Attributes", *_AFTER_ATTRIBUTES))
    return _fill(text, "Attributes", attributes, before=_AFTER_ATTRIBUTES)


def _fill(text: str, title: str, entries: dict[str, str], before: tuple[str, ...]) -> str:
    if not entries:
        return text
    sections = text.split("\n\n")
    headed = {part.split("\n", 1)[0]: i for i, part in enumerate(sections) if "\n---" in part}
    if title not in headed:
        at = min((headed[name] for name in before if name in headed), default=len(sections))
        sections.insert(at, f"{title}\n{'-' * len(title)}")
        headed[title] = at
    at = headed[title]
    missing = [entry for name, entry in entries.items() if f"\n{name} : " not in sections[at]]
    sections[at] = "\n".join([sections[at], *missing])
    return "\n\n".join(sections)


@dataclass_transform(kw_only_default=True, eq_default=False)
def declares_parameters(cls: type[T]) -> type[T]:
    """Make a mixin's fields parameters, and document those that it does not document itself."""
    dataclass(kw_only=True, eq=False, repr=False)(cls)
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    cls.__doc__ = document(cls.__doc__, PARAMETER_DOCS, {}, names)
    return cls


@declares_parameters
class ReadsTables:
    """Mixin for methods that read tables: ``x`` is (n, n_columns), with codes and NaN in it."""

    categorical_features: CategoricalFeatures = "from_dtype"
    numeric: Numeric = "plain"

    _modalities: ClassVar[tuple[str, ...]] = ("table",)


@declares_parameters
class ReadsEvents(ReadsTables):
    """Mixin for methods that read event sequences: ``x`` is (n, longest, n_columns).

    The last column is the time since the previous event, NaN where there is no event.
    """

    max_events: int = 512

    _modalities: ClassVar[tuple[str, ...]] = ("bags",)


@declares_parameters
class ReadsImages:
    """Mixin for methods that read images: ``x`` is (n, channels, height, width)."""

    image_shape: Sequence[int] | None = None
    channel_axis: ChannelAxis = "auto"

    _modalities: ClassVar[tuple[str, ...]] = ("image",)


@declares_parameters
class ReadsVideo:
    """Mixin for methods that read video by frames: ``x`` is (n, time, channels, height, width)."""

    channel_axis: ChannelAxis = "auto"
    pooling: Pooling = "mean"

    _modalities: ClassVar[tuple[str, ...]] = ("video",)


@declares_parameters
class ReadsSeries:
    """Mixin for methods that read time series step by step: ``x`` is (n, channels, time)."""

    pooling: Pooling = "mean"
    sampling_rate: int | None = None

    _modalities: ClassVar[tuple[str, ...]] = ("series", "audio")


@declares_parameters
class ReadsAudio:
    """Mixin for methods that read audio: ``x`` is a spectrogram, (n, bands, time).

    Parameters
    ----------
    sampling_rate : int, default=16_000
        Samples per second.
    """

    pooling: Pooling = "mean"
    sampling_rate: int = 16_000

    _modalities: ClassVar[tuple[str, ...]] = ("audio",)


@declares_parameters
class ReadsAll(ReadsTables, ReadsImages):
    """Mixin for methods that need only altered views: tables, images, video, series, audio."""

    sampling_rate: int | None = None

    _modalities: ClassVar[tuple[str, ...]] = tuple(modalities_with("altered"))


@declares_parameters
class ReadsTokens:
    """Mixin for methods that read text: ``x`` is (n, length), of token ids, 0 at padding."""

    tokenizer: Literal["auto"] | Any = "auto"  # or an estimator with fit and transform
    pad_token: int | None = 0
    pooling: Pooling = "mean"

    _modalities: ClassVar[tuple[str, ...]] = ("text", "tokens")
