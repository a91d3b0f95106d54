"""The modalities: one row for each, and nothing about them anywhere else."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
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
    TableReader,
    TextReader,
    TokenReader,
    VideoReader,
    event_columns,
    is_bags,
    is_frame,
    is_list_of_arrays,
    is_pictures,
    is_ragged,
    is_text,
)
from skssl._data._reader import Reader
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

if TYPE_CHECKING:
    from skssl.base._transformer import SSLTransformer

ModalityName = Literal[
    "auto", "table", "bags", "image", "video", "series", "audio", "text", "tokens"
]


def _never(X: Any, other: Any) -> bool:
    return False


def _unchanged(x: Tensor) -> Tensor:
    return x


def _channels_last(x: Tensor) -> Tensor:
    return x.movedim(-3, -1)


@dataclass(frozen=True, kw_only=True)
class Modality:
    """How data of one modality are recognised, read, embedded, altered, named and drawn.

    What is defined in a room above this one is given by its name, such as
    ``"skssl.MultiTask"``, and looked up by :func:`look_up` when it is used; ``""`` is none.

    Parameters
    ----------
    reader : class
        Its instances have ``fit(X, *more)``, ``read(X, ensure_min_samples)`` and ``columns``; its
        ``modality`` is the name of the modality. Its optional arguments are the estimator's
        parameters of those names.
    scaler : callable
        From the tensor read and its columns to a module; optional arguments as above.
    encoder : callable
        From ``encoder``, scaled tensor, columns and ``n_components`` to a module; optional
        arguments as above.
    table : callable
        From X to the array or frame whose columns scikit-learn shall count and name, or None.
    augment : callable
        From the name in ``views``, and scaled data, to a random alteration.
    noun : str
        What such data are called, for error messages.
    make : str
        How to pass such data, for error messages.
    read_by : str, default=""
        Which methods read such data, for error messages.
    tags : tuple of str, default=()
        The input tags of scikit-learn that are true of estimators that read such data.
    is_table : bool, default=False
        Whether a row consists of cells, one for each column, and columns have meanings.
    is_container, is_array : callable
        Whether X holds such data, by its type alone, and by its dimensions and dtype if it is an
        array; by default never. Both get X and whether ``told_by`` says that this is the modality.
    told_by : str, default=""
        The parameter of estimators that, where it is not None, says that X is such data.
    also : str, default=""
        The modality that X may be as well, for estimators that do not read this one.
    may_be : callable
        Whether X may be such data to estimators that do not read what it is by ``is_array``; by
        default never. Gets X as the user passed it, and as an array.
    is_doubtful : bool, default=False
        Whether methods about another modality that an array of this one may be read it as that.
    altered : bool, default=False
        Whether methods that ask nothing but random alterations of the data read it.
    gentle : str, default=""
        The name of the views that fine-tuning takes by default; "" is none.
    scales_batches : bool, default=False
        Whether data stays in memory as it is read and is scaled batch by batch.
    has_places : bool, default=False
        Whether rows are so long that a default fit is bounded by the places it reads of them.
    method : str, default="skssl.MultiTask"
        The method that meta-estimators take where none is given.
    method_parameters : dict
        Its parameters; by default none.
    outlier_method : str, default=""
        The method that detectors of outliers take in place of that, if any.
    reconstruction_method : str, default=""
        The method that outlier detection by reconstruction takes, where there is one.
    raw_columns : str, default=""
        The encoder of the raw columns that are joined to the embedding, if any.
    labels_to_fine_tune : int or None, default=None
        Number of labels from which the default classifier is fine-tuned as well, if any.
    onnx : str, default=""
        How an ONNX graph reads such data, where it can.
    no_onnx : str, default=""
        Why it cannot, and what to do.
    n_views_shown, n_reconstructions_shown : int, default=0
        Number of rows that the Displays draw by default; 0 draws none.
    as_drawn : callable
        From a batch in its own units to the layout of the Displays; by default unchanged.
    has_thumbnails : bool, default=False
        Whether a row is an image, which can be drawn on a map of the embedding.
    """

    reader: type[Reader]
    scaler: Callable[..., nn.Module]
    encoder: Callable[..., nn.Module]
    table: Callable[[Any], Any]
    augment: Callable[[str, Tensor], View]
    noun: str
    make: str
    read_by: str = ""
    tags: tuple[str, ...] = ()
    is_table: bool = False
    is_container: Callable[[Any, bool], bool] = _never
    is_array: Callable[[Any, bool], bool] = _never
    told_by: str = ""
    also: str = ""
    may_be: Callable[[Any, Any], bool] = _never
    is_doubtful: bool = False
    altered: bool = False
    gentle: str = ""
    scales_batches: bool = False
    has_places: bool = False
    method: str = "skssl.MultiTask"
    method_parameters: Mapping[str, Any] = field(default_factory=dict)
    outlier_method: str = ""
    reconstruction_method: str = ""
    raw_columns: str = ""
    labels_to_fine_tune: int | None = None
    onnx: str = ""
    no_onnx: str = ""
    n_views_shown: int = 0
    n_reconstructions_shown: int = 0
    as_drawn: Callable[[Tensor], Tensor] = _unchanged
    has_thumbnails: bool = False


def _two_dimensional(X: Any) -> Any:
    is_column = len(getattr(X, "shape", (0, 0))) != 2 or hasattr(X, "to_pylist") > is_frame(X)
    return None if is_column else X  # the reader raises for anything else


def _no_columns(X: Any) -> None:
    """Lengths may differ from one call to the next."""


def _of_dimensions(n: int) -> Callable[[Any, bool], bool]:
    return lambda X, is_told: len(X.shape) == n


def _is_images(X: Any, is_told: bool) -> bool:
    """Tell images, of bytes where there are no channels; rows of pixels have to be told."""
    n = len(X.shape)
    return n == 4 or (n == 3 and X.dtype == np.uint8) or (n in (2, 3) and is_told)


def _may_be_images(X: Any, array: Any) -> bool:
    """Tell whether X may be images of numbers without channels, by the lengths of their sides."""
    if len(array.shape) != 3 or array.dtype.kind not in "fiuO":
        return False
    low, high = sorted(array.shape[1:])
    return low >= 8 and high <= 2 * low


def _may_be_series(X: Any, array: Any) -> bool:
    """Tell whether X may be series: a list of arrays of one length, or integers."""
    if len(array.shape) == 2:
        return is_list_of_arrays(X)
    return len(array.shape) == 3 and array.dtype.kind in "iubO" and array.dtype != np.uint8


def _only_auto(view: View) -> Callable[[str, Tensor], View]:
    """Return an ``augment`` that has one alteration, without a name."""

    def augment(name: str, x: Tensor) -> View:
        if name != "auto":
            raise ValueError(
                f"views={name!r} are views of {nouns(modalities_with('gentle'))}; X is something "
                "else. Pass views='auto', or a function that maps a batch to an altered one."
            )
        return view

    return augment


def _preset(views: Callable[..., View]) -> Callable[[str, Tensor], View]:
    """Return an ``augment`` that has named chains, for data of one shape."""
    return lambda name, x: views("strong" if name == "auto" else name, tuple(x.shape[1:]))


_ROWS = (
    Modality(
        reader=TableReader,
        scaler=QuantileScaler,
        encoder=table_encoder,
        table=_two_dimensional,
        augment=_only_auto(partial(swap_cells, p=0.3)),
        noun="tables",
        make="Pass 2-D data or a DataFrame with one row per sample, or flatten each sample to a "
        "row.",
        tags=("two_d_array", "allow_nan", "categorical"),
        is_table=True,
        is_container=lambda X, is_told: is_frame(X),
        is_array=_of_dimensions(2),
        also=TokenReader.modality,
        altered=True,
        outlier_method="skssl.DenoisingAutoencoder",
        reconstruction_method="skssl.DenoisingAutoencoder",
        raw_columns="skssl._meta._raw_columns.RawColumns",
        onnx="skssl.persistence._onnx_inputs.TableInput",
        n_views_shown=30,
        n_reconstructions_shown=500,
    ),
    Modality(
        reader=BagReader,
        scaler=EventScaler,
        encoder=event_encoder,
        table=event_columns,
        augment=_only_auto(random_slice),
        noun="bags",
        make=MAKE_BAGS,
        read_by="CoLES reads bags.",
        is_container=lambda X, is_told: is_bags(X),
        no_onnx="Each of its rows is a table of events of its own length. Save it with skssl.save.",
    ),
    Modality(
        reader=ImageReader,
        scaler=ImageScaler,
        encoder=image_encoder,
        table=_two_dimensional,
        augment=_preset(image_views),
        noun="images",
        make=MAKE_IMAGES,
        read_by="SimCLR and the methods beside it read images.",
        tags=("three_d_array",),
        is_container=lambda X, is_told: (is_told and is_frame(X)) or is_pictures(X),
        is_array=_is_images,
        told_by="image_shape",
        also=VideoReader.modality,
        may_be=_may_be_images,
        altered=True,
        gentle="weak",
        scales_batches=True,
        method="skssl.SimCLR",
        method_parameters={"n_components": 512},
        reconstruction_method="skssl.MaskedAutoencoder",
        raw_columns="skssl._meta._raw_columns.RawPixels",
        labels_to_fine_tune=300,  # fewer are better off with a frozen encoder
        onnx="skssl.persistence._onnx_inputs.ImageInput",
        n_views_shown=8,
        n_reconstructions_shown=8,
        as_drawn=_channels_last,
        has_thumbnails=True,
    ),
    Modality(
        reader=VideoReader,
        scaler=video_scaler,
        encoder=video_encoder,
        table=_no_columns,
        augment=_preset(clip_views),
        noun="clips",
        make=MAKE_CLIPS,
        read_by="NextFrame, SimCLR and the methods beside it read clips.",
        is_array=_of_dimensions(5),
        altered=True,
        gentle="weak",
        scales_batches=True,
        has_places=True,
        method="skssl.SimCLR",
        onnx="skssl.persistence._onnx_inputs.ImageInput",
        n_views_shown=3,
        as_drawn=_channels_last,
    ),
    Modality(
        reader=SeriesReader,
        scaler=SeriesScaler,
        encoder=series_encoder,
        table=_no_columns,
        augment=_preset(lambda preset, shape: series_views(preset)),
        noun="series",
        make=MAKE_SERIES,
        read_by="SimCLR, TS2Vec and the methods beside them read series.",
        tags=("three_d_array",),
        is_container=lambda X, is_told: is_ragged(X),
        is_array=lambda X, is_told: len(X.shape) == 3 and X.dtype.kind == "f",
        may_be=_may_be_series,
        is_doubtful=True,
        altered=True,
        gentle="weak",
        has_places=True,
        method="skssl.TS2Vec",
        raw_columns="skssl._meta._raw_columns.RawSeries",
        onnx="skssl.persistence._onnx_inputs.SeriesInput",
        n_views_shown=5,
    ),
    Modality(
        reader=AudioReader,
        scaler=AudioScaler,
        encoder=series_encoder,
        table=_no_columns,
        augment=_preset(lambda preset, shape: series_views(preset)),
        noun="waveforms",
        make=MAKE_AUDIO,
        read_by="HiddenUnit, CPC and SimCLR read waveforms, given their sampling_rate.",
        is_container=lambda X, is_told: is_told,
        told_by="sampling_rate",
        altered=True,
        gentle="weak",
        has_places=True,
        raw_columns="skssl._meta._raw_columns.RawBands",
        onnx="skssl.persistence._onnx_inputs.AudioInput",
        n_views_shown=4,
        as_drawn=lambda x: x.flip(1)[..., None],  # spectrograms, low bands below
    ),
    Modality(
        reader=TextReader,
        scaler=nn.Identity,
        encoder=token_encoder,
        table=_no_columns,
        augment=_only_auto(random_chunk),
        noun="texts",
        make=MAKE_TEXT,
        read_by="TextContrast and MaskedLanguageModel read texts.",
        tags=("string",),
        is_array=lambda X, is_told: len(X.shape) == 1 and is_text(X),
        scales_batches=True,
        method="skssl.TextContrast",
        raw_columns="skssl._meta._raw_columns.RawWords",
        no_onnx="ONNX has no tokenizer. Put a TextTokenizer in front of the encoder when you fit, "
        "and export what follows it: to_onnx(pipeline[1:]).",
    ),
    Modality(
        reader=TokenReader,
        scaler=nn.Identity,
        encoder=token_encoder,
        table=_no_columns,
        augment=_only_auto(random_chunk),
        noun="tokens",
        make=MAKE_TOKENS,
        read_by="MaskedLanguageModel, NextToken and TextContrast read tokens.",
        scales_batches=True,
        raw_columns="skssl._meta._raw_columns.RawTokens",
        onnx="skssl.persistence._onnx_inputs.TokenInput",
    ),
)
MODALITIES: dict[str, Modality] = {row.reader.modality: row for row in _ROWS}


def look_up(name: str) -> Any:
    """Import what a row names; it is defined in a room above this one."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def method_for_tables(field: str) -> "SSLTransformer":
    """Return the method in a field of the row of tables: what is assumed before there is an X."""
    method: SSLTransformer = look_up(getattr(MODALITIES["table"], field))()
    return method


def rows_per_step(method: "SSLTransformer", x: Tensor) -> int:
    """Return ``batch_size``; ``"auto"`` is the method's default, or follows the size of a row."""
    own = (size for size in (method.batch_size, type(method).batch_size) if size != "auto")
    return next(own, auto_batch(x[0].numel()))


def parameters_of(function: Callable[..., Any], estimator: Any) -> dict[str, Any]:
    """Return the optional arguments of a function that an estimator has parameters for."""
    arguments = inspect.signature(function).parameters.values()
    optional = (a.name for a in arguments if a.default is not a.empty)
    return {name: getattr(estimator, name) for name in optional if hasattr(estimator, name)}


def modalities_with(field: str) -> list[str]:
    """Return the modalities whose row says something in a field."""
    return [modality for modality, row in MODALITIES.items() if getattr(row, field)]


def nouns(modalities: Iterable[str]) -> str:
    """Return what data of some modalities are called, such as "tables, images or clips"."""
    *first, last = (MODALITIES[modality].noun for modality in modalities)
    return f"{', '.join(first)} or {last}" if first else last
