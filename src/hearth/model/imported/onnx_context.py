"""One ONNX node and its operands, as a converter sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hearth.checkpoint.onnx_graph import OnnxNode, OnnxTensor
from hearth.errors import Unsupported
from hearth.model.imported.converting import as_known, as_sizes, as_variable
from hearth.model.imported.graph import Array, Graph

_NAMES = """
K N align_corners allowzero alpha antialias approximate auto_pad axes axis batch_dims beta bias bits block_size
blocksize ceil_mode center_point_box coordinate_transformation_mode count_include_pad cubic_coeff_a detect_negative
detect_positive direction do_rotary dtype else_branch end ends epsilon equation exclude_outside exclusive fmod gamma
group interleaved is_causal is_packed_batching k keep_aspect_ratio_policy keepdims kv_num_heads lambd largest
mask_filter_value max min mode nearest_mode noop_with_empty_axes num_groups num_heads output_dtype output_padding
output_shape p padding_mode pads perm q_num_heads qk_matmul_output_mode qkv_hidden_sizes reduction reverse scale
scales select_last_index shape size softcap split start starts strides then_branch to transA transB transBatchA
transBatchB unidirectional upper value value_float value_floats value_int value_ints

activation_alpha activation_beta activations clip hidden_size input_forget layout linear_before_reset

accuracy_level consumed_inputs dilations extrapolation_value is_test kernel_shape momentum num_outputs precision ratio
rotary_embedding_dim round_mode saturate seed softmax_precision sorted spatial stash_type storage_order
training_mode
"""
_KNOWN = frozenset(_NAMES.split())
"""Names of attributes that converters look at, and behind them of such as change nothing of what is computed here."""


@dataclass
class Context:
    """A node to convert.

    Attributes:
        inputs: tensors (variables) or sizes (arrays of objects); None where one is left out.
        opset: version of the operators of the node's domain.
        inline: converts the nodes of a graph within the node, and gives its outputs.
    """

    g: Graph
    node: OnnxNode
    inputs: list[Any]
    opset: int
    inline: Callable[[Any], list[Any]]

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def x(self, index: int = 0) -> Any:
        """An operand as a tensor."""
        if not self.has(index):
            raise Unsupported(f"it lacks its operand {index}")
        return as_variable(self.g, self.inputs[index])

    def optional(self, index: int) -> Any:
        return self.x(index) if self.has(index) else None

    def known(self, index: int, what: str) -> Array:
        return as_known(self.g, self.x(index), what)

    def kind(self, index: int) -> np.dtype[Any]:
        """The type that the file gives a known operand."""
        x = self.x(index)
        return self.g.given.get(x, np.dtype(np.float32))

    def sizes(self, index: int) -> list[Any]:
        if not self.has(index):
            raise Unsupported(f"it lacks its operand {index}")
        return as_sizes(self.g, self.inputs[index])

    def attr(self, name: str, default: Any = None) -> Any:
        value = self.node.attributes.get(name, default)
        return value.array() if isinstance(value, OnnxTensor) else value

    def axes(self, rank: int, operand: int, since: int) -> list[int] | None:
        """Axes, given as an attribute before version `since` and as an operand from then on; None: not given."""
        if self.opset >= since and self.has(operand):
            given = [int(axis) for axis in self.known(operand, "axes").reshape(-1)]
        else:
            given = self.attr("axes")
        return None if given is None else [axis % rank for axis in given]

    def refuse_unknown(self) -> None:
        """Raises Unsupported for an attribute of later versions: what it says would be passed over."""
        unknown = set(self.node.attributes) - _KNOWN
        if unknown:
            raise Unsupported(f"its attribute {min(unknown)[:100]} is not known")

    def only(self, **wanted: Any) -> None:
        """Raises Unsupported where an attribute has another value than its default here."""
        for name, default in wanted.items():
            if self.attr(name, default) != default:
                raise Unsupported(f"its {name} is {self.attr(name)}")

    def is_float(self, index: int = 0) -> bool:
        return str(self.x(index).ty.dtype) == "float32"

    def f32(self, values: Any) -> Any:
        return self.g.constant(np.asarray(values, np.float32))


Converter = Callable[[Context], Any]
"""Gives the node's result, or a list of its results."""
