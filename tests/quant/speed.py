"""Speed of rounding and packing, a line a format: `python tests/quant/speed.py [threads]`. It judges nothing."""

from __future__ import annotations

import sys
import time

import numpy as np

from hearth.quant import FORMATS, RowSource, pack_weight, packed_size
from hearth.quant.gguf import GGUF_BLOCKS

ROWS, COLUMNS = 8192, 2048


def main() -> None:
    """Pack a matrix of 16 million weights three times in each way and print the best time."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    w = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    sources = {
        "f32": w.view(np.uint8).reshape(-1),
        "bf16": (w.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(-1),
    }
    cases = [("f32", name) for name in ("q4", "q4a", "q8", "f16")] + [("bf16", name) for name in ("q4", "bf16")]
    for dtype, block in GGUF_BLOCKS.items():
        sources[dtype] = np.zeros(w.size // block.columns * block.size_bytes, np.uint8)
        cases.append((dtype, dtype))
    for dtype, name in cases:
        out = np.zeros(packed_size(FORMATS[name], ROWS, COLUMNS), np.uint8)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            source = RowSource("w", dtype, sources[dtype], (ROWS, COLUMNS))
            pack_weight([source], FORMATS[name], COLUMNS, out, threads=threads)
            seconds.append(time.perf_counter() - start)
        best = min(seconds)
        print(f"{dtype:>5} -> {name:5} {w.size / best / 1e6:6.0f} M weights/s {out.size / best / 1e6:6.0f} MB/s packed")


if __name__ == "__main__":
    main()
