"""Every so many pixels of a map whose rows are prepared (prepare_rows.py): what a convolution of single pixels with a
stride multiplies. Bytes and scales stay what they are."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Kernel

_BYTES = 32  # K of prepared rows is a multiple of it


def pick_rows() -> Kernel:
    """Buffers: AQ int8 [image][height][width][kp], AS f32 [image][height][width]; YQ int8 [image][h][w][kp], YS f32
    [image][h][w]. Scalars: height, width, kp; h, w; down, across (from one to the next). Unit: row of pixels of Y."""
    k = Kernel("pick_rows")
    q, s = k.buffer("AQ", "int8"), k.buffer("AS", "float32")
    y, scales = k.buffer("YQ", "int8"), k.buffer("YS", "float32")
    height, width, kp, h, w, down, across = (
        k.scalar(name) for name in ("height", "width", "kp", "h", "w", "down", "across")
    )
    with k.loop(k.begin, k.end) as unit:
        image = k.opaque(tirx.floordiv(unit, h), "image")
        start = k.opaque((image * height + (unit - image * h) * down) * width, "start")
        with k.loop(0, w) as column:
            pixel, to = k.opaque(start + column * across, "from"), k.opaque(unit * w + column, "to")
            k.store(scales, to, s.load(pixel))
            with k.loop(0, kp, _BYTES) as j:
                k.store(y, to * kp + j, q.load(pixel * kp + j, _BYTES))
    return k
