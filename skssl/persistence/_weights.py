"""Weights of loaded modules and estimators: of the shapes that their modules say, and finite."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import sparse
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase as BatchNorm
from torch.nn.modules.conv import _ConvNd as Conv

from skssl.encoders import QuantileScaler

OURS = __name__.partition(".")[0]
# of columns without a value, or with few; and cells in context, which may be missing
MAY_BE_INFINITE = {"knots", "thresholds", "x"}
# Arrays that transformers of scikit-learn compute from. Predictors compute from whatever they have
# learnt but for reports of the fit.
FINITE = {"cluster_centers_", "components_", "means_", "covariances_", "precisions_cholesky_"}
FINITE |= {"weights_", "scalings_", "embedding_", "intercept_hidden_", "intercept_visible_"}
REPORTS = (
    *("score", "criterion", "path", "curve", "gap", "ratio", "likelihood", "error", "alphas_"),
    "oob_",  # NaN in Bagging, for rows that all its estimators were trained on
)
LOGARITHM = "log"  # of a probability of 0


def check_weights(weights: Mapping[str, Tensor | None], what: str) -> None:
    """Raise ValueError if a weight is NaN or infinite."""
    for name, weight in weights.items():
        if weight is not None and weight.is_floating_point() and not weight.isfinite().all():
            raise ValueError(f"the {name} of a {what} is not finite, so that it would give NaN")


def check_module_weights(module: nn.Module) -> None:
    """Raise ValueError if weights of a module are not finite, or not of the shape that it says."""
    name = type(module).__name__
    members = module._parameters | module._buffers
    is_ours = type(module).__module__.partition(".")[0] == OURS
    ignored = MAY_BE_INFINITE if is_ours else set()
    check_weights({key: part for key, part in members.items() if key not in ignored}, name)
    if isinstance(module, BatchNorm) and module.running_var is not None:
        if (module.running_var < 0).any():
            raise ValueError(f"the running_var of a {name} is negative, so that it would give NaN")
    for cls, shapes in SHAPES.items():
        if isinstance(module, cls):
            for key, shape in shapes(module).items():
                part = members.get(key)
                if part is not None and tuple(part.shape) != tuple(shape):
                    raise ValueError(
                        f"the {key} of a {name} should be of shape {tuple(shape)}, and is of shape "
                        f"{tuple(part.shape)}"
                    )


def check_arrays(made: object) -> None:
    """Raise ValueError if numbers that an estimator predicts from are not finite."""
    is_ours = type(made).__module__.partition(".")[0] == OURS
    predicts = hasattr(type(made), "predict")
    for name, value in getattr(made, "__dict__", {}).items():
        is_fitted = name.endswith("_") or name.startswith("_")
        is_used = predicts and is_fitted and not any(word in name for word in REPORTS)
        if name not in FINITE and not is_ours and not is_used:
            continue
        for part in value if isinstance(value, list) else [value]:
            part = part.data if sparse.issparse(part) else part
            is_array = isinstance(part, np.ndarray) and part.dtype.kind == "f"
            is_number = isinstance(part, float | np.floating) and not is_ours
            numbers = np.asarray(part if is_array or is_number else 0.0)
            impossible = np.isinf(numbers) if LOGARITHM not in name else numbers == np.inf
            # Neighbours may have missing values, if their distance leaves these out.
            if name != "_fit_X" or getattr(made, "metric", None) != "nan_euclidean":
                impossible |= np.isnan(numbers)
            if impossible.any():
                raise ValueError(f"the {name} of its {type(made).__name__} is not finite")


def _of_convolution(module: Any) -> dict[str, tuple[int, ...]]:
    ends = module.out_channels, module.in_channels
    first, second = ends[::-1] if module.transposed else ends
    weight = (first, second // module.groups, *module.kernel_size)
    return {"weight": weight, "bias": (module.out_channels,)}


def _of_attention(module: Any) -> dict[str, tuple[int, ...]]:
    width = module.embed_dim
    return {"in_proj_weight": (3 * width, width), "in_proj_bias": (3 * width,)}


def _of_recurrent(module: Any) -> dict[str, tuple[int, ...]]:
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1) * module.hidden_size
    first = {"weight_ih_l0": (gates, module.input_size), "bias_ih_l0": (gates,)}
    out = module.proj_size or module.hidden_size
    return first | {"weight_hh_l0": (gates, out), "bias_hh_l0": (gates,)}


def _of_norm(module: Any) -> dict[str, tuple[int, ...]]:
    each = (module.num_features,)
    names = ("weight", "bias", "running_mean", "running_var")
    return dict.fromkeys(names, each) | {"num_batches_tracked": ()}


def _of_scaler(module: Any) -> dict[str, tuple[int, ...]]:
    each = (len(module.numeric), *module.knots.shape[1:])
    return dict.fromkeys(("knots", "values", "slopes"), each)


# The shapes of the weights of modules, from the numbers that they were made with.
SHAPES: dict[type, Callable[[Any], dict[str, tuple[int, ...]]]] = {
    nn.Linear: lambda m: {"weight": (m.out_features, m.in_features), "bias": (m.out_features,)},
    nn.Bilinear: lambda m: {"weight": (m.out_features, m.in1_features, m.in2_features)},
    nn.Embedding: lambda m: {"weight": (m.num_embeddings, m.embedding_dim)},
    nn.LayerNorm: lambda m: {"weight": m.normalized_shape, "bias": m.normalized_shape},
    nn.GroupNorm: lambda m: {"weight": (m.num_channels,), "bias": (m.num_channels,)},
    nn.PReLU: lambda m: {"weight": (m.num_parameters,)},
    QuantileScaler: _of_scaler,
    BatchNorm: _of_norm,
    Conv: _of_convolution,
    nn.MultiheadAttention: _of_attention,
    nn.RNNBase: _of_recurrent,
}
