"""Private or version-dependent scikit-learn symbols, optional packages, and the hardware."""

import contextlib
import functools
import importlib
import inspect
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from numbers import Integral
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar

import narwhals.stable.v2 as nw
import numpy as np
import sklearn
import torch
from sklearn.base import BaseEstimator
from sklearn.base import _fit_context as fit_context
from sklearn.model_selection._split import GroupsConsumerMixin
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import _raise_for_params as refuse_unrouted
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
)
from sklearn.utils._param_validation import validate_params as check_arguments
from sklearn.utils._set_output import _get_output_config as output_of
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import _check_method_params as take_metadata
from sklearn.utils.validation import _num_samples


def take_rows(X: object, rows: np.ndarray | slice) -> Any:
    """Return some rows of X; scikit-learn cannot take those of an Arrow index."""
    return X[rows] if nw.dependencies.is_pandas_index(X) else _safe_indexing(X, rows)


class VersionError(RuntimeError):
    """A package is older than a feature needs; the lower bounds of skssl allow it."""


try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9

    class NoCallbacks:
        """A task without callbacks; its subtasks are the same."""

        def subcontext(self, **_: Any) -> Self:
            """Return the task of a part."""
            return self

        def call_on_fit_task_begin(self, **_: Any) -> Self:
            """Do nothing."""
            return self

        def call_on_fit_task_end(self, **_: Any) -> bool:
            """Return False: no callback asks to stop."""
            return False

        def propagate_callback_context(self, _: Any) -> contextlib.AbstractContextManager[None]:
            """Return a block that propagates nothing."""
            return contextlib.nullcontext()

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Mixin of estimators: setting a callback says which scikit-learn it needs."""

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Raise VersionError, unless there are none to set."""
            if callbacks:
                raise VersionError(
                    f"Callbacks need scikit-learn 1.9 or newer, this is {sklearn.__version__}: "
                    "pip install 'scikit-learn>=1.9'. Everything else works without them."
                )
            return self

        def _init_callback_context(self, **_: Any) -> NoCallbacks:
            return NoCallbacks()


__all__ = [
    "BaseComposition",
    "BaseHistGradientBoosting",
    "CallbackSupportMixin",
    "Estimator",
    "GroupsConsumerMixin",
    "HasMethods",
    "Interval",
    "Options",
    "PREDICTOR_RECORD_DTYPE",
    "Seed",
    "StrOptions",
    "Task",
    "Tree",
    "TreePredictor",
    "choose_device",
    "choose_dtype",
    "count_rows",
    "fit_context",
    "import_onnx",
    "import_pyarrow",
    "import_pyplot",
    "import_safetensors",
    "import_skl2onnx",
    "is_exporting",
    "is_forest",
    "loss_classes",
    "make_byte_pairs",
    "output_of",
    "plain_torch",
    "refuse_unrouted",
    "rows_of",
    "run_compiled",
    "take_metadata",
    "take_rows",
    "train_byte_pairs",
    "validate_params",
]


class Task(Protocol):
    """A task that callbacks follow: a fit, or a part of one."""

    task_name: str
    task_id: int
    max_subtasks: int | None
    init_time: datetime
    parent: "Task"

    def subcontext(self, *, task_name: str, max_subtasks: int | None = 0) -> "Task":
        """Return the task of a part."""
        ...

    def call_on_fit_task_begin(self, **data: Any) -> "Task":
        """Tell callbacks that the task begins."""
        ...

    def call_on_fit_task_end(self, **data: Any) -> bool:
        """Tell callbacks that the task ends, and return whether one asks to stop."""
        ...

    def propagate_callback_context(self, estimator: Any) -> contextlib.AbstractContextManager[None]:
        """Propagate callbacks to an estimator inside the block."""
        ...


Constraints = dict[str, list[Any]]  # of parameters: what scikit-learn checks
Seed = int | np.random.RandomState | None  # what random_state takes
P = ParamSpec("P")
T = TypeVar("T")
LARGEST = 2**31 - 1  # whole number that a parameter may be
GREATEST = 1e30  # and any other number: float32 ends at 3e38


def as_python(value: object) -> object:
    """Return a number, truth value or text of numpy as the Python object, anything else as is.

    torch refuses numpy's integers in places, and sums of narrow ones overflow without a word.
    """
    if isinstance(value, np.floating):
        # 0.7, where float32 holds 0.69999999; str would depend on numpy's print options
        return float(np.format_float_scientific(value))
    if isinstance(value, np.integer) and not isinstance(value, np.timedelta64):
        return int(value)
    return value.item() if isinstance(value, (np.bool_, np.str_)) else value


