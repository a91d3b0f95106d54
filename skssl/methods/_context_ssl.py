"""ContextSSL."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl._data._draws import rand, randint
from skssl.base import Interval, Net, ReadsImages, ReadsTables, SSLTransformer, StrOptions
from skssl.base._context import TakesContext
from skssl.encoders import ContextEncoder, encode, width_of
from skssl.losses import context_nce, told_error
from skssl.methods._actions import find_actions
from skssl.views import View, crop_images

N_CONTEXTS, ROWS_PER_CONTEXT = 4, 32  # in a step: at most, and at least


class ContextSSL(TakesContext, ReadsTables, ReadsImages, SSLTransformer):
    """Learn one embedding for several tasks: a context says what it shall be sensitive to.

    Actions alter rows at random and say how: by which angle an image was turned, which columns of
    a row were replaced. A context is a few pairs, a row before and after, that tell of some actions
    and not of others. A small causal transformer reads it before it embeds a row: sensitive to
    the actions told, blind to the others. There is no context until :meth:`with_context` sets one.

    Parameters
    ----------
    actions : "auto" or list, default="auto"
        For images: ``"crop"``, ``"rotation"``, ``"hue"``, ``"brightness"``, ``"blur"``. For
        tables: a column, or a list of columns that are replaced together, by name or index. For
        both: a callable that maps a batch to the altered batch and the parameters of each row,
        (n, p), such as ``partial(rotation_action, degrees=180)``. ``"auto"`` is rotation and hue,
        or rotation and brightness of grey images; of a table, each column by itself.
    n_pairs : int, default=14
        Greatest number of pairs in a context.
    temperature : float, default=0.2
        Divides the similarities: the lower, the more weight similar rows have.
    symmetry : float, default=1.0
        Weight of the error of guessing the parameters told from the embeddings before and after.
    views : str or callable, default="auto"
        What the embedding is blind to in every context: alters rows after the actions. ``"auto"``
        crops images, and leaves tables as they are.
    n_components : int, default=128
        Width of the features of the default encoder, of the transformer and of the embedding.

    Attributes
    ----------
    actions_ : skssl.views.Actions
        Maps a batch to the altered batch and the parameters of each action.

    References
    ----------
    .. [1] Gupta, Wang, Wang, Jaakkola and Jegelka, "In-Context Symmetries: Self-Supervised
       Learning through Contextual World Models", NeurIPS 2024. https://arxiv.org/abs/2405.18193

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skssl import ContextSSL
    >>> X = load_digits().images[:200]
    >>> ssl = ContextSSL(modality="image", max_epochs=1, random_state=0).fit(X)
    >>> ssl.transform(X).shape, ssl.with_context("rotation", n=14).transform(X).shape
    ((200, 128), (200, 128))
    """

    n_components: int = 128
    actions: Literal["auto"] | Sequence[object] = "auto"
    n_pairs: int = 14
    temperature: float = 0.2
    symmetry: float = 1.0

    _negatives = True
    _modalities = ("table", "image")
    _parameter_constraints = {
        "actions": [StrOptions({"auto"}), list, tuple],
        "n_pairs": [Interval(Integral, 1, 1024, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "symmetry": [Interval(Real, 0, None, closed="left")],
    }

    def _views(self, augment: View) -> tuple[View, ...]:
        return (crop_images if self.views == "auto" else augment,)

    def _runs_other_code(self, encoder: nn.Module | None = None) -> bool:
        return any(map(callable, self.actions)) or super()._runs_other_code(encoder)

    def _build(self, net: Net, X: Tensor) -> None:
        names = getattr(self, "feature_names_in_", None)
        self.actions_ = net.actions = find_actions(self.actions, X, names)
        width, (_, parameters) = width_of(net.encoder, X), net.actions(X[:1024])
        if not isinstance(net.encoder, ContextEncoder):
            net.encoder = ContextEncoder(net.encoder, width, parameters)
        net.trunk = net.encoder  # a later partial_fit continues with the transformer, too
        layers = [nn.Linear(2 * width, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
        net.guess = nn.Sequential(*layers, nn.Linear(256, len(net.encoder.action)))

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """Alignment within contexts of random lengths, and the prediction of symmetries of [1].

        All rows that are told apart share their context, so that it gives none of them away.
        """
        n = len(x) // max(1, min(N_CONTEXTS, len(x) // ROWS_PER_CONTEXT))  # rows per context
        told = rand(len(x) // n, len(net.actions.functions)) < 0.5  # on the CPU, which acts on it
        copies, changes, changed = net.actions.twice(x, told)
        views = [net.views(copy.flatten(0, 1))[0] for copy in copies]
        features = encode(net.encoder.encoder, views)
        f, m = torch.stack(features, 1).unflatten(0, (-1, n)), min(self.n_pairs, n // 2)
        told, changes = x.new_tensor(told.tolist()), net.encoder.standardised(changes)
        context = net.encoder.make_context(f[:, :m, 0], f[:, :m, 1], changes[:, :m], told)
        length = randint(0, m + 1, told.shape[:1], device=x.device)
        z = net.encoder.embed(f[:, m:].flatten(1, 2), context, length).unflatten(1, (n - m, 3))
        before, first, second = z.unbind(2)
        guess = net.guess(F.normalize(z[:, :, :2], dim=3).flatten(2))
        error = told_error(guess, changes[:, m:], told[:, net.encoder.action])
        contrast = context_nce(before, first, second, changed[:, m:], self.temperature)
        return contrast + self.symmetry * error
