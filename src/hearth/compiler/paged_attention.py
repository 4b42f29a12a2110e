"""What a `hearth.paged_attention` (model/text/decoder.py) is given, as every device reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hearth.compiler.passes.rewrite import arguments, attribute
from hearth.compiler.physical import in_name
from hearth.model.text.config import QkNorm


@dataclass(frozen=True)
class Readying:
    """How q and k are made ready before keys are appended.

    Attributes:
        rotate: False for a layer without position embedding.
        norm: `DecoderConfig.qk_norm`.
        eps: of the norm.
        q_scale: what queries are multiplied by.
        value_norm: heads of v are normalised, without a weight.
        temperature: factor, length and offset of `DecoderConfig.attention_temperature`, by which queries grow besides.
    """

    rotate: bool
    norm: QkNorm | None
    eps: float
    q_scale: float
    temperature: tuple[float, int, int] | None = None
    value_norm: bool = False

    @classmethod
    def of(cls, value: Any) -> Readying:
        factor, length = float(attribute(value, "temperature")), int(attribute(value, "temperature_length"))
        return cls(
            bool(attribute(value, "rope")),
            str(attribute(value, "qk_norm")) or None,  # type: ignore[arg-type]
            float(attribute(value, "epsilon")),
            float(attribute(value, "scale")),
            (factor, length, int(attribute(value, "temperature_offset"))) if factor else None,
            bool(attribute(value, "value_norm")),
        )

    def names(self, *, queries: bool = True, values: bool = True) -> list[str]:
        """Parts of a kernel's name."""
        normed: list[str] = [self.norm] if self.norm else []
        normed += ["values"] if self.value_norm and values else []
        parts = ["rot" if self.rotate else "nope", *normed, *([in_name(self.eps)] if normed else [])]
        if queries:
            parts.append(in_name(self.q_scale))
            if self.temperature:
                rate, length, offset = self.temperature
                parts.append(f"temp{in_name(rate)}_{length}" + (f"_{offset}" if offset else ""))
        return parts


@dataclass(frozen=True)
class AttentionOperands:
    """Its operands by name; lists are empty where it has none.

    Attributes:
        k, v: None where it appends nothing, and attends to what another has appended.
        tables: cos and sin of the rotation.
        norms: weights of the norms of q and of k.
        slopes: by which scores fall with the distance (ALiBi), one for each head.
        sinks: logits that join the softmax's denominator alone, one for each head.
    """

    q: Any
    k: Any
    v: Any
    tables: list[Any]
    norms: list[Any]
    sinks: list[Any]
    slopes: list[Any]
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

        q, k, v = taken(3) if attribute(value, "appends") else (*taken(1), None, None)
        tables = taken(2 if attribute(value, "rope") else 0)
        norms = taken((1 if k is None else 2) if attribute(value, "qk_norm") else 0)
        sinks = taken(1 if attribute(value, "sinks") else 0)
        slopes = taken(1 if attribute(value, "slopes") else 0)
        last_seen = taken(1 if attribute(value, "ahead") else 0)
        return cls(q, k, v, tables, norms, sinks, slopes, last_seen, *rest)