def refuse_absurd(
    owner: str, given: Mapping[str, object], constraints: Mapping[str, Iterable[object]]
) -> None:
    """Raise if a parameter without an upper bound is a number that no fit can mean."""
    for name, value in given.items():
        if not isinstance(value, (int, float)) or abs(value) <= LARGEST:
            continue
        intervals = [one for one in constraints.get(name, ()) if isinstance(one, Interval)]
        fits = [one for one in intervals if one.is_satisfied_by(value)]
        most = LARGEST if any(one.type is Integral for one in fits) else GREATEST
        if fits and abs(value) > most:
            raise ValueError(
                f"The {name!r} parameter of {owner} is a number of at most {most:.0f}; got "
                f"{value!r}, which is more than can be computed with. Pass a smaller number."
            )


class Estimator(BaseEstimator):
    """Base of our estimators: parameters are Python's numbers, and none is absurdly large."""

    _parameter_constraints: Constraints

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; a parameter becomes Python's number, as searches pass numpy's."""
        if isinstance(value, np.generic) and name in self._parameter_constraints:
            value = as_python(value)
        super().__setattr__(name, value)

    def _validate_params(self) -> None:
        super()._validate_params()
        constraints = self._parameter_constraints
        given = {name: getattr(self, name, None) for name in constraints}
        refuse_absurd(type(self).__name__, given, constraints)


def validate_params(
    constraints: Mapping[str, Iterable[object]], *, prefer_skip_nested_validation: bool
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return scikit-learn's check of arguments, which become Python's numbers before it."""
    skip = prefer_skip_nested_validation
    check = check_arguments(constraints, prefer_skip_nested_validation=skip)

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        checked, signature = check(function), inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(*args, **kwargs)
            given.arguments |= {name: as_python(one) for name, one in given.arguments.items()}
            refuse_absurd(function.__qualname__, given.arguments, constraints)
            return checked(*given.args, **given.kwargs)

        return call

    return decorate


# Importing these loads all of scikit-learn's ensembles, so it is done when one is first used.
_TREES = {
    "BaseHistGradientBoosting": "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
    "PREDICTOR_RECORD_DTYPE": "sklearn.ensemble._hist_gradient_boosting.common",
    "Tree": "sklearn.tree._tree",
    "TreePredictor": "sklearn.ensemble._hist_gradient_boosting.predictor",
}

if TYPE_CHECKING:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree
    from tokenizers import Tokenizer
else:

    def __getattr__(name: str) -> Any:
        """Load a class of scikit-learn's trees when it is first used."""
        if name not in _TREES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_TREES[name]), name)


# Tells whether torch.export traces a module; torch < 2.7 has no word for it.
is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", bool)


def is_forest(model: Any) -> bool:
    """Tell whether a model passes rows to its trees unchanged."""
    from sklearn.ensemble._forest import BaseForest  # slow to import
    from sklearn.ensemble._gb import BaseGradientBoosting

    return isinstance(model, (BaseForest, BaseGradientBoosting))


def _optional(need: str, extra: str, *modules: str) -> ModuleType:
    """Import modules and return the first, or say what needs them and how to install them."""
    try:
        return [importlib.import_module(module) for module in modules][0]
    except ImportError as error:
        raise ImportError(f"{need}: pip install skssl[{extra}]") from error


def import_pyplot() -> ModuleType:
    """Return matplotlib.pyplot, or say how to install it."""
    return _optional("Figures need matplotlib", "plot", "matplotlib.pyplot")


def import_pyarrow() -> ModuleType:
    """Return pyarrow with its datasets and Parquet, or say how to install it."""
    modules = "pyarrow", "pyarrow.dataset", "pyarrow.parquet"
    return _optional("Parquet and datasets need pyarrow", "arrow", *modules)


def import_safetensors() -> ModuleType:
    """Return safetensors.torch, or say how to install it."""
    return _optional("Saving and loading need safetensors", "persistence", "safetensors.torch")


def import_onnx() -> ModuleType:
    """Return onnx, or say how to install it and what torch exports by."""
    modules = "onnx", "onnx.compose", "onnxscript"
    onnx = _optional("ONNX needs onnx and onnxscript", "onnx", *modules)
    if not hasattr(torch.onnx, "ops"):
        raise VersionError(
            f"ONNX needs torch 2.8 or newer, this is {torch.__version__}: "
            "pip install -U skssl[onnx]. Everything else works without it."
        )
    return onnx


def import_skl2onnx() -> ModuleType:
    """Return skl2onnx, or say how to install it."""
    return _optional("Estimators of scikit-learn become ONNX by skl2onnx", "onnx", "skl2onnx")


def _tokenizers() -> ModuleType:
    return _optional("Byte pairs need tokenizers", "text", "tokenizers")


