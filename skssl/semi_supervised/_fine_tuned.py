"""Fine-tuning: estimators whose encoder goes on learning, from labels, and how it does."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn import get_config
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor, nn

from skssl._atomic import restore_on_failure
from skssl._compat import (
    Constraints,
    Interval,
    Seed,
    StrOptions,
    Task,
    choose_device,
    choose_dtype,
    fit_context,
    plain_torch,
)
from skssl._data._draws import Draws
from skssl._data._given import check_weight
from skssl._data._rows import Rows, n_batches
from skssl._meta._fitting import Stage, telling
from skssl._meta._forecast import Forecast, evenly_by_label, seconds_of
from skssl._meta._reading import Seen
from skssl._meta._steps import check_columns, last_step
from skssl._training import _loop
from skssl._training._epoch_end import PARTS
from skssl._training._loop import Net
from skssl.base._modalities import MODALITIES
from skssl.base._parameters import UsersViews
from skssl.base._transformer import ROWS_AT_ONCE, SSLTransformer
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised._base import BaseClassifier, BasePretrained, BaseRegressor, Sample
from skssl.semi_supervised._linear import Linear, LinearClassifier, LinearRegressor
from skssl.semi_supervised._target_scaler import on_grid, standardise
from skssl.views import View, original

EPOCHS, FEWEST_STEPS, MOST_STEPS = 40, 200, 3000
N_LINEAR_FITS = 5 * 8 + 1  # folds, penalties, and one to all labels
ENOUGH = 300  # labels held out, in all folds together
N_FOLDS = 3
TEMPERATURES = np.geomspace(0.2, 5, 15).tolist()
MANY_LABELS = 2000  # from this number on, one split into 80 % and 20 % is enough


class Head(nn.Module):
    """A fitted linear model of an embedding followed by raw columns, as a module."""

    mean: Tensor
    scale: Tensor

    def __init__(self, linear: Linear, center: float = 0.0, spread: float = 1.0):
        super().__init__()
        self.center, self.spread = center, spread  # of the targets; outputs are standardised
        self.register_buffer("mean", torch.tensor(linear.mean_, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(linear.scale_, dtype=torch.float32))
        weight, bias = linear.coef_ / spread, (linear.intercept_ - center) / spread
        if spread != 1.0:
            bias = on_grid(bias)  # what is far from 0 has lost its last digits
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))

    def forward(self, z: Tensor) -> Tensor:
        return F.linear((z - self.mean) / self.scale, self.weight, self.bias)

    def write(self, linear: Linear) -> None:
        """Write the learned weights to a linear model."""
        linear.coef_ = self.spread * self.weight.detach().cpu().double().numpy()
        linear.intercept_ = self.spread * self.bias.detach().cpu().double().numpy() + self.center


class BaseFineTuned(BasePretrained):
    """Base class of the classifier and the regressor."""

    _parameter_constraints: Constraints = {
        **BasePretrained._parameter_constraints,
        "max_epochs": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "encoder_lr_scale": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "views": [str, callable, None],
    }

    # sample_weight is not in the signature of fit: here it is the weight of a label in the losses,
    # which differs from repeating the row, whose copies would be on both sides of a fold.
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"sample_weight": None}

    def _route(self, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Pass weights to the linear model, and to the transformer if it requests them."""
        is_routing = get_config()["enable_metadata_routing"]
        others = {k: v for k, v in params.items() if is_routing or k != "sample_weight"}
        own = {k: v for k, v in params.items() if k == "sample_weight" and v is not None}
        return super()._route(others) | {self._predictor: own}

    def _fit(
        self,
        every: tuple[Any, ...],
        few: np.ndarray,
        others: np.ndarray,
        labels: np.ndarray,
        routed: dict[str, dict[str, Any]],
        task: Task,
    ) -> Seen:
        given = self.transformer
        if given is not None and not isinstance(last_step(given), SSLTransformer):
            raise ValueError(
                f"{type(self).__name__} trains the encoder of a self-supervised transformer, or "
                f"of a Pipeline that ends in one; got {type(last_step(given)).__name__}. "
                f"{type(self).__name__.replace('FineTuned', 'Pretrained')} takes any transformer."
            )
        weight = routed[self._predictor].get("sample_weight")
        weight = check_weight(weight, len(labels), "sample_weight of labelled rows")
        if weight is not None:
            kept = np.flatnonzero(weight)
            few, labels, weight = few[kept], labels[kept], weight[kept]
            weight = weight / weight.mean()
            routed = routed | {self._predictor: {"sample_weight": weight}}
        rows = super()._fit(every, few, others[:0], labels, routed, task)
        while isinstance(self.transformer_, FrozenEstimator):
            self.transformer_ = self.transformer_.estimator
        self.transformer_ = deepcopy(self.transformer_)  # its weights change now
        random = check_random_state(self.random_state)
        draws = self._draws(random.randint(2**31 - 1))
        weight = np.ones(len(labels)) if weight is None else weight
        stage = Stage(self, task, "fine-tune", rows.shown, labels)
        with telling(self, f"fine-tuning with {len(labels)} labels"):
            self._fine_tune(rows, labels, weight, stage, draws)
        stage.end()
        return rows

    def _stages(self, some: Sample) -> list[Forecast]:
        rows, Z, predictor, _, labels, chosen, _ = some
        linear = clone(predictor).set_params(penalty=1.0)  # one fit of the search for the penalty
        (first,) = super()._stages(some._replace(predictor=linear))
        assert first.seconds is not None
        first = first._replace(seconds=first.seconds * N_LINEAR_FITS)
        setattr(self, f"{self._predictor}_", linear.fit(Z, labels[chosen]))
        what = f"fine-tuning with {len(labels)} labels"
        return [first, Forecast(what, self._time_of_tuning(rows, Z, labels, chosen))]

    def _time_of_tuning(
        self, few: Seen, Z: np.ndarray, labels: np.ndarray, chosen: np.ndarray
    ) -> float:
        """Return about the seconds of fine-tuning with all labels, from a few steps."""
        folds, n_epochs = self._folds(labels), self._n_epochs(len(labels))
        if not folds or not n_epochs:
            return 0.0
        linear = getattr(self, f"{self._predictor}_")
        rows = self._make_rows(few, labels[chosen], np.ones(len(chosen)))
        part = evenly_by_label(labels[chosen], 10 * self.batch_size)
        n_train, n_test = map(len, folds[0])
        test = part[: max(1, len(part) * n_test // n_train)]
        both = [rows.select(torch.from_numpy(some)) for some in (part, test)]
        n_timed = max(2, 20 // n_batches(len(part), self.batch_size))
        draws = self._draws(0)

        def time_of(n_epochs: int) -> float:
            given = linear, linear, *both, n_epochs, draws
            return seconds_of(lambda: self._held_out_outputs(*given))

        time_of(1)
        seconds = (time_of(1 + n_timed) - time_of(1)) / n_timed  # of an epoch
        n_runs = len(folds) + 0.5  # the last one is as long as the folds choose
        return max(seconds, 0.0) * n_train / len(part) * n_epochs * n_runs

    def _draws(self, seed: int) -> Draws:
        others = last_step(self.transformer_)._runs_other_code() or callable(self.views)
        return Draws(seed, self._device(), for_others=others)

    def _device(self) -> torch.device:
        return choose_device(last_step(self.transformer_).device)

    def _n_stages(self, X: Any, labels: np.ndarray) -> int:
        return 3

    def _fine_tune(
        self, few: Seen, labels: np.ndarray, weight: np.ndarray, stage: Stage, draws: Draws
    ) -> None:
        """Choose the number of epochs by cross-validation, and train for it."""
        linear = getattr(self, f"{self._predictor}_")
        rows, Z = self._make_rows(few, labels, weight), self._join(few)
        folds, outputs, n_epochs = self._folds(labels), [], self._n_epochs(len(labels))
        for train, test in stage.each(folds):
            part = Z[train], labels[train], weight[train]
            frozen = refit(linear, linear.penalty_, *part)
            start = refit(linear, linear.greater_penalty_, *part)
            fold = rows.select(torch.from_numpy(train)), rows.select(torch.from_numpy(test))
            outputs.append(self._held_out_outputs(frozen, start, *fold, n_epochs, draws))
        self.n_iter_, self.validation_loss_curve_, self.loss_curve_ = 0, [], []
        if folds:
            held_out = np.concatenate([test for _, test in folds])
            target, counts = (tensor[held_out] for tensor in rows.tensors[2:])
            by_epoch = [
                self._held_out_losses(torch.cat(output), target, counts)
                for output in zip(*outputs, strict=True)
            ]
            losses = counts / counts.mean() * torch.stack(by_epoch)  # (n_epochs + 1, n_held_out)
            self.validation_loss_curve_ = losses.mean(1).tolist()
            self.n_iter_ = clearly_best(losses)
        if self.n_iter_:
            net = self._make_net(refit(linear, linear.greater_penalty_, Z, labels, weight), draws)
            # the rate falls to 0 by the last epoch
            self.loss_curve_ = self._run_epochs(net, rows, self.n_iter_, draws)
            self._keep(net)

    def _make_rows(self, few: Seen, labels: np.ndarray, weight: np.ndarray) -> Rows:
        """Return the labelled rows: input of the encoder, raw columns, targets and weights."""
        method = last_step(self.transformer_)
        rows = method._scale(Rows(method._read(few.shown)))
        raw = torch.empty(len(rows), 0)
        if self.raw_columns_ is not None:
            raw = torch.from_numpy(self.raw_columns_.encode(few.raw)).float()
        target, counts = self._targets(labels)
        counts = counts * torch.from_numpy(weight).float()
        return Rows(rows.tensors[0], raw, target, counts, scale=rows.scale)

    def _make_net(self, linear: Linear, draws: Draws) -> Net:
        """Build the namespace of the trained modules, with a copy of the encoder."""
        net, method = Net(), last_step(self.transformer_)
        with draws.here(everywhere=True):
            net.encoder, net.head = deepcopy(method.encoder_[1]), self._head(linear)
        net.lr_scale = {"encoder": self.encoder_lr_scale}
        return net.to(self._device())

    def _view(self, x: Tensor) -> View:
        """Return the alteration of scaled rows in training."""
        row = MODALITIES[last_step(self.transformer_)._reader.modality]
        views = row.gentle if self.views == "auto" else self.views
        if not views:
            return original
        return row.augment(views, x) if isinstance(views, str) else views

    def _outputs(self, net: Net, x: Tensor, raw: Tensor, *labels: Tensor) -> Tensor:
        """Return the outputs of the head for rows, which are altered in training only."""
        x = self._view(x)(x) if net.training else x
        if not self.encoder_lr_scale:
            net.encoder.eval()  # an encoder that is not trained keeps the statistics of its norms
        return net.head(torch.cat([net.encoder(x).float(), raw], 1))

    def _loss(self, net: Net, x: Tensor, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        losses = self._losses(self._outputs(net, x, raw), target)
        return (weight * losses).sum() / weight.sum().clamp(min=1e-12)

    def _held_out_outputs(
        self,
        frozen: Linear,
        start: Linear,
        rows: Rows,
        held_out: Rows,
        n_epochs: int,
        draws: Draws,
    ) -> list[Tensor]:
        """Return the outputs of held-out rows before training and after each epoch."""

        def look(net: Net) -> Tensor:
            return _loop.outputs(net, held_out, self._outputs, ROWS_AT_ONCE)

        outputs, net = [look(self._make_net(frozen, draws))], self._make_net(start, draws)

        def on_epoch(losses: list[float]) -> bool:
            outputs.append(look(net))
            return False

        self._run_epochs(net, rows, n_epochs, draws, on_epoch)
        return outputs

    def _n_epochs(self, n_labels: int) -> int:
        if self.max_epochs != "auto":
            return self.max_epochs
        per_epoch = n_batches(n_labels, self.batch_size)
        return min(max(EPOCHS, -(-FEWEST_STEPS // per_epoch)), -(-MOST_STEPS // per_epoch))

    def _run_epochs(
        self,
        net: Net,
        rows: Rows,
        n_epochs: int,
        draws: Draws,
        on_epoch: Callable[[list[float]], bool] = lambda losses: False,
    ) -> list[float]:
        """Train for some epochs and return the loss of each."""
        dtype = choose_dtype(last_step(self.transformer_).precision, self._device())
        plan = _loop.make_plan(rows, self.batch_size, n_epochs, dtype)
        optimizer = _loop.make_optimizer(net, self.learning_rate, self.weight_decay)
        return _loop.train(net, optimizer, rows, self._loss, plan, draws, on_epoch)

    def _keep(self, net: Net) -> None:
        """Copy the trained weights to the fitted attributes."""
        method = last_step(self.transformer_)
        method.encoder_ = nn.Sequential(method.encoder_[0], net.encoder.cpu()).eval()
        for name in PARTS:  # they belong to the old embedding
            vars(method).pop(name, None)
        net.head.write(getattr(self, f"{self._predictor}_"))

    @fit_context(prefer_skip_nested_validation=False)
    @plain_torch()
    def partial_fit(self, X: Any, y: Any) -> Self:
        """Train for one pass over a chunk of labelled rows; the first chunk is fitted.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.
        y : array-like of shape (n_samples,)
            Their labels; unlabelled rows are ignored. The first chunk must have all classes.

        Returns
        -------
        self : object
            The estimator, trained further.
        """
        if not hasattr(self, "transformer_"):
            return self.fit(X, y)
        with restore_on_failure(self):
            check_columns(self, self.transformer_, X)
            few, labels, _ = self._labelled_part(X, y, None)
            self.transformer_ = deepcopy(self.transformer_)
            linear = deepcopy(getattr(self, f"{self._predictor}_"))
            random = check_random_state(self.random_state)
            draws = self._draws(random.randint(2**31 - 1))
            net = self._make_net(linear, draws)
            rows = self._make_rows(self._see(few), labels, np.ones(len(labels)))
            self.loss_curve_ = self.loss_curve_ + self._run_epochs(net, rows, 1, draws)
            self.n_iter_ = len(self.loss_curve_)
            setattr(self, f"{self._predictor}_", linear)
            self._keep(net)
            return self


class FineTunedClassifier(BaseFineTuned, BaseClassifier):
    """Learn an encoder from all rows, then fine-tune it with a linear classifier on the labels.

    First, a logistic regression is fitted on the embedding of the frozen encoder, and on raw
    columns if they are joined. From there, encoder and classifier are trained together. The number
    of epochs is chosen by cross-validation on the labels. If no number of epochs helps (with fewer
    than 300 labels: by more than a standard error), the encoder stays frozen [1]_.

    Parameters
    ----------
    transformer : transformer, default=None
        A self-supervised transformer, or a Pipeline that ends in one. None is the default of
        :class:`PretrainedClassifier`. A :class:`~sklearn.frozen.FrozenEstimator` is not pretrained
        again; a copy of it is fine-tuned.
    passthrough : bool or "auto", default="auto"
        Whether the linear classifier also reads the raw columns, as in
        :class:`PretrainedClassifier`.
    max_epochs : int or "auto", default="auto"
        Greatest number of passes over the labelled rows. ``"auto"`` is 40, but at least 200 and
        at most 3 000 steps.
    batch_size : int, default=64
        Labelled rows per step.
    learning_rate : float, default=1e-3
        Peak learning rate of the linear classifier.
    encoder_lr_scale : float, default=1.0
        Factor of ``learning_rate`` for the encoder; 0 freezes the encoder.
    weight_decay : float, default=1e-2
        Weight decay of AdamW.
    label_smoothing : float, default=0.0
        Share of the target probability that is spread evenly over all classes.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss.
    views : "auto", str, callable or None, default="auto"
        Alteration of rows in training: the name of a chain of views, or a function of a scaled
        batch. ``"auto"`` is "weak" for images, video, series and audio, and None, no alteration,
        for other data.
    memory : str or joblib.Memory, default=None
        Cache of pretrained transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds pretraining and training.
    verbose : bool or int, default=False
        Whether to print what ``fit`` does and about how long each stage takes, once its first
        second and short fits to some of the rows have been timed; then each stage.

    Attributes
    ----------
    transformer_ : transformer
        The transformer with the fine-tuned encoder, which ``transform`` uses.
    classifier_ : classifier
        The linear classifier, trained together with the encoder.
    raw_columns_ : object or None
        Encoder of the raw columns; None if they are not joined.
    classes_ : ndarray of shape (n_classes,)
        The labels, without the mark of unlabelled rows.
    n_iter_ : int
        Number of epochs; 0 if the frozen encoder was best.
    loss_curve_ : list of float
        Mean loss of each epoch.
    validation_loss_curve_ : list of float
        Squared error of the probabilities of held-out labels (Brier score) before training and
        after each epoch, over all folds, at the best temperature.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if all of them are strings.

    See Also
    --------
    PretrainedClassifier : Keeps the encoder frozen; better with few labels.

    References
    ----------
    .. [1] Kumar, Raghunathan, Jones, Ma and Liang, "Fine-Tuning Can Distort Pretrained Features
       and Underperform Out-of-Distribution", ICLR 2022. https://arxiv.org/abs/2202.10054

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skssl import FineTunedClassifier, SCARF
    >>> X, y = load_digits(return_X_y=True)
    >>> labels = np.where(np.random.default_rng(0).random(len(y)) < 0.1, y, -1)
    >>> scarf = SCARF(max_epochs=3, n_components=64, random_state=0)
    >>> model = FineTunedClassifier(scarf, random_state=0).fit(X, labels)
    >>> model.score(X, y) > 0.9
    True
    """

    classifier = None  # the linear one

    _parameter_constraints: Constraints = {
        **BaseFineTuned._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        transformer: Any = None,
        *,
        passthrough: bool | Literal["auto"] = "auto",
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        encoder_lr_scale: float = 1.0,
        weight_decay: float = 1e-2,
        label_smoothing: float = 0.0,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        views: UsersViews | None = "auto",
        memory: Any = None,
        random_state: Seed = None,
        verbose: bool | int = False,
    ):
        self.transformer = transformer
        self.passthrough = passthrough
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.encoder_lr_scale = encoder_lr_scale
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.views = views
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    @plain_torch()
    def partial_fit(
        self, X: Any, y: Any, classes: Sequence[Any] | np.ndarray | None = None
    ) -> Self:
        """Train for one pass over a chunk of labelled rows; the first chunk is fitted.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.
        y : array-like of shape (n_samples,)
            Their labels; unlabelled rows are ignored. The first chunk must have all classes.
        classes : array-like, default=None
            All classes; accepted for API consistency.

        Returns
        -------
        self : object
            The estimator, trained further.
        """
        return super().partial_fit(X, y)

    def _default_predictor(self, n_embedding: int) -> Linear:
        return LinearClassifier(class_weight=self.class_weight)

    def _folds(self, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        codes = np.unique(labels, return_inverse=True)[1]
        if len(codes) > MANY_LABELS:
            return list(FewLabelsKFold(5).split(codes, codes))[:1]
        return list(FewLabelsKFold(N_FOLDS).split(codes, codes))

    def _head(self, linear: Linear) -> Head:
        return Head(linear)

    def _targets(self, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        unknown = np.setdiff1d(labels, self.classifier_.classes_)
        if len(unknown):
            raise ValueError(
                f"y has the new classes {unknown.tolist()}, but fit saw "
                f"{self.classifier_.classes_.tolist()}. The first chunk must have every class."
            )
        weight = compute_sample_weight(self.class_weight, labels)
        codes = np.searchsorted(self.classifier_.classes_, labels)
        return torch.from_numpy(codes), torch.from_numpy(weight).float()

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        smoothing = self.label_smoothing
        return F.cross_entropy(output, target, reduction="none", label_smoothing=smoothing)

    def _held_out_losses(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return squared errors of probabilities at the best temperature.

        Training makes nets overconfident. With a logarithm, the few rows that are confidently wrong
        would outweigh all rows that are right.
        """
        true = F.one_hot(target, output.shape[1])
        by_row = [((output / t).softmax(1) - true).square().sum(1) for t in TEMPERATURES]
        return min(by_row, key=lambda losses: float(weight @ losses))


class FineTunedRegressor(BaseFineTuned, BaseRegressor):
    """Learn an encoder from all rows, then fine-tune it with a linear regressor on the targets.

    :class:`FineTunedClassifier` for numeric targets: a ridge regression on the frozen embedding,
    from which encoder and regressor are trained together for the number of epochs that minimises
    the squared error of held-out targets.

    Parameters
    ----------
    transformer : transformer, default=None
        A self-supervised transformer, as in :class:`FineTunedClassifier`.
    passthrough : bool or "auto", default="auto"
        Whether the linear regressor also reads the raw columns.
    max_epochs : int or "auto", default="auto"
        Greatest number of passes over the labelled rows, as in :class:`FineTunedClassifier`.
    batch_size : int, default=64
        Labelled rows per step.
    learning_rate : float, default=1e-3
        Peak learning rate of the linear regressor.
    encoder_lr_scale : float, default=1.0
        Factor of ``learning_rate`` for the encoder; 0 freezes the encoder.
    weight_decay : float, default=1e-2
        Weight decay of AdamW.
    views : "auto", str, callable or None, default="auto"
        Alteration of rows in training, as in :class:`FineTunedClassifier`.
    memory : str or joblib.Memory, default=None
        Cache of pretrained transformers.
    random_state : int, RandomState instance or None, default=None
        Seeds pretraining and training.
    verbose : bool or int, default=False
        Whether to print what ``fit`` does and about how long each stage takes, once its first
        second and short fits to some of the rows have been timed; then each stage.

    Attributes
    ----------
    transformer_ : transformer
        The transformer with the fine-tuned encoder.
    regressor_ : regressor
        The linear regressor, trained together with the encoder.
    raw_columns_ : object or None
        Encoder of the raw columns; None if they are not joined.
    n_iter_ : int
        Number of epochs; 0 if the frozen encoder was best.
    loss_curve_ : list of float
        Mean loss of each epoch, for standardised targets.
    validation_loss_curve_ : list of float
        Loss on held-out targets before training and after each epoch, over all folds.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if all of them are strings.

    See Also
    --------
    PretrainedRegressor : Keeps the encoder frozen.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from skssl import FineTunedRegressor, SCARF
    >>> X, y = load_diabetes(return_X_y=True)
    >>> targets = np.where(np.arange(len(y)) < 200, y, np.nan)
    >>> scarf = SCARF(max_epochs=3, n_components=16, random_state=0)
    >>> model = FineTunedRegressor(scarf, max_epochs=20, random_state=0).fit(X, targets)
    >>> model.score(X[200:], y[200:]) > 0.3
    True
    """

    regressor = None  # the linear one

    _parameter_constraints: Constraints = BaseFineTuned._parameter_constraints

    def __init__(
        self,
        transformer: Any = None,
        *,
        passthrough: bool | Literal["auto"] = "auto",
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        encoder_lr_scale: float = 1.0,
        weight_decay: float = 1e-2,
        views: UsersViews | None = "auto",
        memory: Any = None,
        random_state: Seed = None,
        verbose: bool | int = False,
    ):
        self.transformer = transformer
        self.passthrough = passthrough
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.encoder_lr_scale = encoder_lr_scale
        self.weight_decay = weight_decay
        self.views = views
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def _default_predictor(self, n_embedding: int) -> Linear:
        return LinearRegressor()

    def _folds(self, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        if len(labels) > MANY_LABELS:
            return list(ShuffleSplit(1, test_size=0.2, random_state=0).split(labels))
        n_folds = min(N_FOLDS, len(labels) // 2)
        return (
            list(KFold(n_folds, shuffle=True, random_state=0).split(labels)) if n_folds > 1 else []
        )

    def _head(self, linear: Linear) -> Head:
        return Head(linear, *linear.target_scale_)

    def _targets(self, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        center, spread = self.regressor_.target_scale_
        target = torch.from_numpy(standardise(labels, center, spread))
        return target.float(), torch.ones(len(labels))

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        return (output[:, 0] - target).square()

    def _held_out_losses(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return self._losses(output, target)


def refit(
    linear: Linear, penalty: float, Z: np.ndarray, labels: np.ndarray, weight: np.ndarray
) -> Linear:
    """Fit a linear model with a given penalty to other rows."""
    return clone(linear).set_params(penalty=penalty).fit(Z, labels, sample_weight=weight)


def clearly_best(losses: Tensor) -> int:
    """Return the row of losses (n_epochs + 1, n) with the least mean, or 0 if row 0 is no worse.

    Row 0 is no worse if its mean is within a standard error of the difference; with ``ENOUGH``
    held-out rows, any difference counts.
    """
    best = int(losses.mean(1).argmin())
    gain = losses[0] - losses[best]
    error = 0.0 if len(gain) >= ENOUGH else gain.std() / len(gain) ** 0.5
    return best if gain.mean() > error else 0
