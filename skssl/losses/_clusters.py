"""Classification losses: rows predict their class, their cluster, or the teacher's output."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from skssl._ranks import gather, share
from skssl.losses._common import _several, _wide


def prototypical(
    z: Tensor, classes: Tensor, n_classes: int, n_shots: int = 1, temperature: float = 1.0
) -> Tensor:
    """Prototypical networks: classify rows by the nearest mean of a few examples per class.

    The first rows of each class are its examples, and their mean is its prototype. Every other
    row is classified. Classes without a row are ignored.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Embeddings, in random order.
    classes : Tensor of shape (n,), int64
        Class of each row, below ``n_classes``.
    n_classes : int
        Number of classes.
    n_shots : int, default=1
        Examples of each class.
    temperature : float, default=1.0
        Divides the squared Euclidean distances to the prototypes.

    Returns
    -------
    loss : Tensor of shape ()
        Mean of ``-log softmax_c(-|z - p_c|^2 / t)`` at the true class over the rows that are
        not examples; 0 if there are none.

    References
    ----------
    .. [1] Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning",
       NeurIPS 2017.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import prototypical
    >>> z = torch.tensor([[0.0], [1.0], [0.0]])
    >>> prototypical(z, torch.tensor([0, 1, 0]), 2).item()  # log(1 + exp(-1))
    0.313...
    """
    member = classes[:, None] == torch.arange(n_classes, device=z.device)
    example = member & (member.cumsum(0) <= n_shots)
    is_query = ~example.any(1)
    size = example.sum(0)
    z = _wide(z)
    weight = example.to(z.dtype) / size.clamp(min=1)
    prototype = _wide(weight.T @ z)
    centre = prototype.mean(0).detach()  # products lose the fewest digits near the origin
    z, prototype = z - centre, prototype - centre
    # |z|^2 is left out: it is the same for every class.
    distance = prototype.square().sum(1) - 2 * _wide(z @ prototype.T)
    logits = (-distance / temperature).masked_fill(size == 0, -torch.inf)
    error = F.cross_entropy(logits, classes, reduction="none")
    return (error * is_query).sum() / is_query.sum().clamp(min=1)


@torch.no_grad()
def sinkhorn(scores: Tensor, n_iterations: int = 3, epsilon: float = 0.05) -> Tensor:
    """Assign rows softly to prototypes so that all prototypes get about the same share.

    Rows and columns are normalised in turn. This is done on logarithms, in float32 or wider, so
    that no score overflows. Assignments are targets: no gradient flows through them.

    Parameters
    ----------
    scores : Tensor of shape (n, k)
        Similarity of each row to each prototype.
    n_iterations : int, default=3
        Number of normalisations: the more, the more equal the shares of the prototypes.
    epsilon : float, default=0.05
        Divides the scores: the lower, the closer each row is to a single prototype.

    Returns
    -------
    assignment : Tensor of shape (n, k)
        Each row sums to 1, each column to about n / k.

    References
    ----------
    .. [1] Cuturi, "Sinkhorn Distances", NeurIPS 2013; in online clustering, Caron et al.,
       "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
       NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import sinkhorn
    >>> sinkhorn(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))  # both want the first
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    log = gather(_wide(scores)) / epsilon
    for _ in range(n_iterations):
        log = (log - log.logsumexp(0)).log_softmax(1)
    return share(log.exp())


def swapped_prediction(
    scores: Sequence[Tensor], targets: Sequence[Tensor], temperature: float = 0.1
) -> Tensor:
    """Predict the assignment of a row from its other views: the loss of SwAV.

    Parameters
    ----------
    scores : sequence of Tensor of shape (n, k)
        Similarity of each row to each prototype, view by view.
    targets : sequence of Tensor of shape (n, k)
        Assignments of the first ``len(targets)`` views, each row summing to 1; usually
        :func:`sinkhorn` of their scores.
    temperature : float, default=0.1
        Divides the scores.

    Returns
    -------
    loss : Tensor of shape ()
        Cross-entropy ``-sum_k q_k log softmax_k(s / t)``, averaged over rows and over pairs of
        a target and another view.

    Raises
    ------
    ValueError
        If there is only one view.

    References
    ----------
    .. [1] Caron, Misra, Mairal, Goyal, Bojanowski and Joulin, "Unsupervised Learning of
       Visual Features by Contrasting Cluster Assignments", NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import sinkhorn, swapped_prediction
    >>> scores = [torch.eye(2), torch.eye(2)]
    >>> swapped_prediction(scores, [sinkhorn(s) for s in scores], 1.0).item()
    0.313...
    """
    _several(scores, "swapped_prediction")
    errors = []
    for view, score in enumerate(scores):
        others = [target for i, target in enumerate(targets) if i != view]
        if others:
            log = (_wide(score) / temperature).log_softmax(1)
            errors.append(-(torch.stack(others).sum(0) * log).sum(1).mean())
    n_pairs = len(targets) * (len(scores) - 1)
    return torch.stack(errors).sum() / n_pairs


def dino(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    center: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Tensor:
    """Self-distillation without labels: the student predicts the teacher's other views.

    Parameters
    ----------
    student : sequence of Tensor of shape (n, k)
        The student's outputs, view by view.
    teacher : sequence of Tensor of shape (n, k)
        The teacher's outputs of the first so many views. No gradient passes.
    center : Tensor of shape (k,) or (1, k)
        Running mean of the teacher's outputs, which is taken off them.
    student_temperature, teacher_temperature : float, default=0.1 and 0.04
        Divide the outputs. The teacher's is the lower one: its distribution is the sharper.

    Returns
    -------
    loss : Tensor of shape ()
        Mean over rows and over pairs of a teacher's and another student's view of the
        cross-entropy.

    Raises
    ------
    ValueError
        If there is only one view.

    References
    ----------
    .. [1] Caron, Touvron, Misra, Jegou, Mairal, Bojanowski and Joulin, "Emerging Properties
       in Self-Supervised Vision Transformers", ICCV 2021.

    Examples
    --------
    >>> import torch
    >>> from skssl.losses import dino
    >>> z = [torch.eye(2), torch.eye(2)]
    >>> dino(z, z, torch.zeros(2), 1.0, 0.01).item()  # log(1 + exp(-1))
    0.313...
    """
    targets = [
        ((_wide(view.detach()) - center) / teacher_temperature).softmax(1) for view in teacher
    ]
    return swapped_prediction(student, targets, student_temperature)
