"""The second embedding of a decoder, of which every layer has its part (`DecoderConfig.layer_embedding`)."""

from __future__ import annotations

from typing import Any

from tvm import relax
from tvm.relax import op

from hearth.model.text.feed_forward import activated
from hearth.model.text.writer import Writer

Given = tuple[Any, Any]
"""What a layer is given beside its input, both (n, layer_embedding): of the tokens' embedding, and its part of their
second one."""


def given(g: Writer, token_ids: Any, x: Any) -> list[Given]:
    """What each layer is given. x: the tokens' embedding."""
    c, width = g.c, g.c.layer_embedding
    if c.layer_vocab and c.layer_vocab < c.vocab_size:  # others have the first row
        zero, end = relax.const(0, "int32"), relax.const(c.layer_vocab, "int32")
        token_ids = g.emit(op.where(g.emit(op.less(token_ids, end)), token_ids, zero))
    second = g.emit(op.take(g.params["layer_embed"], token_ids, axis=0))
    both = (
        g.scaled(g.linear(x, "layer_project", None), c.hidden_size**-0.5),
        g.scaled(second, width**0.5),
    )
    if c.num_layers == 1:
        return [both]
    ends = [i * width for i in range(1, c.num_layers)]
    parts = [g.emit(op.split(each, ends, axis=1)) for each in both]
    first, second = ([g.emit(relax.TupleGetItem(each, i)) for i in range(c.num_layers)] for each in parts)
    return list(zip(first, second, strict=True))


def gated(g: Writer, p: str, x: Any, part: Given) -> Any:
    """What the layer whose parameters begin with p adds to the residual of its part. x: what the layer gives."""
    of_x, own = part
    both = g.scaled(g.emit(op.add(g.norm(of_x, "layer_embed_norm"), own)), 0.5**0.5)
    gate = activated(g, p, g.linear(x, p + "given_gate", None))
    return g.norm(g.linear(g.emit(op.multiply(gate, both)), p + "given_out", None), p + "given_norm")
