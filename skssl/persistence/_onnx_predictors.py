"""What stands behind an encoder, as modules: our classifiers and regressors."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from torch import Tensor, nn

from skssl._compat import is_forest, rows_of
from skssl.persistence._onnx_graph import Graph, Value
from skssl.semi_supervised._ensemble import Ensemble, LeastSquares, Sharpened
from skssl.semi_supervised._linear import Linear
from skssl.semi_supervised._propagation import (
    NeighborGraph,
    PropagatedClassifier,
    PropagatedRegressor,
)
from skssl.semi_supervised._prototypes import PrototypeClassifier

FLOAT32 = np.dtype(np.float32)


def add_predictor(graph: Graph, predictor: Any, z: Value) -> Value | None:
    """Add a classifier or regressor of skssl; return its probabilities or predictions (n, 1).

    Return None for other estimators.
    """
    if isinstance(predictor, Ensemble):
        return _add_ensemble(graph, predictor, z)
    if isinstance(predictor, Linear):
        affine = Affine(
            predictor.mean_, predictor.coef_.T / predictor.scale_[:, None], predictor.intercept_
        )
        parts: list[nn.Module] = [affine]
    elif isinstance(predictor, PrototypeClassifier):
        is_cosine = predictor.metric == "cosine"
        to = normalize(predictor.prototypes_) if is_cosine else 2 * predictor.prototypes_
        bias = 0.0 if is_cosine else -np.square(predictor.prototypes_).sum(1)  # |z|^2 cancels
        affine = Affine(0.0, to.T / predictor.temperature_, bias / predictor.temperature_)
        parts = [UnitLength(), affine] if is_cosine else [affine]
    else:
        return None
    if hasattr(predictor, "classes_"):
        parts.append(nn.Softmax(1))
    return graph.module(nn.Sequential(*parts, Single()), z)[0]


def _add_ensemble(graph: Graph, ensemble: Ensemble, z: Value) -> Value:
    """Add a mixture: skl2onnx converts its forests, and torch exports all else at once."""
    members = ensemble.members_
    trees = [(weight, member) for weight, member in members if forest_of(member.estimator)]
    n_outputs = len(ensemble.classes_) if hasattr(ensemble, "classes_") else 1
    mixture = Mixture(ensemble, [member.features for _, member in trees], n_outputs)
    total, *read = graph.module(mixture, z)
    name = total.name
    for (weight, member), features in zip(trees, read, strict=True):
        said = graph.estimator(forest_of(member.estimator), features)[-1].name
        if isinstance(member.estimator, Sharpened):
            power = graph.node("Pow", said, _number(graph, member.estimator.power))
            sharp = graph.node("Add", power, _number(graph, 1e-9))
            sums = graph.node("ReduceSum", sharp, graph.constant(np.array([1])), keepdims=1)
            said = graph.node("Div", sharp, sums)
        name = graph.node("Add", name, graph.node("Mul", said, _number(graph, weight)))
    return Value(name, FLOAT32, (None, n_outputs))


def forest_of(model: Any) -> BaseEstimator | None:
    """Return the forest inside a member, sharpened or not, or None."""
    model = getattr(model, "classifier_", model)
    return model if is_forest(model) else None


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.array(value, FLOAT32))


class Affine(nn.Module):
    """``(x - mean) @ weight + bias``, in float64."""

    mean: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self, mean: np.ndarray | float, weight: np.ndarray | float, bias: np.ndarray | float = 0.0
    ):
        super().__init__()
        for name, value in {"mean": mean, "weight": weight, "bias": bias}.items():
            self.register_buffer(name, torch.as_tensor(np.array(value, np.float64)))

    def forward(self, x: Tensor) -> Tensor:
        return (x.double() - self.mean) @ self.weight + self.bias


class Scaled(nn.Module):
    """Selected columns minus their means, times their scales, in float64."""

    kept: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, mean: np.ndarray, scale: np.ndarray, kept: np.ndarray):
        super().__init__()
        self.register_buffer("kept", torch.from_numpy(kept))
        self.register_buffer("mean", torch.from_numpy(mean[kept]))
        self.register_buffer("scale", torch.from_numpy(scale[kept]))

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, self.kept].double() - self.mean) * self.scale


class Single(nn.Module):
    """Numbers as float32."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float()


