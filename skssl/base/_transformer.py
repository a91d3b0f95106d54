"""The base class of every self-supervised transformer."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, Literal, Self, dataclass_transform

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.optim import Optimizer

from skssl import _ranks
from skssl._atomic import restore_on_failure
from skssl._compat import (
    CallbackSupportMixin,
    Estimator,
    Seed,
    choose_device,
    choose_dtype,
    fit_context,
    output_of,
    plain_torch,
    run_compiled,
)
from skssl._data import SAMPLE_ROWS, Source, note_columns, survey
from skssl._data._chunked_rows import ChunkedRows
from skssl._data._draws import Draws, may_draw
from skssl._data._given import Given, make_rows, refuse_to_join
from skssl._data._rows import Rows, RowsLike, hold_out
from skssl._training import _loop
from skssl._training._checkpoint import check_moments
from skssl._training._epoch_end import PARTS, Report
from skssl._training._loop import Net, Plan
from skssl.base import _modalities
from skssl.base._modalities import MODALITIES, Modality, ModalityName, parameters_of
from skssl.base._modality_of import (
    check_modality,
    open_if_outside,
    read_if_small,
    reading_as,
)
from skssl.base._parameters import (
    ATTRIBUTE_DOCS,
    CONSTRAINTS,
    PARAMETER_DOCS,
    Device,
    Encoder,
    Precision,
    UsersViews,
    document,
)
from skssl.encoders import places_of, width_of
from skssl.encoders._build import Steps
from skssl.views import View, Views
from skssl.views._lists import make_views

ROWS_AT_ONCE = 1024  # rows per chunk of transform, which suits caches,
NUMBERS_AT_ONCE = 2**18  # and the greatest number of their numbers
IMAGES_TO_SCALE = 10_000  # from which the scaling of batches is learned
IMAGES_TO_BUILD = 1024  # about as many are passed to _build
ROWS_AT_LEAST = 16  # fewer rows are padded: other matrix kernels differ in the last bits


@dataclass_transform(kw_only_default=True, eq_default=False)
@dataclass(kw_only=True, eq=False, repr=False)
class SSLTransformer(
    CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator
):
    """Base class of self-supervised transformers.

    A method is a subclass. A mixin says what it reads, such as :class:`skssl.base.ReadsTables`;
    annotated fields of the class body are its own parameters; and hooks say how it learns:

    - ``_loss(net, x)`` returns the loss of the batch ``x``, a scalar. It changes state only
      while ``net.training``, because the same function computes the validation loss.
    - ``_views(augment)`` returns the functions that alter a batch. ``augment`` is the random
      alteration that suits the data, or the one that ``views`` names.
    - ``_build(net, X)`` adds to ``net`` whatever else the method trains. It may wrap or replace
      ``net.encoder``: what is there when it ends becomes ``encoder_``.
    - ``_finish(rows)`` sets attributes computed from the training rows, once the encoder is
      trained.

    All but ``_loss`` are optional. Hooks see data as the encoder does: scaled tensors.
    ``_constants`` names what is on ``net`` and never moves in training, each with the reason.
    ``_about`` is the modality of the method's paper, ``"image"`` for example: where three
    dimensions of floats may be images as well as series, the method reads them as that.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        The module that ``_build`` puts on ``net.decoder``, if any.

    See Also
    --------
    Net : The namespace that hooks work on.

    Notes
    -----
    "Add a method" in the documentation is a worked example, with its tests.
    """

    n_components: int = 256
    encoder: Encoder = "auto"
    views: UsersViews = "auto"
    modality: ModalityName = "auto"
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    validation_fraction: float = 0.1
    n_iter_no_change: int | None = None
    precision: Precision = "auto"
    compile: bool = False
    device: Device = "auto"
    warm_start: bool = False
    verbose: bool | int = False
    random_state: Seed = None

    _modalities: ClassVar[tuple[str, ...]] = ("table",)
    _constants: ClassVar[dict[str, str]] = {}  # constant parts of net: the reason
    _about: ClassVar[str] = ""  # the modality of the paper, which decides where X may be several
    _auto_encoder: ClassVar[str] = "auto"  # the encoder that "auto" means for the method
    # Whether other rows are negatives; False: nothing but a teacher or predictor prevents collapse
    _negatives: ClassVar[bool | None] = None
    _least_steps: ClassVar[int] = _loop.LEAST_STEPS  # of max_epochs="auto", on small data
    _parameter_constraints = CONSTRAINTS
    _optimizer_state = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(kw_only=True, eq=False, repr=False)(cls)
        names = {field.name for field in fields(cls)}
        constraints = dict(CONSTRAINTS)
        for base in reversed(cls.__mro__):  # subclasses of a method inherit its constraints
            constraints.update(base.__dict__.get("_parameter_constraints", {}))
        cls._parameter_constraints = {k: v for k, v in constraints.items() if k in names}
        cls.__doc__ = document(cls.__doc__, PARAMETER_DOCS, ATTRIBUTE_DOCS, names)

    def _build(self, net: Net, X: Tensor) -> None:
        """Add to ``net`` the modules that the method trains beside the encoder."""

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Return the loss of a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not define _loss(net, x).")

    def _views(self, augment: View) -> tuple[View, ...]:
        """Return the functions that alter a batch, unless ``views`` is a function."""
        return ()

    def _fewest_views(self, augment: View) -> int:
        """Return the number of views that a list from the user's ``views`` must have."""
        return len(self._views(augment))

    def _runs_other_code(self, encoder: nn.Module | None = None) -> bool:
        """Tell whether losses call code that is not skssl's: the method, its encoder or views.

        Once there is an encoder, one that draws no random numbers does not count.
        """
        is_own = type(self).__module__.startswith("skssl.")
        given = [getattr(self, "views", "auto")]
        if encoder is None or may_draw(encoder):
            given.append(self.encoder)
        return not (is_own and all(isinstance(value, str) for value in given))

    def _places(self, net: Net, x: Tensor) -> int:
        """Return the number of places per row that a step computes, for the budget of steps."""
        return places_of(net.encoder, x)

    def _finish(self, rows: RowsLike) -> None:
        """Set attributes computed from the training rows."""

    @fit_context(prefer_skip_nested_validation=True)
    @plain_torch()
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        X_unlabeled: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        sample_weight_unlabeled: Any = None,
        groups_unlabeled: Any = None,
    ) -> Self:
        """Learn an encoder from the rows of X; labels are ignored.

        The result does not depend on the order of rows in memory.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows to learn from: a table with numbers, categories and missing values, or data of
            another modality that the method reads, such as images. A table may also be the path
            of a Parquet file or folder, a pyarrow dataset, an array on disk, or an iterable of
            batches that can be iterated again: tables of more than 2**26 cells are read in
            parts.
        y : Ignored
            Present for API consistency; it does not change the embedding.
        X_unlabeled : array-like or dataframe of shape (n_more, ...), default=None
            More rows to learn from, for Pipelines whose ``X`` holds only labelled rows.
        sample_weight : array-like of shape (n_samples,), default=None
            How many times a row counts: 2 equals passing it twice, 0 equals leaving it out, in the
            scaling of columns as well as in batches. A weight of 2.3 means two copies per epoch,
            plus a third with probability 0.3. None is 1.
        groups : array-like of shape (n_samples,), default=None
            The patient, machine or user of each row. No batch has two rows of the same group, so
            that they are never each other's negatives. None or NaN is a group of its own. The
            batch size is limited by the number of groups, weighted by their sizes. Of a group
            with more rows than batches, a random subset is drawn for each pass.
        sample_weight_unlabeled, groups_unlabeled : array-like of shape (n_more,), default=None
            Weights and groups of the rows of ``X_unlabeled``.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        given = [Given.of(read_if_small(X, self), sample_weight, groups)]
        more = sample_weight_unlabeled, groups_unlabeled
        if X_unlabeled is not None:
            given.append(Given.of(read_if_small(X_unlabeled, self), *more, "_unlabeled"))
        elif any(argument is not None for argument in more):
            raise ValueError(
                "sample_weight_unlabeled and groups_unlabeled are of the rows of X_unlabeled, "
                "which was not given. Those of X are sample_weight and groups."
            )
        with restore_on_failure(self):
            again = self.warm_start and hasattr(self, "_net")
            if not again:
                self._generator = check_random_state(self.random_state)
            return self._fit_rows(
                X, y, self._read_all(given, reset=not again), again=again, stream=False
            )

    @fit_context(prefer_skip_nested_validation=True)
    @plain_torch()
    def partial_fit(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, groups: Any = None
    ) -> Self:
        """Train for one pass over a chunk of rows, at a constant learning rate.

        The first chunk determines the scaling of columns and their categories, so that the
        embedding does not jump later: make it a typical one.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            A chunk of at least 2 rows, or any other input of ``fit``. An iterator of batches is
            processed in several calls of several batches each.
        y : Ignored
            Present for API consistency.
        sample_weight, groups : array-like of shape (n_samples,), default=None
            As in ``fit``.

        Returns
        -------
        self : object
            The transformer, trained further.
        """
        source = open_if_outside(X, self, self._read_before)
        is_once = isinstance(source, Source) and source.is_once
        given = [
            Given.of(
                source if is_once else read_if_small(X, self, self._read_before),
                sample_weight,
                groups,
            )
        ]
        with restore_on_failure(self):
            if is_once:
                for part in source.windows():
                    self.partial_fit(part)
                return self
            first = not hasattr(self, "encoder_")
            if first:
                self._generator = check_random_state(self.random_state)
            return self._fit_rows(
                X, y, self._read_all(given, reset=first), again=not first, stream=True
            )

    @plain_torch()
    def transform(self, X: Any) -> np.ndarray:
        """Embed the rows of X.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows with the columns seen in ``fit``; new categories and missing values are allowed.
            A table may be any other input of ``fit``, or an iterator of batches.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components), float32
            The embedding: the output of the encoder. With ``pooling=None``, for methods that have
            it, one embedding per token, step or frame: (n_samples, length, n_components), with
            NaN behind the end of a shorter series, and 0 at padding of tokens.
        """
        check_is_fitted(self)
        source, embedder = open_if_outside(X, self, self._read_before), self._embedder()
        blocks = source.blocks() if isinstance(source, Source) else [X]
        with torch.inference_mode():
            parts = [_apply(embedder, self._read(block)).numpy() for block in blocks]
        Z = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if Z.ndim > 2 and output_of("transform", self)["dense"] != "default":
            raise ValueError(
                f"pooling=None makes an embedding of shape {Z.shape}, which no dataframe holds. "
                "Set pooling='mean' or 'max', or call set_output(transform='default')."
            )
        return Z

    def _embedder(self) -> nn.Module:
        """Return the module that embeds rows or, with ``pooling=None``, their steps."""
        if getattr(self, "pooling", "mean") is not None:
            return self.encoder_
        scaler, encoder = self.encoder_
        return nn.Sequential(scaler, Steps(encoder))

    def _views_of(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scale a batch of read rows, and return it with its scaled views."""
        x = _apply(self.encoder_[0], x)
        return x, self.views_(x)

    def _read(self, X: Any) -> Tensor:
        """Return X as the tensor ``encoder_`` reads, checked against what ``fit`` saw."""
        if isinstance(X, Read):
            return X.x
        with self._reading(X):
            self._note_columns(X)
            return self._reader.read(X)

    def _read_all(self, given: list[Given], *, reset: bool) -> RowsLike:
        X, *more = (part.X for part in given)
        if isinstance(refuse_to_join(X, more), Source):
            return self._survey(X, reset)
        if reset:
            self._choose_reader(X)
        open_part = getattr(self._reader, "open", None)  # tables, once for both passes over them
        parts: list[Any] = []
        for part in given:
            with self._reading(part.X):
                self._note_columns(part.X, reset=reset and not parts)
                parts.append(part.X if open_part is None else open_part(part.X))
        if reset:
            repeated = (part.repeat() for part in given)
            pairs = zip(parts, repeated, given, strict=True)
            self._reader.fit(*(opened if same is g.X else same for opened, same, g in pairs))
        with self._reading(X):
            x = self._reader.read(parts[0], ensure_min_samples=1 if more else 2)
        for other, opened in zip(more, parts[1:], strict=True):
            with self._reading(other):
                x = self._reader.join(x, self._reader.read(opened))
        if (wanted := self.__dict__.pop("_read_by_fit", None)) is not None:
            wanted.append(x)
        return make_rows(x, given)

    def _survey(self, source: Source, reset: bool) -> ChunkedRows:
        """Let the reader learn the categories of rows outside memory, and return the rows."""
        if reset:
            self._choose_reader(source.head)
        self._note_columns(source.head, reset=reset)
        seen = survey(source, self._reader.asks(source.head) if reset else [])
        if reset:
            self._reader.fit(seen.table)
        return ChunkedRows(source, seen.n_rows, self._read, self._read(seen.sample), seen.numbers)

    def _choose_reader(self, X: Any) -> None:
        """Decide what X is; from then on, all rows are read as that."""
        reader = MODALITIES[check_modality(X, self, self._modalities)].reader
        self._reader: Any = reader(**parameters_of(reader, self))

    def _reading(self, X: Any) -> contextlib.AbstractContextManager[None]:
        return reading_as(self._reader.modality, X, self)

    def _note_columns(self, X: Any, *, reset: bool = False) -> None:
        """Store the columns of X, or compare them with those stored, where X has columns."""
        table = MODALITIES[self._reader.modality].table(X)
        if table is not None:
            note_columns(self, table, reset=reset)

    @property
    def _read_before(self) -> str:
        """The modality of the rows that were read before, if any were."""
        return self._reader.modality if hasattr(self, "_reader") else ""

    def _fit_rows(self, X: Any, y: Any, rows: RowsLike, *, again: bool, stream: bool) -> Self:
        """Train on the rows; X and y are passed to callbacks."""
        device = choose_device(self.device)
        seed = _ranks.seed(self._generator, device)
        others = self._runs_other_code()
        draws = Draws(seed, device, for_others=others, compiled=self.compile)
        with draws.here():
            rows = self._scale(rows, reset=not again)
            net = self._make_net(rows, again, draws)
            draws.for_others = self._runs_other_code(net.encoder)
            trained, held_out = rows, None
            if self.n_iter_no_change is not None and not stream:
                trained, held_out = hold_out(rows, self.validation_fraction)
            plan = self._plan(net, trained, device, stream)
            optimizer = self._make_optimizer(net.to(device), again)
            data = {"X": X, "y": y}
            report = Report(self, data, net, optimizer, plan, trained, held_out, seed, draws)
        with draws.apart().here():
            report.look_untrained()
        with report.apart():
            report.open()
            report.resume()
            report.begin_epoch()
        with _ranks.together(), run_compiled(net.encoder, self.compile):
            on_step = None if report.has_told else report.step
            _loop.train(
                net, optimizer, trained, self._loss, plan, draws, report, report.place, on_step
            )
        report.restore_best()
        self._keep(report, stream)
        self._finish(rows)
        report.close()
        return self

    def _make_optimizer(self, net: Net, again: bool) -> Optimizer:
        """Return the optimizer of a net; raise ValueError if moments of an earlier fit do not fit.

        Only the moments are restored; learning rates follow the current parameters.
        """
        optimizer = _loop.make_optimizer(net, self.learning_rate, self.weight_decay)
        if again and self._optimizer_state is not None:
            state = {"state": self._optimizer_state["state"]}
            optimizer.load_state_dict(optimizer.state_dict() | state)
            check_moments(optimizer)
        return optimizer

    def _scales_batches(self, row: Modality) -> bool:
        """Tell whether rows stay in memory as they were read, and are scaled batch by batch."""
        return row.scales_batches

    def _scale(self, rows: RowsLike, *, reset: bool = False) -> RowsLike:
        """Return the rows, scaled now or as batches are taken; the only place that decides it."""
        row = MODALITIES[self._reader.modality]
        later = self._scales_batches(row)
        if reset:
            some = rows.some(IMAGES_TO_SCALE if later else SAMPLE_ROWS)
            given = parameters_of(row.scaler, self)
            self._scaler: Any = row.scaler(some, self._reader.columns, **given)
        if later:
            assert isinstance(rows, Rows)  # only tables are read in parts
            return rows.scale_later(copy.deepcopy(self._scaler))
        return rows.scale_now(partial(_apply, self._scaler))

    def _keep(self, report: Report, stream: bool) -> None:
        """Set the fitted attributes, and the state from which a later fit continues."""
        for name in (*PARTS, "validation_loss_curve_", "probe_curves_"):
            self.__dict__.pop(name, None)  # drop attributes that only an earlier fit set
        self.__dict__.update(report.attributes())
        if stream or self.warm_start:
            self._net = report.net.cpu()
            self._optimizer_state = _loop.on_cpu(report.optimizer.state_dict())
        else:  # partial_fit must not continue from an earlier stream
            for name in ("_net", "_optimizer_state"):
                self.__dict__.pop(name, None)

    def _make_net(self, rows: RowsLike, again: bool, draws: Draws) -> Net:
        """Build the namespace of encoder, views and heads for the loss."""
        if again and hasattr(self, "_net"):
            return copy.deepcopy(self._net)
        row, net = MODALITIES[self._reader.modality], Net()
        net.columns, net.n_rows = self._reader.columns, len(rows)
        x = rows.some(SAMPLE_ROWS if rows.scale is None else IMAGES_TO_BUILD)
        x = x if rows.scale is None else rows.scale(x)
        net.augment = row.augment(self.views if isinstance(self.views, str) else "auto", x)
        at_least = None if isinstance(self.views, str) else self._fewest_views(net.augment)
        net.views = make_views(self.views, Views(self._views(net.augment)), at_least)
        if again:  # after a plain fit: new heads around the encoder
            net.encoder = copy.deepcopy(self._trunk)
        else:
            make = row.encoder
            given = parameters_of(make, self)
            encoder = self._auto_encoder if self.encoder == "auto" else self.encoder
            with draws.here(everywhere=True):
                net.encoder = make(encoder, x, net.columns, self.n_components, **given)
            if not isinstance(encoder, str):
                width_of(net.encoder, x)  # raises if the user's module cannot read X
        net.trunk = net.encoder
        net.n_places = self._places(net, x) if row.has_places else 0
        with draws.here(everywhere=True):
            self._build(net, x)
        self._n_features_out = width_of(net.encoder, x)
        return net

    def _plan(self, net: Net, rows: RowsLike, device: torch.device, stream: bool) -> Plan:
        return _loop.make_plan(
            rows,
            _modalities.rows_per_step(self, rows.some(1)),
            1 if stream else self.max_epochs,
            choose_dtype(self.precision, device),
            n_places=net.n_places,
            at_least=self._least_steps,
            endless=stream,
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        for modality in self._modalities:
            for name in MODALITIES[modality].tags:
                setattr(tags.input_tags, name, True)
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


SSLTransformer.__doc__ = document(
    SSLTransformer.__doc__,
    PARAMETER_DOCS,
    ATTRIBUTE_DOCS,
    {field.name for field in fields(SSLTransformer)},
)


@dataclass(frozen=True)
class Read:
    """Rows as the tensor that a transformer has read: ``transform`` takes them in place of X."""

    x: Tensor


Follow = Callable[[dict[str, Any], float], str]  # from fitted attributes, and seconds of the fit


@contextlib.contextmanager
def handing_over(
    transformer: Any, read: list[Tensor], follow: Follow | None = None
) -> Iterator[None]:
    """Let the next ``fit`` put the tensor of its rows into a list, and print what it plans.

    ``follow`` is called once it has timed its first steps; its text ends the line.
    """
    if isinstance(transformer, SSLTransformer):
        transformer.__dict__["_read_by_fit"] = read
        transformer.__dict__["_follow"] = follow
    try:
        yield
    finally:
        transformer.__dict__.pop("_read_by_fit", None)
        transformer.__dict__.pop("_follow", None)


@torch.no_grad()
def _apply(module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Run a module over x in chunks, into one float32 tensor."""
    if len(x) < ROWS_AT_LEAST:
        padding = x[-1:].expand(ROWS_AT_LEAST - len(x), *x.shape[1:])
        return module(torch.cat([x, padding]))[: len(x)]
    at_once = max(ROWS_AT_LEAST, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // x[0].numel()))
    if len(x) <= at_once:
        return module(x)
    chunks = x.split(at_once)
    first = module(chunks[0])
    out = torch.empty(len(x), *first.shape[1:])
    out[: len(first)] = first
    for i, chunk in enumerate(chunks[1:], 1):
        out[i * at_once : i * at_once + len(chunk)] = module(chunk)
    return out
