"""Several methods that train one encoder."""

import copy
from collections.abc import Hashable
from dataclasses import field
from typing import Any

from torch import Tensor, nn

from skssl._data._draws import Draws
from skssl._data._rows import RowsLike
from skssl.base import Net, ReconstructionMixin, SSLTransformer
from skssl.base._modalities import Modality
from skssl.encoders._sharing import Maker, SharedEncoder, SharedViews, encode, number_functions
from skssl.methods._tasks import ManyTasks, Tasks
from skssl.views import View, original


class MultiTask(ManyTasks):
    """Train one encoder on the weighted sum of several methods' losses.

    Each method has its own heads. Views that several methods share are made and encoded once per
    step. On tables, predicting swapped cells and contrasting rows together is better than either
    alone.

    Parameters
    ----------
    tasks : list of (str, transformer, float), default=None
        Name, method and weight of each task. Shared parameters (encoder, epochs, batch size,
        views, device, seed ...) are set here, not on the tasks. None is
        ``[("vime", VIME(p=0.3), 1.0), ("scarf", scarf, 0.2)]`` with ``scarf =
        SCARF(corruption=0.3, temperature=0.2, exact=False)``, trained for 375 steps at least.

    Attributes
    ----------
    decoder_ : torch.nn.Module
        The decoder of the first task that has one; absent if none has.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skssl import SCARF, DenoisingAutoencoder, MultiTask
    >>> X, _ = load_iris(return_X_y=True)
    >>> tasks = [("dae", DenoisingAutoencoder(), 1.0), ("scarf", SCARF(corruption=0.15), 0.2)]
    >>> MultiTask(tasks, n_components=8, max_epochs=5, random_state=0).fit_transform(X).shape
    (150, 8)
    """

    tasks: Tasks | None = field(default=None, kw_only=False)

    _parameter_constraints = {"tasks": [list, None]}

    def _scales_batches(self, row: Modality) -> bool:
        return any(task._scales_batches(row) for _, task, _ in self._tasks())

    def _copy_tasks(self) -> Tasks:
        """Return copies of the tasks that know the sampling rate and how rows are scaled."""
        copies = [(name, copy.copy(task), weight) for name, task, weight in self._tasks()]
        for _, task, _ in copies:
            task.__dict__.update(_scaler=self._scaler, sampling_rate=self.sampling_rate)
        return copies

    def _views(self, augment: View) -> tuple[View, ...]:
        return self._most_views(augment)[1]

    def _fewest_views(self, augment: View) -> int:
        return max(task._fewest_views(augment) for _, task, _ in self._copy_tasks())

    def _most_views(self, augment: View) -> tuple[SSLTransformer, tuple[View, ...]]:
        """Return the views of the task that has the most, and that task."""
        tasks = (task for _, task, _ in self._copy_tasks())
        return max(((task, task._views(augment)) for task in tasks), key=lambda pair: len(pair[1]))

    def _views_of(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        task, _ = self._most_views(original)
        task.encoder_, task.views_ = self.encoder_, self.views_
        return task._views_of(x)

    def _build(self, net: Net, X: Tensor) -> None:
        net.tasks, net.lr_scale = nn.ModuleDict(), {}
        net.shared, net.made = SharedEncoder(net.encoder), {}
        net.views_to_embed = SharedViews({}, net.made)
        numbers: dict[Hashable, int] = {}
        for name, task, _ in self._copy_tasks():
            space = net.tasks[name] = Net()
            space.columns, space.encoder = net.columns, net.encoder
            functions: dict[int, Maker] = {0: net.views}
            if isinstance(self.views, str):
                functions = number_functions(task._views(net.augment), numbers)
            space.views = SharedViews(functions, net.made)
            task._build(space, X)
            scales = getattr(space, "lr_scale", {})
            net.lr_scale.update({f"tasks.{name}.{part}": s for part, s in scales.items()})
            if space.encoder is net.encoder:  # false if the task reads other layers of the encoder
                del space.encoder
                space.encoder = net.shared
                if getattr(space, "student", None) is not net.encoder:
                    net.views_to_embed.functions |= functions  # others read steps, unpooled
                reconstructs = isinstance(task, ReconstructionMixin) and hasattr(space, "decoder")
                if reconstructs and not hasattr(net, "decoder"):
                    net.decoder = space.decoder

    def _make_net(self, rows: RowsLike, again: bool, draws: Draws) -> Net:
        net = super()._make_net(rows, again, draws)  # its tasks may have other parameters by now
        net.members = [(net.tasks[name], task, weight) for name, task, weight in self._copy_tasks()]
        return net

    def _loss(self, net: Net, x: Tensor) -> Tensor:
        """The weighted sum of the tasks' losses."""
        loss: Any = 0.0
        encode(net.shared, net.views_to_embed(x))
        for space, task, weight in net.members:
            space.step, space.progress, space.raw = net.step, net.progress, net.raw
            loss = loss + weight * task._loss(space, x)
            del space.raw
            if (shown := space.__dict__.pop("display_loss", None)) is not None:
                net.display_loss = shown if net.display_loss is None else net.display_loss + shown
        net.made.clear()
        net.shared.made.clear()
        return loss
