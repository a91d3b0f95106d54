"""What each modality takes: its reader, its scaler, its encoder. The one place that says so."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from skssl._data import (
    MAKE_AUDIO,
    MAKE_BAGS,
    MAKE_CLIPS,
    MAKE_IMAGES,
    MAKE_SERIES,
    MAKE_TEXT,
    MAKE_TOKENS,
    AudioReader,
    BagReader,
    ImageReader,
    SeriesReader,
    Source,
    TableReader,
    TextReader,
    TokenReader,
    VideoReader,
    event_columns,
    infer_modality,
    lies_outside,
    open_source,
)
from skssl._training._loop import auto_batch
from skssl.encoders import (
    AudioScaler,
    EventScaler,
    ImageScaler,
    QuantileScaler,
    SeriesScaler,
    event_encoder,
    image_encoder,
    series_encoder,
    table_encoder,
    token_encoder,
    video_encoder,
    video_scaler,
)
from skssl.views import (
    View,
    clip_views,
    image_views,
    random_chunk,
    random_slice,
    series_views,
    swap_cells,
)


@dataclass(frozen=True)
class Modality:
    """How data of one modality becomes a tensor, and then an embedding.

    Parameters
    ----------
    noun : str
        What such data are called, for error messages.
    reader : class
        Its instances have ``fit(X, *more)``, ``read(X, ensure_min_samples)``, ``columns`` and
        ``modality``. Its optional arguments are the estimator's parameters of those names.
    scaler : callable
        From the tensor read and its columns to a module; optional arguments as above.
    encoder : callable
        From ``encoder``, scaled tensor, columns and ``n_components`` to a module; optional
        arguments as above.
    table : callable
        From X to the array or frame whose columns scikit-learn shall count and name, or None.
    augment : callable
        From the name that ``views`` has, and scaled data, to a random alteration.
    make : str
        How to come by such data, for error messages.
    read_by : str, default=""
        Who reads such data, for error messages.
    scales_batches : bool, default=False
        Whether data stays in memory as it is read and is scaled batch by batch.
    has_places : bool, default=False
        Whether rows are so long that a default fit is bounded by the places it reads of them.
    """

    noun: str
    reader: Callable[..., Any]
    scaler: Callable[..., nn.Module]
    encoder: Callable[..., nn.Module]
    table: Callable[[Any], Any]
    augment: Callable[[str, Tensor], View]
    make: str
    read_by: str = ""
    scales_batches: bool = False
    has_places: bool = False


def _two_dimensional(X: Any) -> Any:
    return X if getattr(X, "ndim", 2) == 2 else None  # of anything else the reader says what is


def _no_columns(X: Any) -> None:
    """Lengths may differ from one call to the next."""


def _only_auto(view: View) -> Callable[[str, Tensor], View]:
    """Return an ``augment`` that knows one alteration."""

    def augment(name: str, x: Tensor) -> View:
        if name != "auto":
            raise ValueError(
                f"views={name!r} are views of images, clips and series; X is something else. Pass "
                "views='auto', or a function that maps a batch to an altered one."
            )
        return view

    return augment


def _preset(views: Callable[..., View]) -> Callable[[str, Tensor], View]:
    """Return an ``augment`` that knows named chains, for data of one shape."""
    return lambda name, x: views("strong" if name == "auto" else name, tuple(x.shape[1:]))


MODALITIES = {
    "table": Modality(
        noun="tables",
        reader=TableReader,
        scaler=QuantileScaler,
        encoder=table_encoder,
        table=_two_dimensional,
        augment=_only_auto(partial(swap_cells, p=0.3)),
        make="Pass 2-D data or a DataFrame with one row per sample, or flatten each sample to a "
        "row.",
    ),
    "bags": Modality(
        noun="bags",
        reader=BagReader,
        scaler=EventScaler,
        encoder=event_encoder,
        table=event_columns,
        augment=_only_auto(random_slice),
        make=MAKE_BAGS,
        read_by="CoLES reads bags.",
    ),
    "image": Modality(
        noun="images",
        reader=ImageReader,
        scaler=ImageScaler,
        encoder=image_encoder,
        table=_two_dimensional,
        augment=_preset(image_views),
        make=MAKE_IMAGES,
        read_by="SimCLR and the methods beside it read images.",
        scales_batches=True,
    ),
    "video": Modality(
        noun="clips",
        reader=VideoReader,
        scaler=video_scaler,
        encoder=video_encoder,
        table=_no_columns,
        augment=_preset(clip_views),
        make=MAKE_CLIPS,
        read_by="NextFrame, SimCLR and the methods beside it read clips.",
        scales_batches=True,
        has_places=True,
    ),
    "text": Modality(
        noun="texts",
        reader=TextReader,
        scaler=nn.Identity,
        encoder=token_encoder,
        table=_no_columns,
        augment=_only_auto(random_chunk),
        make=MAKE_TEXT,
        read_by="TextContrast and MaskedLanguageModel read texts.",
        scales_batches=True,
    ),
    "tokens": Modality(
        noun="tokens",
        reader=TokenReader,
        scaler=nn.Identity,
        encoder=token_encoder,
        table=_no_columns,
        augment=_only_auto(random_chunk),
        make=MAKE_TOKENS,
        read_by="MaskedLanguageModel, NextToken and TextContrast read tokens.",
        scales_batches=True,
    ),
    "series": Modality(
        noun="series",
        reader=SeriesReader,
        scaler=SeriesScaler,
        encoder=series_encoder,
        table=_no_columns,
        augment=_preset(lambda preset, shape: series_views(preset)),
        make=MAKE_SERIES,
        read_by="SimCLR, TS2Vec and the methods beside them read series.",
        has_places=True,
    ),
    "audio": Modality(
        noun="waveforms",
        reader=AudioReader,
        scaler=AudioScaler,
        encoder=series_encoder,
        table=_no_columns,
        augment=_preset(lambda preset, shape: series_views(preset)),
        make=MAKE_AUDIO,
        read_by="HiddenUnit, CPC and SimCLR read waveforms, given their sampling_rate.",
        has_places=True,
    ),
}


def rows_a_step(method: Any, x: Tensor) -> int:
    """Return ``batch_size``; ``"auto"`` is the method's default, or follows the size of a row."""
    own = (size for size in (method.batch_size, type(method).batch_size) if size != "auto")
    return next(own, auto_batch(x[0].numel()))


