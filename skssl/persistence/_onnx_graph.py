"""ONNX graphs assembled from exports of torch, conversions of skl2onnx, and single nodes."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator, is_classifier
from torch import Tensor, nn

from skssl._compat import import_onnx, import_skl2onnx

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

OPSETS = {"": 18, "ai.onnx.ml": 3}
CHATTY = (
    "torch.onnx",
    "torch.export",
    "torch.__trace",
    "onnxscript",
    "onnx_ir",
    "skl2onnx",
)  # loggers


class Value(NamedTuple):
    """A value in a graph.

    Parameters
    ----------
    name : str
        Its name in the graph.
    dtype : numpy dtype
        Dtype of its elements; ``object`` for text.
    shape : tuple of int or None
        Shape, where None is any size. The first axis is the rows.
    length : int, default=50
        Example of a free size. torch takes a size of 1 in an example to be always 1, so the
        example must be longer than one stretch or patch of any encoder.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]
    length: int = 50

    @property
    def example(self) -> Tensor:
        """Return three example rows of this shape."""
        shape = [3, *(self.length if size is None else size for size in self.shape[1:])]
        return torch.from_numpy(np.ones(shape, self.dtype))


class Graph:
    """A graph that grows by parts; names of values are unique.

    Parameters
    ----------
    inputs : sequence of Value
        Inputs of the graph.
    """

    def __init__(self, inputs: Sequence[Value]):
        self.onnx = import_onnx()
        self.inputs = tuple(inputs)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.made: dict[bytes, str] = {}
        self.n_parts = 0

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output, unless an equal one exists; return the output's name."""
        made = self.onnx.helper.make_node(op, inputs, [], domain=domain, **attributes)
        like_it = made.SerializeToString()
        if like_it not in self.made:
            self.made[like_it] = self._new_name(op)
            made.output.append(self.made[like_it])
            self.nodes.append(made)
        return self.made[like_it]

    def constant(self, array: np.typing.ArrayLike) -> str:
        """Add an array (of objects for text) and return its name."""
        name = self._new_name("constant")
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def module(self, module: nn.Module, x: Value) -> list[Value]:
        """Add the torch export of a module and return its outputs."""
        free = {i: torch.export.Dim(f"d{i}") for i, size in enumerate(x.shape) if size is None}
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                (x.example,),
                dynamo=True,
                dynamic_shapes=(free,),
                opset_version=OPSETS[""],
                verbose=False,
            )
        assert program is not None
        return self._append(program.model_proto, [x.name])

    def estimator(self, estimator: BaseEstimator, x: Value) -> list[Value]:
        """Add the skl2onnx conversion of an estimator and return its outputs."""
        skl2onnx = import_skl2onnx()
        types = skl2onnx.common.data_types
        tensor_type = types.DoubleTensorType if x.dtype == np.float64 else types.FloatTensorType
        # skl2onnx takes the default probability="deprecated" of support vectors for True.
        signs = [hasattr(estimator, name) for name in ("predict_proba", "probability")]
        makes_dicts = is_classifier(estimator) and any(signs)
        options = {id(estimator): {"zipmap": False}} if makes_dicts else None
        with _quiet():
            made = skl2onnx.convert_sklearn(
                estimator,
                initial_types=[("X", tensor_type([None, x.shape[1]]))],
                target_opset=OPSETS,
                options=options,
            )
        return self._append(made, [x.name])

    def type_of(self, value: Value) -> int:
        """Return the ONNX type of a value's elements."""
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))

    def finish(self, outputs: dict[str, Value]) -> "ModelProto":
        """Return the model with outputs of these names."""
        helper = self.onnx.helper
        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        graph = helper.make_graph(
            self.nodes,
            "skssl",
            [self._info(value.name, value) for value in self.inputs],
            [self._info(name, value) for name, value in outputs.items()],
            self.constants,
        )
        opsets = [helper.make_opsetid(*opset) for opset in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="skssl")
        self.onnx.checker.check_model(model)
        return model

    def _append(self, model: Any, inputs: Sequence[str]) -> list[Value]:
        """Add the nodes of another model under new names, and return its outputs."""
        part = self.onnx.compose.add_prefix(model, f"{self._new_name('part')}/").graph
        for name, given in zip(inputs, part.input, strict=True):
            self.nodes.append(self.onnx.helper.make_node("Identity", [name], [given.name]))
        for node in part.node:  # torch writes paths of the machine there
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        self.nodes += part.node
        self.constants += part.initializer
        return [self._value(output) for output in part.output]

    def _value(self, output: "ValueInfoProto") -> Value:
        if not output.type.HasField("tensor_type"):
            raise TypeError(f"Expected a tensor, got a list of dicts as {output.name}")
        tensor_type = output.type.tensor_type
        dtype = self.onnx.helper.tensor_dtype_to_np_dtype(tensor_type.elem_type)
        shape = [size.dim_value or None for size in tensor_type.shape.dim]
        return Value(output.name, dtype, (None, *shape[1:]))

    def _info(self, name: str, value: Value) -> "ValueInfoProto":
        free = ["n_rows", *(f"length_{i}" for i in range(1, len(value.shape)))]
        shape = [free[i] if size is None else size for i, size in enumerate(value.shape)]
        return self.onnx.helper.make_tensor_value_info(name, self.type_of(value), shape)

    def _new_name(self, what: str) -> str:
        self.n_parts += 1
        return f"skssl/{self.n_parts}_{what}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the output, logs and warnings of exporters inside the block."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
