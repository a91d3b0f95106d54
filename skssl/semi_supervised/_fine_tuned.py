"""Meta-estimators whose encoder goes on learning, from labels."""

from numbers import Real
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor

from skssl._compat import Interval, StrOptions
from skssl.model_selection import FewLabelsKFold
from skssl.semi_supervised._base import WithClasses, WithTargets
from skssl.semi_supervised._fine_tuning import FineTuned, Head
from skssl.semi_supervised._linear import LinearClassifier, LinearRegressor

N_FOLDS = 3
TEMPERATURES = np.geomspace(0.2, 5, 15).tolist()
MANY_LABELS = 2000  # from here on one split into four fifths and a fifth is enough


class FineTunedClassifier(FineTuned, WithClasses):
    """Learn an encoder from all rows, then let it and a linear classifier learn from labels.

    The frozen encoder comes first: a logistic regression on its embedding, and on raw columns
    where they are joined. From there encoder and classifier are trained together. How many
    epochs do good is found by cross-validation on the labels. Where none do, below 300 labels by
    more than a standard error, the encoder stays as it was [1]_.

    Parameters
    ----------
    transformer : transformer, default=None
        What learns the embedding: a self-supervised transformer, or a Pipeline that ends in one.
        None is what :class:`PretrainedClassifier` takes. One wrapped in
        :class:`~sklearn.frozen.FrozenEstimator` is not pretrained again; it is not changed either,
        a copy is.
    passthrough : bool or "auto", default="auto"
        Whether the linear classifier reads raw columns, too, as in :class:`PretrainedClassifier`.
    max_epochs : int or "auto", default="auto"
        Most passes over the labelled rows. ``"auto"`` is 40, but at least 200 steps and at most
        3 000.
    batch_size : int, default=64
        Labelled rows a step.
    learning_rate : float, default=1e-3
        Peak of the linear classifier's rate.
    encoder_lr_scale : float, default=1.0
        The encoder's rate is so many times that; 0 leaves it as it was.
    weight_decay : float, default=1e-2
        AdamW's.
    label_smoothing : float, default=0.0
        Share of the probability that every class gets in training.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss.
    views : "auto", str, callable or None, default="auto"
        What alters rows in training: the name of a chain of views, or a function of a scaled
        batch. ``"auto"`` is "weak" for images, clips, series and recordings, and None for other
        data, which are not altered.
    memory : str or joblib.Memory, default=None
        Where to keep pretrained transformers, as in :class:`PretrainedClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seeds pretraining and training.

    Attributes
    ----------
    transformer_ : transformer
        The transformer, with the encoder as labels left it: ``transform`` embeds by that.
    classifier_ : classifier
        The linear classifier, trained along.
    raw_columns_ : object or None
        What encodes the raw columns; None where they are not joined.
    classes_ : ndarray of shape (n_classes,)
        The labels, without the mark of unlabelled rows.
    n_iter_ : int
        Number of epochs; 0 where the frozen encoder was best.
    loss_curve_ : list of float
        Mean loss of each of them.
    validation_loss_curve_ : list of float
        Squared error of the probabilities of held-out labels (Brier score) before training and
        after each epoch, over all folds, at the temperature that suits best.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all of them are strings.

    See Also
    --------
    PretrainedClassifier : Leaves the encoder frozen; better with few labels.

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

    _parameter_constraints: dict[str, list[Any]] = {
        **FineTuned._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        transformer: Any = None,
        *,
        passthrough: Any = "auto",
        max_epochs: Any = "auto",
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        encoder_lr_scale: float = 1.0,
        weight_decay: float = 1e-2,
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        views: Any = "auto",
        memory: Any = None,
        random_state: Any = None,
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

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Train for one pass over a chunk of labelled rows; the first chunk is fitted.

        Parameters
        ----------
        X : array-like or dataframe of shape (n_samples, ...)
            Rows like those seen in ``fit``.
        y : array-like of shape (n_samples,)
            Their labels; rows without one are left out. The first chunk has every class.
        classes : array-like, default=None
            All classes, for whoever passes them on.

        Returns
        -------
        self : object
            The estimator, trained further.
        """
        return super().partial_fit(X, y)

    def _default_end(self, n_embedding: int) -> Any:
        return LinearClassifier(class_weight=self.class_weight)

    def _folds(self, labels: np.ndarray) -> list[Any]:
        codes = np.unique(labels, return_inverse=True)[1]
        if len(codes) > MANY_LABELS:
            return list(FewLabelsKFold(5).split(codes, codes))[:1]
        return list(FewLabelsKFold(N_FOLDS).split(codes, codes))

    def _head(self, linear: Any) -> Head:
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
        """Return squared errors of probabilities, at the temperature that suits best.

        Training makes nets too sure of themselves. A logarithm would let the few rows that they
        are surely wrong about outweigh all that they got right.
        """
        true = F.one_hot(target, output.shape[1])
        by_row = [((output / t).softmax(1) - true).square().sum(1) for t in TEMPERATURES]
        return min(by_row, key=lambda losses: float(weight @ losses))


