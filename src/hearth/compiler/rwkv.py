"""What a layer of RWKV's linear attention is (`rwkv` in `model/text/mixers`), on every device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from hearth.compiler.passes.rewrite import attributes
from hearth.compiler.physical import in_name
from hearth.compiler.work import Work


@dataclass(frozen=True)
class RwkvSizes:
    """Sizes of one layer.

    Attributes:
        kind: `adds`, `replaces` or `gated`.
        heads, kv_heads: several heads may share a key and a value.
        size: of a head, a multiple of 16.
        epsilon: of the LayerNorm of each head's output; None: there is none.
    """

    kind: str
    heads: int
    kv_heads: int
    size: int
    epsilon: float | None

    @classmethod
    def of(cls, value: Any) -> Self:
        """What a call of `hearth.rwkv` says."""
        about = attributes(value)
        heads, kv_heads, size = (int(about[name]) for name in ("heads", "kv_heads", "size"))
        return cls(str(about["kind"]), heads, kv_heads, size, float(about["epsilon"]) if about["norm"] else None)

    @property
    def name(self) -> str:
        norm = "" if self.epsilon is None else f"_{in_name(self.epsilon)}"
        return f"rwkv_{self.kind}_{self.heads}x{self.kv_heads}x{self.size}{norm}"

    @property
    def columns(self) -> int:
        return self.heads * self.size

    @property
    def state_size(self) -> int:
        """Numbers of the state of all heads."""
        return self.heads * self.size * self.size

    def work(self, rows: Any) -> Work:
        """Of each number of the state: forgotten, added to and asked; or asked and changed once more."""
        return Work.of("rwkv", rows, (9 if self.kind == "replaces" else 5) * self.state_size)
