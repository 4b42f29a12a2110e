"""Patches of a map as rows of a matrix: a convolution whose stride is its kernel is a product of these.

So are a patch embedding and the merging of neighbours in Swin. No number is repeated, unlike in an im2col buffer of a
convolution whose taps overlap.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel, i64

LANES = 16


def patches() -> Kernel:
    """Y[patch, (ky kw + kx) channels + c] = X[row patch_h + ky, column patch_w + kx, c].

    Buffers: X f32 [image][h][w][ld]; Y f32 [image][rows][columns][ld_out]. Scalars: h, w, channels, ld, patch_h,
    patch_w, rows, columns (of patches; what is left of the map is cut off), ld_out. Unit: patch (of all images).
    """
    k = Kernel("patches")
    x, y = k.buffer("X", "float32"), k.buffer("Y", "float32")
    names = ("h", "w", "channels", "ld", "patch_h", "patch_w", "rows", "columns", "ld_out")
    h, w, channels, ld, patch_h, patch_w, rows, columns, ld_out = (k.scalar(name) for name in names)
    whole = k.opaque(tirx.floordiv(channels, i64(LANES)) * LANES, "whole")
    fours = k.opaque(tirx.floordiv(channels, i64(4)) * 4, "fours")
    with k.loop(k.begin, k.end) as unit:
        line = k.opaque(tirx.floordiv(unit, columns), "line")
        image = k.opaque(tirx.floordiv(line, rows), "image")
        top = k.opaque(image * h + (line - image * rows) * patch_h, "top")
        left = k.opaque((unit - line * columns) * patch_w, "left")
        with k.loop(0, patch_h) as ky, k.loop(0, patch_w) as kx:
            source = k.opaque(((top + ky) * w + left + kx) * ld, "source")
            to = k.opaque(unit * ld_out + (ky * patch_w + kx) * channels, "to")
            with k.loop(0, whole, LANES) as c:
                k.store(y, to + c, x.load(source + c, LANES))
            with k.loop(whole, fours, 4) as c:
                k.store(y, to + c, x.load(source + c, 4))
            with k.loop(fours, channels) as c:
                k.store(y, to + c, x.load(source + c))
    return k