def make_byte_pairs(vocab: dict[str, int], merges: list[tuple[str, str]]) -> "Tokenizer":
    """Return a ``tokenizers.Tokenizer`` of byte pairs, or say how to install it.

    Raises
    ------
    ValueError
        If the tokens and merges are not a vocabulary of byte pairs.
    """
    tokenizers = _tokenizers()
    try:
        model = tokenizers.models.BPE(vocab, merges) if vocab else tokenizers.models.BPE()
    except BaseException as error:  # tokenizers raises Exception itself, and pyo3's panics
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise ValueError(f"a tokenizer cannot be made: {error}") from None
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def train_byte_pairs(texts: Iterable[str], vocab_size: int) -> "Tokenizer":
    """Return a ``tokenizers.Tokenizer`` of byte pairs, or say how to install it."""
    tokenizers = _tokenizers()
    tokenizer = make_byte_pairs({}, [])
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def rows_of(neighbors: Any) -> Any:
    """Return the rows that a NearestNeighbors was fitted on."""
    return neighbors._fit_X


def loss_classes() -> dict[str, type]:
    """Return the losses that boosted and linear models of scikit-learn keep, by name."""
    from sklearn._loss import _loss, loss
    from sklearn.linear_model import _sgd_fast

    modules = {
        loss: "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss "
        "HalfPoissonLoss HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss "
        "PinballLoss",
        _loss: "CyHalfBinomialLoss CyHalfSquaredError CyHuberLoss",
        _sgd_fast: "EpsilonInsensitive Hinge ModifiedHuber SquaredEpsilonInsensitive SquaredHinge",
    }
    return {name: getattr(of, name) for of, names in modules.items() for name in names.split()}


def count_rows(X: Any) -> int:
    """Return the number of rows; scikit-learn asks nested tensors for a shape they do not have."""
    if isinstance(X, torch.Tensor) and X.is_nested:
        raise TypeError(
            "Expected an array, a list or a dataframe, got a nested tensor. Pass a list of its "
            "parts, list(X.unbind())."
        )
    return int(_num_samples(X))


@contextlib.contextmanager
def plain_torch() -> Iterator[None]:
    """Run a block, or a function, under torch's defaults, whatever the user has set.

    These are float32 and the CPU for new tensors, gradients, no inference mode and no autocast.
    Each public function or method that computes with torch begins with it.
    """
    accelerator = find_accelerator()
    kinds = {"cpu"} if accelerator is None else {"cpu", accelerator.type}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_float32_by_default())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in filter(torch.is_autocast_enabled, kinds):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":  # get_default_device of torch 2.6 knows no blocks
            stack.enter_context(torch.device("cpu"))
        yield


_dtype_lock = threading.Lock()  # torch's default dtype is that of all threads: the first block
_users_dtypes: list[tuple[int, torch.dtype]] = []  # changes it, and the last changes it back


@contextlib.contextmanager
def _float32_by_default() -> Iterator[None]:
    with _dtype_lock:
        before = _users_dtypes[0][1] if _users_dtypes else torch.get_default_dtype()
        block = threading.get_ident(), before
        _users_dtypes.append(block)
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _dtype_lock:
            _users_dtypes.remove(block)  # its own: others may end after it
            if not _users_dtypes:
                torch.set_default_dtype(before)


def _forget_other_threads() -> None:
    """Leave a forked process what its only thread set: neither locks nor blocks of others."""
    global _dtype_lock
    _dtype_lock = threading.Lock()
    before = [dtype for _, dtype in _users_dtypes]
    _users_dtypes[:] = [block for block in _users_dtypes if block[0] == threading.get_ident()]
    if before and not _users_dtypes:
        torch.set_default_dtype(before[0])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


def find_accelerator() -> torch.device | None:
    """Return the accelerator, if there is one; torch 2.6 raises where there is none."""
    is_there = torch.accelerator.is_available()
    return torch.accelerator.current_accelerator() if is_there else None


def choose_device(device: str | torch.device) -> torch.device:
    """Return the torch device to train on; ``"auto"`` takes an accelerator if there is one."""
    if isinstance(device, str) and device == "auto":
        return find_accelerator() or torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # a device such as "meta" holds no numbers
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used here: {first_line} Pass device='cpu', or 'auto' "
            "for whatever this machine has."
        ) from error
    return chosen


@contextlib.contextmanager
def run_compiled(module: torch.nn.Module, is_wanted: bool = True) -> Iterator[None]:
    """Run a module as ``torch.compile`` translates it, inside the block; copies are plain."""
    if not is_wanted:
        yield
        return
    on_cpu = next(module.parameters()).device.type == "cpu"
    if on_cpu and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++", "cl"))):
        raise ValueError(
            "compile=True needs a C++ compiler, and neither g++, clang++ nor cl is on the PATH. "
            "Install one, or pass compile=False."
        )
    module.compile()
    try:
        yield
    finally:
        module._compiled_call_impl = None


def choose_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the dtype of autocast for a precision, or None to train in float32."""
    if precision == "float32" or (precision == "auto" and not has_native_bfloat16(device)):
        return None
    return torch.bfloat16


def has_native_bfloat16(device: torch.device) -> bool:
    """Tell whether the hardware multiplies bfloat16 natively, so that it is also faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return any(
            getattr(torch.cpu, name, lambda: False)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return False
