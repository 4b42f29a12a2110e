"""What a `hearth.paged_attention` (model/text/decoder.py) is given, as every device reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hearth.compiler.passes.rewrite import arguments, attribute


@dataclass(frozen=True)
class AttentionOperands:
    """Its operands by name; lists are empty where it has none.

    Attributes:
        tables: cos and sin of the rotation.
        norms: weights of the norms of q and of k.
        sinks: logits that join the softmax's denominator alone, one for each head.
    """

    q: Any
    k: Any
    v: Any
    tables: list[Any]
    norms: list[Any]
    sinks: list[Any]
    last_seen: list[Any]
    positions: Any
    token_seq: Any
    items: Any
    merges: Any
    block_table: Any
    k_pages: Any
    v_pages: Any

    @classmethod
    def of(cls, value: Any) -> AttentionOperands:
        rest = arguments(value)

        def taken(count: int) -> list[Any]:
            nonlocal rest
            some, rest = rest[:count], rest[count:]
            return some

        q, k, v = taken(3)
        tables = taken(2 if attribute(value, "rope") else 0)
        norms = taken(2 if attribute(value, "qk_norm") else 0)
        sinks = taken(1 if attribute(value, "sinks") else 0)
        last_seen = taken(1 if attribute(value, "ahead") else 0)
        return cls(q, k, v, tables, norms, sinks, last_seen, *rest)
