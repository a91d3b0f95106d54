"""State of methods that outlives a step: teachers that follow a student, and queues."""

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
        Module that :func:`follow` moves the teacher towards.

    Returns
    -------
    teacher : module
        The copy; its parameters require no gradient.
    """
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the weights of a teacher towards those of its student.

    Parameters
    ----------
    teacher, student : module
        Modules of the same architecture.
    momentum : float
        Share that each weight keeps; the rest comes from the student.
    """
    ours: list[Tensor] = list(teacher.parameters())
    theirs: list[Tensor] = list(student.parameters())
    torch._foreach_lerp_(ours, theirs, 1 - momentum)


def rising(start: float, progress: float) -> float:
    """Return a momentum that rises from ``start`` to 1 along half a cosine.

    Parameters
    ----------
    start : float
        Momentum at the start of the fit.
    progress : float
        From 0 to 1: ``net.progress``.

    Returns
    -------
    momentum : float
        The momentum for :func:`follow`.
    """
    return 1 - (1 - start) * (1 + math.cos(math.pi * progress)) / 2


class Queue(nn.Module):
    """A queue of past rows; the oldest are overwritten first. It starts with random directions.

    Parameters
    ----------
    size : int
        Number of rows kept.
    width : int
        Width of the rows.
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
        """Add the rows of z, scaled to unit length."""
        z = nn.functional.normalize(gather(z).to(self.rows), dim=1)[-len(self.rows) :]
        where = (self.place + torch.arange(len(z), device=z.device)) % len(self.rows)
        self.rows[where] = z
        self.place.add_(len(z)).remainder_(len(self.rows))
