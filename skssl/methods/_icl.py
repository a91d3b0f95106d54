"""Internal contrastive learning."""

from numbers import Integral, Real
from typing import Literal

from torch import Tensor, nn

from skssl.base import Interval, Net, ReadsTables, ScoresRows, SSLTransformer, StrOptions
from skssl.encoders import MLP, front_and_body, width_of
from skssl.losses import internal_contrast
from skssl.views import column_windows


class ICL(ScoresRows, ReadsTables, SSLTransformer):
    """Find each window of a row's columns, given the rest of the row, among all its windows.

    Rows are not compared with each other, and the nets do not know the position of a window: they
    learn how the columns of a normal row go together. A row whose windows are not found is an
    outlier. The embedding is the mean, over windows, of the encoder's output for the rest.

    Parameters
    ----------
    window : "auto" or int, default="auto"
        Number of neighbouring columns in a window; a category counts as one column per
        level. ``"auto"`` is 2 below 40 columns, 10 up to 160, and all but 150 above.
    n_windows : int, default=16
        Greatest number of windows; they are evenly spaced.
    temperature : float, default=0.01
        Divides the similarities: the lower, the more weight similar windows have.
    batch_size : "auto" or int, default=64
        Rows per step, each of which is embedded once per window; all of them if there are fewer.

    Attributes
    ----------
    scorer_ : torch.nn.Module
        Maps scaled rows to the embeddings of windows and rests, which the loss compares.
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this.

    References
    ----------
    .. [1] Shenkar and Wolf, "Anomaly Detection for Tabular Data with Internal Contrastive
       Learning", ICLR 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import ICL
    >>> X, _ = load_iris(return_X_y=True)
    >>> icl = ICL(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> icl.transform(X).shape, icl.score_samples(X).shape
    ((150, 8), (150,))
    """

    window: int | Literal["auto"] = "auto"
    n_windows: int = 16
    temperature: float = 0.01
    batch_size: int | Literal["auto"] = 64

    _parameter_constraints = {
        "window": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "n_windows": [Interval(Integral, 2, 2**16, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def _build(self, net: Net, X: Tensor) -> None:
        if X.shape[1] < 2:
            raise ValueError(
                f"ICL learns each window of columns from the others, and X has n_features = "
                f"{X.shape[1]}. Pass 2 columns or more, or take another method such as SCARF."
            )
        front, body = front_and_body(net.encoder)
        width = self._width(front.n_features_out)
        net.encoder = MeanOverRests(front, body, width, self.n_windows)
        rest = MLP(width_of(net.encoder, X), 256, 128)
        net.scorer = WindowsAndRests(net.encoder, MLP(width, 256, 128), rest)

    def _width(self, d: int) -> int:
        auto = 2 if d < 40 else 10 if d <= 160 else d - 150
        return max(1, min(auto if self.window == "auto" else self.window, d - 1))

    def _row_losses(self, scorer: nn.Module, x: Tensor) -> Tensor:
        """Equation 1 of [1]."""
        windows, rests = scorer(x)
        return internal_contrast(windows, rests, self.temperature)


class MeanOverRests(nn.Module):
    """Mean embedding, over windows, of the rest of a row."""

    _saved_as = "MeanOverRests"

    def __init__(self, front: nn.Module, body: nn.Module, width: int, n_windows: int):
        super().__init__()
        self.front, self.body = front, body
        self.width, self.n_windows = width, n_windows

    def each(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return windows (n, m, width) and embeddings of rests (n, m, n_components)."""
        windows, rests = column_windows(self.front(x), self.width, self.n_windows)
        return windows, self.body(rests.flatten(0, 1)).unflatten(0, rests.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        return self.each(x)[1].mean(1)


class WindowsAndRests(nn.Module):
    """Embeddings of windows and of rests, (n, m, 128) each, which the loss compares."""

    _saved_as = "WindowsAndRests"

    def __init__(self, encoder: nn.Module, window: nn.Module, rest: nn.Module):
        super().__init__()
        self.encoder, self.window, self.rest = encoder, window, rest

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        windows, rests = self.encoder.each(x)  # type: ignore[operator]
        parts = (self.window, windows), (self.rest, rests)
        return tuple(net(z.flatten(0, 1)).unflatten(0, z.shape[:2]) for net, z in parts)
