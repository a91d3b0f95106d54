"""The memory of methods: teachers that follow a student, and queues."""

import copy
import math

import torch
from torch import Tensor, nn

from skssl._ranks import gather


def teacher_of(student: nn.Module) -> nn.Module:
    """Copy a module into a teacher that no optimizer trains.

    Parameters
    ----------
    student : module
        What :func:`follow` will move the teacher towards.

    Returns
    -------
    teacher : module
        Its parameters need no gradient.
    """
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move a teacher's weights towards its student's: the share ``momentum`` stays.

    Parameters
    ----------
    teacher, student : module
        Of one architecture.
    momentum : float
        The share of itself that each weight keeps.
    """
    ours: list[Tensor] = list(teacher.parameters())
    theirs: list[Tensor] = list(student.parameters())
    torch._foreach_lerp_(ours, theirs, 1 - momentum)


def rising(start: float, progress: float) -> float:
    """Return a momentum that rises from ``start`` to 1 along half a cosine.

    Parameters
    ----------
    start : float
        Momentum at the beginning of the fit.
    progress : float
        From 0 to 1: ``net.progress``.

    Returns
    -------
    momentum : float
        What :func:`follow` takes.
    """
    return 1 - (1 - start) * (1 + math.cos(math.pi * progress)) / 2


class Queue(nn.Module):
    """The last rows that passed, oldest overwritten first; random directions to begin with.

    Parameters
    ----------
    size : int
        Number of rows kept.
    width : int
        Their width.
    """

    _saved_as = "Queue"
    rows: Tensor
    place: Tensor

    def __init__(self, size: int, width: int):
        super().__init__()
        self.register_buffer("rows", nn.functional.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, z: Tensor) -> None:
        """Keep the rows of z, scaled to unit length."""
        z = nn.functional.normalize(gather(z).to(self.rows), dim=1)[-len(self.rows) :]
        where = (self.place + torch.arange(len(z), device=z.device)) % len(self.rows)
        self.rows[where] = z
        self.place.add_(len(z)).remainder_(len(self.rows))
