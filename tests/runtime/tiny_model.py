"""A model small enough to compute on paper, as a plan over the kernels of kernels.c, and the same in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tests.runtime import plan_writer as pw

from hearth.compiler.cpu.link import KernelSet, KernelSymbol

HIDDEN, VOCAB, PAGE = 8, 100, 8
LOGIT_STRIDE = 112  # rows padded to a multiple of 16, as a compiled plan has them

KERNELS = [
    KernelSymbol("t_embed", 3, 0, "t_embed"),
    KernelSymbol("t_scale", 2, 1, "t_scale"),
    KernelSymbol("t_append", 5, 1, "t_append"),
    KernelSymbol("t_attend", 5, 1, "t_attend"),
    KernelSymbol("t_logits", 4, 2, "t_logits"),
    KernelSymbol("t_argmax", 2, 2, "t_argmax"),
    KernelSymbol("t_count", 1, 0, "t_count"),
    KernelSymbol("t_total", 2, 1, "t_total"),
    KernelSymbol("t_scalars", 1, 4, "t_scalars"),
    KernelSymbol("t_work", 3, 2, "t_work"),
    KernelSymbol("t_busy", 0, 1, "t_busy"),
    KernelSymbol("t_pool", 3, 3, "t_pool"),
    KernelSymbol("t_nothing", 0, 0, "t_nothing"),
    KernelSymbol("t_fails", 0, 0, "t_fails"),
]
SETS = [KernelSet("plain", (), KERNELS)]


def weights() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embedding and head, small integers: sums are exact in any order."""
    rng = np.random.default_rng(1)
    embedding = rng.integers(-4, 5, (VOCAB, HIDDEN)).astype(np.float32)
    head = rng.integers(-4, 5, (VOCAB, HIDDEN)).astype(np.float32)
    return embedding, head


def plan(max_position: int = 64) -> pw.TextPlan:
    """The plan; its limits are those of TextPlan."""
    p = pw.TextPlan(max_position=max_position)
    tokens, rows = p.limits["tokens"], p.limits["logit_rows"]
    ids, positions, token_seq = (p.buffer[name] for name in ("token_ids", "positions", "token_seq"))
    items, table, logit_rows = (p.buffer[name] for name in ("items", "block_table", "logit_rows"))
    embedding, head = p.weight("embedding", VOCAB * HIDDEN * 4), p.weight("head", VOCAB * HIDDEN * 4)
    cache = p.state("cache", "pages", PAGE * HIDDEN * 4)
    x, doubled, hidden = (p.arena(tokens * HIDDEN * 4) for _ in range(3))
    logits, argmax = p.arena(rows * LOGIT_STRIDE * 4), p.arena(rows * 4)
    n, n_rows, n_items = p.named["tokens"], p.named["logit_rows"], p.named["items"]
    elements, stride = p.times(n, HIDDEN), p.named["block_table_stride"]
    two, vocab, row_stride, width = p.constant(2), p.constant(VOCAB), p.constant(LOGIT_STRIDE), p.constant(HIDDEN)
    kernel = {k.name: p.kernel(k.name, k.num_buffers, k.num_scalars) for k in KERNELS[:6]}
    p.step(kernel["t_embed"], [ids, embedding, x], [], units=n, label="embed")
    p.step(kernel["t_scale"], [x, doubled], [two], units=elements, grain=3, label="scale")
    p.step(kernel["t_append"], [doubled, positions, token_seq, table, cache], [stride], units=n, label="append")
    p.step(kernel["t_attend"], [items, positions, table, cache, hidden], [stride], units=n_items, label="attend")
    p.step(kernel["t_logits"], [hidden, logit_rows, head, logits], [vocab, row_stride], units=n_rows, label="logits")
    p.step(kernel["t_argmax"], [logits, argmax], [vocab, row_stride], units=n_rows, grain=64, label="argmax")
    p.output("logits", logits, [n_rows, vocab], row_stride)
    p.output("argmax", argmax, [n_rows], dtype=pw.I32)
    p.output("hidden", hidden, [n, width], width)
    return p


def weights_bytes() -> bytes:
    """weights.bin for `plan`."""
    return b"".join(w.tobytes().ljust((w.nbytes + 63) // 64 * 64, b"\0") for w in weights())


def hidden_of(tokens: list[int]) -> NDArray[np.float32]:
    """The hidden states of one sequence from its beginning, (n, HIDDEN)."""
    embedding, _ = weights()
    rows = embedding[tokens] * 2 + np.arange(len(tokens), dtype=np.float32)[:, None]
    return np.cumsum(rows, axis=0, dtype=np.float32)


def logits_of(tokens: list[int]) -> NDArray[np.float32]:
    """Their logits, (n, VOCAB)."""
    return hidden_of(tokens) @ weights()[1].T
