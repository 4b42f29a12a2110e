"""Weights of convolutions as kernels read them: which channels a block of outputs sees, and in which order they lie.

A convolution multiplies *dwords*: one f32 channel, or a quad of 4 int8 channels, times 16 output channels. Weights
`W[O, I / groups, kh, kw]` are packed in blocks of 16 output channels (docs/architecture.md, "Convolutions").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hearth.errors import Unsupported
from hearth.quant.formats import LANES, round_up

ConvKind = Literal["int8", "float32"]

VECTOR_BYTES = 64
"""Of 16 dwords: one dword of input times 16 output channels."""
MOST_PRODUCTS = (2**31 - 1) // (255 * 127)
"""Of an activation, an unsigned byte at most, and a weight: so many fit an int32 whatever they are."""
SCALE, SUM, BIAS = "scale", "sum", "bias"
_FIELDS: dict[ConvKind, tuple[str, ...]] = {"int8": (SCALE, SUM, BIAS), "float32": (BIAS,)}


@dataclass(frozen=True)
class ConvWeight:
    """The shape of a convolution's weight and the bytes it is packed to.

    Attributes:
        outputs, inputs: channels of all groups together.
        kernel: height and width.
        groups: of channels; outputs of a group see its inputs only.
        kind: `int8`: integers with a scale for each output channel; `float32`.
    """

    outputs: int
    inputs: int
    kernel: tuple[int, int]
    groups: int = 1
    kind: ConvKind = "float32"

    @property
    def blocks(self) -> int:
        """Of 16 output channels."""
        return round_up(self.outputs, LANES) // LANES

    @property
    def channels(self) -> int:
        """Input channels of a dword."""
        return 4 if self.kind == "int8" else 1

    def first_channel(self, block: int) -> int:
        """The first input channel that a block's outputs see. Kernels compute the same from two scalars."""
        return block * LANES // (self.outputs // self.groups) * (self.inputs // self.groups)

    @property
    def span(self) -> int:
        """Dwords of input that a block reads, from the one that holds its first channel on: the most of any block.

        Groups of few channels share a block, which then reads the inputs of all of them and has zeros where an output
        and an input are of different groups.
        """
        if self.groups == 1:
            return round_up(self.inputs, self.channels) // self.channels
        per_group, spans = self.outputs // self.groups, []
        for block in range(self.blocks):
            last = min(block * LANES + LANES, self.outputs) - 1
            end = (last // per_group + 1) * (self.inputs // self.groups)
            spans.append(round_up(end, self.channels) // self.channels - self.first_channel(block) // self.channels)
        return max(spans)

    @property
    def block_bytes(self) -> int:
        """Vectors `[dword][ky][kx]` of the block, then its fields, a vector each."""
        height, width = self.kernel
        return VECTOR_BYTES * (self.span * height * width + len(_FIELDS[self.kind]))

    @property
    def size_bytes(self) -> int:
        return self.blocks * self.block_bytes

    def pack(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        """The packed bytes.

        Args:
            weight: `(outputs, inputs / groups, kh, kw)`; rounded to integers in [-127, 127] for `int8`.
            bias: `(outputs,)`; None: zeros.

        Raises:
            Unsupported: an output sums more products than int32 holds for certain.
        """
        height, width = self.kernel
        products = self.inputs // self.groups * height * width
        if self.kind == "int8" and products > MOST_PRODUCTS:
            raise Unsupported(
                f"A convolution sums {products:,} products of int8 for each output; 32 bits hold {MOST_PRODUCTS:,}.",
                hint="Keep this convolution in f32.",
            )
        rows = weight.reshape(self.outputs, -1)
        fields: dict[str, NDArray[np.generic]] = {BIAS: np.zeros(self.outputs, np.float32) if bias is None else bias}
        values: NDArray[np.generic] = weight
        if self.kind == "int8":
            scale = (np.abs(rows).max(axis=1, initial=0) / np.float32(127)).astype(np.float32)
            integers = np.rint(rows / np.where(scale > 0, scale, 1)[:, None]).astype(np.int8)
            values = integers.reshape(weight.shape)
            fields |= {SCALE: scale, SUM: integers.sum(axis=1, dtype=np.int32)}
        count = self.channels
        seen = np.zeros((self.blocks, LANES, self.span * count, height, width), values.dtype)
        per_group, inputs = self.outputs // self.groups, self.inputs // self.groups
        for output in range(self.outputs):
            block, lane = divmod(output, LANES)
            # The block begins with the dword that holds its first channel, maybe in the midst of it.
            begin = output // per_group * inputs - self.first_channel(block) // count * count
            seen[block, lane, begin : begin + inputs] = values[output]
        # (block, lane, dword, channel of the dword, ky, kx) -> (block, dword, ky, kx, lane, channel of the dword)
        apart = seen.reshape(self.blocks, LANES, self.span, count, height, width).transpose(0, 2, 4, 5, 1, 3)
        packed = np.zeros((self.blocks, self.block_bytes // VECTOR_BYTES, VECTOR_BYTES), np.uint8)
        vectors = np.ascontiguousarray(apart).view(np.uint8).reshape(self.blocks, -1, VECTOR_BYTES)
        packed[:, : vectors.shape[1]] = vectors
        for number, name in enumerate(_FIELDS[self.kind]):
            padded = np.zeros(self.blocks * LANES, fields[name].dtype)
            padded[: self.outputs] = fields[name]
            packed[:, vectors.shape[1] + number] = padded.view(np.uint8).reshape(self.blocks, VECTOR_BYTES)
        return packed.reshape(-1)


def pack_depthwise(weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Weights of a depthwise convolution: f32 [block of 16 channels][ky][kx][16], and after each block its bias [16].

    Args:
        weight: `(channels, 1, kh, kw)`.
    """
    channels, _, height, width = weight.shape
    blocks = round_up(channels, LANES) // LANES
    rows = np.zeros((blocks * LANES, height * width + 1), np.float32)
    rows[:channels, :-1] = weight.reshape(channels, -1)
    rows[:channels, -1] = 0 if bias is None else bias
    return np.ascontiguousarray(rows.reshape(blocks, LANES, -1).transpose(0, 2, 1))


def transposed_taps(kernel: int, stride: int, padding: int, phase: int) -> list[int]:
    """Along one axis: which taps of a transposed convolution the outputs `phase`, `phase + stride`, ... are made of, in
    the order of the inputs they meet. As a convolution with stride 1 these are its kernel."""
    return list(range((phase + padding) % stride, kernel, stride))[::-1]


def transposed_phase(weight: NDArray[np.float32], groups: int, rows: list[int], columns: list[int]) -> Any:
    """The weight of one phase as that of a convolution.

    Args:
        weight: `(inputs, outputs / groups, kh, kw)`, as torch and ONNX have it.
        rows, columns: `transposed_taps` of both axes.

    Returns:
        f32 `(outputs, inputs / groups, len(rows), len(columns))`.
    """
    inputs, per_group, height, width = weight.shape
    apart = weight.reshape(groups, inputs // groups, per_group, height, width).transpose(0, 2, 1, 3, 4)
    whole = apart.reshape(groups * per_group, inputs // groups, height, width)
    return np.ascontiguousarray(whole[:, :, rows][:, :, :, columns])


def field_vector(kind: ConvKind, name: str) -> int:
    """Where a field stands among those that follow a block's weights."""
    return _FIELDS[kind].index(name)


def field_count(kind: ConvKind) -> int:
    return len(_FIELDS[kind])
