"""What a `hearth.paged_attention` (model/text/decoder.py) is given, as every device reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hearth.compiler.passes.rewrite import arguments, attribute
from hearth.compiler.physical import in_name
from hearth.model.text.config import QkNorm

KeyNorm = QkNorm | Literal["latent"]
"""`DecoderConfig.qk_norm`, or `latent`: of each key its latent vector."""


@dataclass(frozen=True)
class Readying:
    """How q and k are made ready before keys are appended.

    Attributes:
        rotate: False for a layer without position embedding.
        norm: which of q and k are normalised, and how.
        eps: of the norm.
        q_scale: what queries are multiplied by.
        value_norm: heads of v are normalised, without a weight.
        latent: the first so many numbers of a key are its latent vector, which is the value too; what turns stands
            behind it. 0: keys and values are different numbers.
        temperature: factor, length and offset of `DecoderConfig.attention_temperature`, by which queries grow besides.
    """

    rotate: bool
    norm: KeyNorm | None
    eps: float
    q_scale: float
    temperature: tuple[float, int, int] | None = None
    value_norm: bool = False
    latent: int = 0

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
            int(attribute(value, "latent")),
        )

    @property
    def operands(self) -> str:
        """What a step that appends is given: queries, keys, values; with latent vectors queries for these, queries that
        turn, and keys, which are values too."""
        return "qtk" if self.latent else "qkv"

    @property
    def normed(self) -> str:
        """Which of them have a norm with a weight."""
        return "" if self.norm is None else "k" if self.norm == "latent" else "qk"

    @property
    def turned(self) -> bool:
        """Whether queries and keys are turned by a Hadamard matrix where pages are int8. Values may not be: what is
        summed up of them would have to be turned back."""
        return not self.latent

    def names(self, *, queries: bool = True, values: bool = True) -> list[str]:
        """Parts of a kernel's name."""
        normed: list[str] = [self.norm] if self.norm else []
        normed += ["values"] if self.value_norm and values else []
        parts = ["rot" if self.rotate else "nope", *normed, *([in_name(self.eps)] if normed else [])]
        parts += [f"latent{self.latent}"] if self.latent else []
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
        q: queries, (n, heads * head_dim); with latent vectors (n, heads, latent).
        q_turned: with latent vectors what of queries turns, (n, heads * (head_dim - latent)).
        k, v: None where it appends nothing, and attends to what another has appended; v also where values are a part of
            the keys, as are its pages.
        tables: cos and sin of the rotation.
        norms: weights of the norms of q and of k.
        slopes: by which scores fall with the distance (ALiBi), one for each head.
        sinks: logits that join the softmax's denominator alone, one for each head.
    """

    q: Any
    q_turned: Any
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

        how, appends = Readying.of(value), bool(attribute(value, "appends"))
        given = dict(zip(how.operands, taken(len(how.operands) if appends else 1), strict=False))
        tables = taken(2 if attribute(value, "rope") else 0)
        norms = taken(len(how.normed) if appends else how.normed.count("q"))
        sinks = taken(1 if attribute(value, "sinks") else 0)
        slopes = taken(1 if attribute(value, "slopes") else 0)
        last_seen = taken(1 if attribute(value, "ahead") else 0)
        pages = [*rest, None] if how.latent else rest
        q, turned, k, v = (given.get(x) for x in "qtkv")
        return cls(q, turned, k, v, tables, norms, sinks, slopes, last_seen, *pages)

    @property
    def pages(self) -> list[Any]:
        """Of keys, and of values where these have their own."""
        return [self.k_pages] if self.v_pages is None else [self.k_pages, self.v_pages]
