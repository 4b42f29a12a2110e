"""Sizes and strides of convolutions: from what a network says to the scalars of `prepare_map` and `conv`.

Plain integers. Images of a batch lie one after the other, so their number only multiplies rows and units.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth.quant.convolution import ConvWeight, transposed_taps
from hearth.quant.formats import LANES, round_up

Pair = tuple[int, int]


@dataclass(frozen=True)
class PreparedMap:
    """A map as convolutions read it: [image][rows][dwords][columns], see `conv_prepare`.

    Attributes:
        size: height and width without padding, after any upsampling.
        channels: true ones.
        channels_per_dword: 4 for int8, 1 for f32.
        before: padding above and to the left.
        after: below and to the right; convolutions may read less of it.
        upsample: what `PrepareMapSpec.upsample` makes the size of.
    """

    size: Pair
    channels: int
    channels_per_dword: int
    before: Pair = (0, 0)
    after: Pair = (0, 0)
    upsample: int = 1

    @property
    def rows(self) -> int:
        return self.before[0] + self.size[0] + self.after[0]

    @property
    def columns(self) -> int:
        return self.before[1] + self.size[1] + self.after[1]

    @property
    def dwords(self) -> int:
        return round_up(self.channels, self.channels_per_dword) // self.channels_per_dword

    @property
    def row_dwords(self) -> int:
        """Elements from one row to the next."""
        return self.dwords * self.columns

    @property
    def image_dwords(self) -> int:
        return self.rows * self.row_dwords

    def prepare_scalars(self, entries: int | None = None, *, narrow: bool = False) -> list[int]:
        """Of `prepare_map`, whose units are `images * rows`.

        Args:
            narrow: the map's pixels lie side by side.
            entries: of an image's ranges where a convolution has left them; None: one for each row (`map_range`).
        """
        (height, width), (top, left) = (side // self.upsample for side in self.size), self.before
        ld = self.channels if narrow else round_up(self.channels, LANES)
        numbers = [height, width, self.channels, ld, self.rows, self.columns, top, left, self.dwords]
        return numbers + [height if entries is None else entries] * (self.channels_per_dword > 1)


@dataclass(frozen=True)
class OutputMap:
    """Which elements of an output [image][height][width][ld] a convolution writes.

    Attributes:
        size: of the whole output.
        channels: of a pixel, true ones.
        start: the row and column of the first that is written.
        step: rows and columns from one that is written to the next.
    """

    size: Pair
    channels: int
    start: Pair = (0, 0)
    step: Pair = (1, 1)

    @property
    def ld(self) -> int:
        return round_up(self.channels, LANES)

    @property
    def written(self) -> Pair:
        """Rows and columns that are written."""
        rows, columns = (
            -(-(size - start) // step) for size, start, step in zip(self.size, self.start, self.step, strict=True)
        )
        return rows, columns

    def scalars(self) -> list[int]:
        """y_start, y_image, y_row, y_pixel."""
        height, width = self.size
        row, column = self.start
        return [(row * width + column) * self.ld, height * width * self.ld, self.step[0] * width * self.ld,
                self.step[1] * self.ld]  # fmt: skip


@dataclass(frozen=True)
class Conv:
    """One convolution of a prepared map.

    Attributes:
        origin: row and column of the prepared map where the first tap of the first output lies: (0, 0) where the map
            has just this convolution's padding.
    """

    weight: ConvWeight
    source: PreparedMap
    output: OutputMap
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    origin: Pair = (0, 0)

    def units(self, images: int, blocks: int) -> int:
        """Args: blocks: of a unit, `ConvSpec.blocks`."""
        return self.range_entries(blocks) * images

    def range_entries(self, blocks: int) -> int:
        """Ranges that it leaves of an image, one for each unit."""
        return -(-self.weight.blocks // blocks) * self.output.written[0]

    def scalars(self, images: int, *, ranges: bool = False) -> list[int]:
        """Of the kernel `conv`."""
        x, weight = self.source, self.weight
        row, column = self.origin
        numbers = [
            images * self.output.written[0], *self.output.written, *weight.kernel, weight.span,
            row * x.row_dwords + column, x.image_dwords, self.stride[0] * x.row_dwords,
            self.dilation[0] * x.row_dwords, self.dilation[1], x.columns, weight.blocks, *self.output.scalars(),
        ]  # fmt: skip
        if weight.groups > 1:
            numbers += [weight.outputs // weight.groups, weight.inputs // weight.groups, x.dwords]
        return numbers + [weight.outputs] * ranges


def conv2d(
    weight: ConvWeight, size: Pair, *, stride: Pair = (1, 1), padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: Pair = (1, 1), upsample: int = 1,
) -> Conv:  # fmt: skip
    """A convolution as torch and ONNX define it.

    Args:
        size: of the input map.
        padding: top, left, bottom, right.
        upsample: the input is first enlarged so many times, each pixel repeated.
    """
    top, left, bottom, right = padding
    grown = size[0] * upsample, size[1] * upsample
    source = PreparedMap(grown, weight.inputs, weight.channels, (top, left), (bottom, right), upsample)
    height, width = (
        (whole - step * (kernel - 1) - 1) // along + 1
        for whole, kernel, step, along in zip(
            (source.rows, source.columns), weight.kernel, dilation, stride, strict=True
        )
    )
    return Conv(weight, source, OutputMap((height, width), weight.outputs), stride, dilation)


def conv_transpose2d(
    weight: ConvWeight, size: Pair, *, stride: Pair, padding: Pair = (0, 0), output_padding: Pair = (0, 0)
) -> list[Conv]:
    """A transposed convolution as torch defines it: a convolution for each phase of its stride, of one prepared map.

    Args:
        weight: whose `kernel` is the whole one; that of phase (a, b) has the taps `transposed_taps` of a and of b.
    """
    axes = []
    for axis in range(2):
        taps = [transposed_taps(weight.kernel[axis], stride[axis], padding[axis], a) for a in range(stride[axis])]
        whole = (size[axis] - 1) * stride[axis] - 2 * padding[axis] + weight.kernel[axis] + output_padding[axis]
        firsts = [(a + padding[axis]) // stride[axis] - (len(t) - 1) for a, t in enumerate(taps)]
        lasts = [-(-(whole - a) // stride[axis]) - 1 + (a + padding[axis]) // stride[axis] for a in range(stride[axis])]
        axes.append((taps, whole, firsts, max(0, -min(firsts)), max(0, max(lasts) - (size[axis] - 1))))
    (rows, height, row_firsts, top, bottom), (columns, width, column_firsts, left, right) = axes
    source = PreparedMap(size, weight.inputs, weight.channels, (top, left), (bottom, right))
    phases = []
    for a in range(stride[0]):
        for b in range(stride[1]):
            own = ConvWeight(weight.outputs, weight.inputs, (len(rows[a]), len(columns[b])), weight.groups, weight.kind)
            output = OutputMap((height, width), weight.outputs, (a, b), stride)
            phases.append(Conv(own, source, output, origin=(top + row_firsts[a], left + column_firsts[b])))
    return phases