class UnitLength(nn.Module):
    """Rows of length 1."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x.double(), dim=1)


class Mixture(nn.Module):
    """Weighted sum of the members that are not forests, and the forests' features.

    Parameters
    ----------
    ensemble : EnsembleClassifier or EnsembleRegressor
        Fitted.
    for_forests : list of (str, float)
        Keys of the forests' features.
    n_outputs : int
        Number of outputs of a member per row.
    """

    def __init__(self, ensemble: Ensemble, for_forests: list[BaseEstimator], n_outputs: int):
        super().__init__()
        self.keys, self.n_outputs = list(ensemble.features_), n_outputs
        self.for_forests = [self.keys.index(key) for key in for_forests]
        others = [(w, member) for w, member in ensemble.members_ if not forest_of(member.estimator)]
        self.weights = [float(weight) for weight, _ in others]
        self.reads = [self.keys.index(member.features) for _, member in others]
        self.features = nn.ModuleList(map(_feature, ensemble.features_.values()))
        self.members = nn.ModuleList(_member(member.estimator) for _, member in others)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        read = [feature(x.double()) for feature in self.features]
        total = x.new_zeros(x.shape[0], self.n_outputs, dtype=torch.float64)
        for weight, i, member in zip(self.weights, self.reads, self.members, strict=True):
            total = total + weight * member(read[i])
        return total.float(), *(read[i].float() for i in self.for_forests)


def _feature(feature: BaseEstimator) -> nn.Module:
    """Return the module of features: a scaler, alone or with a span or a neighbour graph."""
    scaler, *more = feature if hasattr(feature, "steps") else [feature]
    made: list[nn.Module] = [Scaled(scaler.mean_, scaler.scale_, scaler.kept_)]
    for step in more:
        is_graph = isinstance(step, NeighborGraph)
        made.append(Near(step) if is_graph else Affine(step.mean_, step.basis_))
    return nn.Sequential(*made)


def _member(model: Any) -> nn.Module:
    """Return the module of a fitted member: from its features to its predictions."""
    if isinstance(model, Sharpened):
        return nn.Sequential(_member(model.classifier_), Power(model.power))
    if isinstance(model, LeastSquares):
        regression = model.regression_
        return nn.Sequential(Affine(0.0, regression.coef_.T, regression.intercept_), Shares())
    if isinstance(model, PropagatedClassifier):
        return MeanOverNodes(model.shares_)
    if isinstance(model, PropagatedRegressor):
        return MeanOverNodes(model.values_[:, None])
    if isinstance(model, LogisticRegression):
        weight, bias = model.coef_.T, model.intercept_
        if weight.shape[1] == 1:
            weight, bias = weight * [[0, 1]], bias * [0, 1]
        return nn.Sequential(Affine(0.0, weight, bias), nn.Softmax(1))
    return Affine(0.0, model.coef_[:, None], model.intercept_)


class Power(nn.Module):
    """Probabilities raised to a power: :class:`Sharpened`."""

    def __init__(self, power: int):
        super().__init__()
        self.power = power

    def forward(self, x: Tensor) -> Tensor:
        sharp = x**self.power + 1e-9
        return sharp / sharp.sum(1, keepdim=True)


class Shares(nn.Module):
    """Numbers clipped to at least 0.01, divided by their sum: :class:`LeastSquares`."""

    def forward(self, x: Tensor) -> Tensor:
        least = x.clamp(min=0.01)
        return least / least.sum(1, keepdim=True)


class Near(nn.Module):
    """The nearest nodes of a :class:`NeighborGraph` and their weights."""

    nodes: Tensor

    def __init__(self, graph: NeighborGraph):
        super().__init__()
        self.n_neighbors, self.width = graph.neighbors_.n_neighbors, float(graph.width_)
        self.register_buffer("nodes", torch.from_numpy(rows_of(graph.neighbors_)).double())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.float().double()  # in the precision of the nodes
        squared = x.square().sum(1, keepdim=True) + self.nodes.square().sum(1)
        squared = (squared - 2 * x @ self.nodes.T).clamp(min=0)
        nearest, index = squared.topk(self.n_neighbors, largest=False)
        weights = (-nearest / self.width**2).exp() + torch.finfo(torch.float64).tiny
        is_node = nearest[:, :1] < (1e-3 * self.width) ** 2
        weights = torch.cat([weights[:, :1], weights[:, 1:].masked_fill(is_node, 0.0)], 1)
        return weights / weights.sum(1, keepdim=True), index


class MeanOverNodes(nn.Module):
    """The weighted mean of the known values of the nearest nodes."""

    known: Tensor

    def __init__(self, known: np.ndarray):
        super().__init__()
        self.register_buffer("known", torch.from_numpy(known))

    def forward(self, near: tuple[Tensor, Tensor]) -> Tensor:
        weights, index = near
        return (weights[:, :, None] * self.known[index]).sum(1)