def parameters_of(function: Callable[..., Any], estimator: Any) -> dict[str, Any]:
    """Return the optional arguments of a function that an estimator has parameters for."""
    arguments = inspect.signature(function).parameters.values()
    optional = (a.name for a in arguments if a.default is not a.empty)
    return {name: getattr(estimator, name) for name in optional if hasattr(estimator, name)}


ALSO = {"table": "tokens", "image": "video"}  # what data of so many dimensions may be, too


def modality_of(X: Any, estimator: Any) -> str:
    """Return the modality of X for an estimator whose parameters, or modalities, may say it."""
    is_flat_image = getattr(estimator, "image_shape", None) is not None
    modality = getattr(estimator, "modality", "auto")
    if modality == "auto" and getattr(estimator, "sampling_rate", None) is not None:
        return "audio"
    found = infer_modality(X, modality, is_flat_image=is_flat_image)
    wanted = getattr(estimator, "_modalities", ())
    if modality == "auto" and found not in wanted and ALSO.get(found) in wanted:
        return ALSO[found]
    return found


def open_if_outside(X: Any, estimator: Any) -> Any:
    """Return X, or what reads it part by part where it is a table outside memory."""
    if not lies_outside(X) or "table" not in getattr(estimator, "_modalities", ()):
        return X
    is_said = estimator.modality == "table"
    is_other = getattr(estimator, "image_shape", None) is not None or len(_shape(X)) != 2
    return open_source(X) if is_said or (estimator.modality == "auto" and not is_other) else X


def read_if_small(X: Any, estimator: Any) -> Any:
    """Return X, read whole where it is outside memory but small enough, as ``fit`` wants it."""
    source = open_if_outside(X, estimator)
    return source.read_if_small() if isinstance(source, Source) else source


def _shape(X: Any) -> tuple[int, ...]:
    return getattr(X, "shape", (0, 0))  # files, datasets and batches are tables


def nouns(modalities: Iterable[str]) -> str:
    """Return what data of some modalities are called."""
    return " or ".join(MODALITIES[modality].noun for modality in modalities)


def wrong_modality(estimator: Any, wanted: tuple[str, ...], found: str) -> ValueError:
    """Return the error of an estimator that reads other modalities."""
    hints = [MODALITIES[modality].make for modality in wanted]
    hints += [MODALITIES[found].read_by] if MODALITIES[found].read_by else []
    return ValueError(
        f"{type(estimator).__name__} reads {nouns(wanted) or 'nothing'}; X looks like "
        f"modality={found!r}. {' '.join(hints)}"
    )