class FineTunedRegressor(FineTuned, WithTargets):
    """Learn an encoder from all rows, then let it and a linear regressor learn from targets.

    :class:`FineTunedClassifier` for numbers: a ridge regression on the frozen embedding, from
    which encoder and regressor are trained together for as many epochs as do good on held-out
    targets, by squared error.

    Parameters
    ----------
    transformer : transformer, default=None
        What learns the embedding, as in :class:`FineTunedClassifier`.
    passthrough : bool or "auto", default="auto"
        Whether the linear regressor reads raw columns, too.
    max_epochs : int or "auto", default="auto"
        Most passes over the labelled rows, as in :class:`FineTunedClassifier`.
    batch_size : int, default=64
        Labelled rows a step.
    learning_rate : float, default=1e-3
        Peak of the linear regressor's rate.
    encoder_lr_scale : float, default=1.0
        The encoder's rate is so many times that; 0 leaves it as it was.
    weight_decay : float, default=1e-2
        AdamW's.
    views : "auto", str, callable or None, default="auto"
        What alters rows in training, as in :class:`FineTunedClassifier`.
    memory : str or joblib.Memory, default=None
        Where to keep pretrained transformers.
    random_state : int, RandomState instance or None, default=None
        Seeds pretraining and training.

    Attributes
    ----------
    transformer_ : transformer
        The transformer, with the encoder as targets left it.
    regressor_ : regressor
        The linear regressor, trained along.
    raw_columns_ : object or None
        What encodes the raw columns; None where they are not joined.
    n_iter_ : int
        Number of epochs; 0 where the frozen encoder was best.
    loss_curve_ : list of float
        Mean loss of each of them, of standardised targets.
    validation_loss_curve_ : list of float
        Loss of held-out targets before training and after each epoch, over all folds.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where all of them are strings.

    See Also
    --------
    PretrainedRegressor : Leaves the encoder frozen.

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

    _parameter_constraints: dict[str, list[Any]] = FineTuned._parameter_constraints

    def __init__(
        self,
        transformer: Any = None,
        *,
        passthrough: Any = "auto",
        max_epochs: Any = "auto",
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        encoder_lr_scale: float = 1.0,
        weight_decay: float = 1e-2,
        views: Any = "auto",
        memory: Any = None,
        random_state: Any = None,
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

    def _default_end(self, n_embedding: int) -> Any:
        return LinearRegressor()

    def _folds(self, labels: np.ndarray) -> list[Any]:
        if len(labels) > MANY_LABELS:
            return list(ShuffleSplit(1, test_size=0.2, random_state=0).split(labels))
        n_folds = min(N_FOLDS, len(labels) // 2)
        return (
            list(KFold(n_folds, shuffle=True, random_state=0).split(labels)) if n_folds > 1 else []
        )

    def _head(self, linear: Any) -> Head:
        return Head(linear, *linear.target_scale_)

    def _targets(self, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        center, spread = self.regressor_.target_scale_
        target = torch.from_numpy((np.asarray(labels, dtype=np.float64) - center) / spread)
        return target.float(), torch.ones(len(labels))

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        return (output[:, 0] - target).square()

    def _held_out_losses(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return self._losses(output, target)
