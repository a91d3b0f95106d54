"""Layers of the in-context net: attention to the rows of a context, and their vote."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skssl.in_context._evidence import LEAST, N_KERNELS, N_RIDGES, STEEPNESS, Evidence

SHARPNESS = 10.0  # inverse temperature of the vote, at the start of training
USUAL_STEEPNESS = 4.0  # centre of the prior over STEEPNESS, at the start of training


class Trust(nn.Module):
    """Mixture weights of ridge regressions and steepnesses, from leave-one-out likelihoods."""

    _saved_as = "InContextTrust"

    def __init__(self) -> None:
        super().__init__()
        far = (torch.tensor(STEEPNESS) / USUAL_STEEPNESS).log().square()
        self.prior = nn.Parameter((-2 * far).repeat(N_RIDGES, 1))
        self.sharpness = nn.Parameter(torch.tensor(-1.0))

    def forward(self, scores: Tensor) -> Tensor:
        """Return the weights, (n_tables, N_RIDGES, len(STEEPNESS)); they sum to 1."""
        share = exact(self.prior) + exact(self.sharpness).exp() * scores
        return share.flatten(1).softmax(1).view(scores.shape)


class Vote(nn.Module):
    """The weights of labelled rows and of classes in a prediction."""

    _saved_as = "InContextVote"

    def __init__(self, width: int):
        super().__init__()
        self.voter = nn.Linear(width, width, bias=False)
        self.member = nn.Linear(width, width, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.mixture = nn.Parameter(torch.tensor(-3.0))
        self.rows_alike = nn.Parameter(torch.full((N_KERNELS,), 0.5))
        self.classes_alike = nn.Parameter(torch.zeros(N_KERNELS))
        self.nearness = nn.Parameter(torch.tensor(0.5))

    def look(self, rows: Tensor, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalized projections of the labelled rows, and of the class means."""
        means = one_hot.mT @ exact(self.member(rows)) / count_of(one_hot).mT
        return F.normalize(exact(self.voter(rows)), dim=-1), F.normalize(means, dim=-1)

    def forward(
        self,
        rows: Tensor,
        evidence: Evidence,
        trust: Tensor,
        voters: Tensor,
        members: Tensor,
        one_hot: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return weights, (n_tables, n, n_labelled) and (n_tables, n, n_classes)."""
        like = evidence.likeness[..., : one_hot.shape[1]]
        similarity = F.normalize(exact(self.voter(rows)), dim=-1) @ voters.mT
        vote = SHARPNESS * exact(self.sharpness).exp() * similarity
        vote = vote + _mixed(self.rows_alike, like)
        near = F.normalize(exact(self.member(rows)), dim=-1) @ members.mT
        near = exact(self.nearness) * near
        near = near + _mixed(self.classes_alike, like) @ one_hot / count_of(one_hot)
        told = evidence.probabilities(trust).to(near.dtype)
        logit = near + told.clamp(min=LEAST).log()
        logit = logit.masked_fill(one_hot.sum(1, keepdim=True) == 0, -torch.inf)
        mixture = exact(self.mixture).sigmoid()
        return mixture * vote.softmax(-1), (1 - mixture) * logit.softmax(-1)


def exact(x: Tensor) -> Tensor:
    """Return a tensor in float32 or wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _mixed(weight: Tensor, given: Tensor) -> Tensor:
    """Return the weighted sum over the second dimension."""
    weight = exact(weight)
    return torch.einsum("tk...,k->t...", given.to(weight.dtype), weight)


def count_of(one_hot: Tensor) -> Tensor:
    """Return the number of rows per class, at least 1, (n_tables, 1, n_classes)."""
    return one_hot.sum(1, keepdim=True).clamp(min=1)


class Label(nn.Module):
    """The label embeddings that are added to the keys and values of a context."""

    _saved_as = "InContextLabel"

    def __init__(self, n_given: int, width: int):
        super().__init__()
        self.made = nn.Linear(n_given, width, bias=False)
        self.unlabelled = nn.Parameter(torch.zeros(width))

    def forward(self, label: Tensor, y: Tensor, n_thinking: int, n: int) -> Tensor:
        """Return the embeddings, (n_tables, n, width); zero for the thinking rows, which lead."""
        made = self.made(label.to(self.made.weight.dtype))
        made = made.gather(1, y[..., None].expand(-1, -1, made.shape[-1]))
        n_unlabelled = n - n_thinking - made.shape[1]
        others = self.unlabelled.expand(len(made), n_unlabelled, -1)
        return torch.cat([made.new_zeros(len(made), n_thinking, made.shape[2]), made, others], 1)


class Block(nn.Module):
    """Attention over the rows of a context, then a multilayer perceptron."""

    _saved_as = "InContextBlock"

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.attention = Attention(width, n_heads)
        self.row_norm, self.norm = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def look(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of a context's tokens, with its label embeddings added."""
        return self.attention.look(self.row_norm(x) + labels)

    def forward(self, x: Tensor, seen: tuple[Tensor, Tensor], like: Tensor) -> Tensor:
        """Return the tokens of rows after attending to a context."""
        x = x + self.attention(self.row_norm(x), seen, like)
        return x + self.narrow(F.gelu(self.wide(self.norm(x))))


class Attention(nn.Module):
    """Multi-head attention with a bias towards similar rows; its output starts at zero."""

    _saved_as = "InContextAttention"

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.alike = nn.Parameter(torch.full((n_heads, N_KERNELS), 0.5))
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        nn.init.zeros_(self.out.weight)

    def look(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of a context (n_tables, n, width)."""
        return self._heads(self.key(context)), self._heads(self.value(context))

    def forward(self, x: Tensor, seen: tuple[Tensor, Tensor], like: Tensor) -> Tensor:
        """Return the attention output of each token of ``x``, (n_tables, n, width)."""
        query, (key, value) = self._heads(self.query(x)), seen
        bias = (self.alike @ like.flatten(2)).unflatten(2, like.shape[2:])
        # in bfloat16 on a CPU the formula is faster than torch's function
        score = query / math.sqrt(query.shape[3]) @ key.mT + bias
        return self.out((score.softmax(3) @ value).transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
