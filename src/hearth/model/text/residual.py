"""What runs along the layers of a decoder: one stream, to which each adds; or several, of which each layer computes one
and moves the others along (AltUp, arXiv:2301.13310)."""

from __future__ import annotations

from typing import Any, Protocol

from tvm import relax
from tvm.relax import op

from hearth.model.text.config import AltUpConfig
from hearth.model.text.layer_embedding import Given, gated
from hearth.model.text.writer import Writer


class Residual(Protocol):
    """What is known of the tokens between layers."""

    def enter(self, p: str) -> Any:
        """What the layer whose parameters begin with p reads, (n, hidden)."""
        ...

    def leave(self, p: str, x: Any, part: Given | None) -> None:
        """Takes what that layer gives. part: its part of the second embedding, where there is one."""
        ...

    def whole(self) -> Any:
        """What the final norm reads, (n, hidden)."""
        ...


def residual(g: Writer, x: Any) -> Residual:
    """What a decoder begins with, of the embedding x (n, hidden)."""
    return _One(g, x) if g.c.altup is None else _AltUp(g, g.c.altup, x)


class _One:
    def __init__(self, g: Writer, x: Any) -> None:
        self.g, self.x = g, x

    def enter(self, p: str) -> Any:
        return self.x

    def leave(self, p: str, x: Any, part: Given | None) -> None:
        g = self.g
        if part:
            x = g.emit(op.add(x, gated(g, p, x, part)))
        if g.c.layer_scale:
            x = g.emit(op.multiply(x, g.params[p + "scale"]))
        self.x = x

    def whole(self) -> Any:
        return self.x


class _AltUp:
    """The others are predicted by a mixture of all before a layer, and corrected by what it made of its own."""

    def __init__(self, g: Writer, config: AltUpConfig, x: Any) -> None:
        self.g, self.count, self.active = g, config.count, config.active
        others = [g.linear(x, f"altup_in_{i}", None) for i in range(self.count - 1)]
        self.streams = [x, *(self._as_large(each, x) for each in others)]

    def enter(self, p: str) -> Any:
        g, count, streams = self.g, self.count, self.streams
        shares = self._columns(g.linear(self._modalities(p, streams[self.active]), p + "altup_predict", None))
        self.streams = []
        for to, stream in enumerate(streams):
            for share, source in zip(shares[to * count : (to + 1) * count], streams, strict=True):
                stream = g.emit(op.add(stream, g.emit(op.multiply(source, share))))
            self.streams.append(stream)
        return self.streams[self.active]

    def leave(self, p: str, x: Any, part: Given | None) -> None:
        g = self.g
        shares = g.offset(g.linear(self._modalities(p, x), p + "altup_correct", None), 1.0)
        news = g.emit(op.subtract(x, self.streams[self.active]))
        columns = self._columns(shares)
        self.streams = [
            g.emit(op.add(stream, g.emit(op.multiply(news, share))))
            for stream, share in zip(self.streams, columns, strict=True)
        ]
        if part:
            scaled = g.emit(op.multiply(self.streams[self.active], g.params[p + "altup_scale"]))
            more = gated(g, p, scaled, part)
            self.streams[1:] = [g.emit(op.add(stream, more)) for stream in self.streams[1:]]

    def whole(self) -> Any:
        g, first = self.g, self.streams[0]
        total = first
        for i, stream in enumerate(self.streams[1:]):
            total = g.emit(op.add(total, self._as_large(g.linear(stream, f"altup_out_{i}", None), first)))
        return g.scaled(total, 1 / self.count)

    def _modalities(self, p: str, x: Any) -> Any:
        """What a layer's mixture depends on, (n, count)."""
        g = self.g
        routed = g.linear(g.norm(x, p + "altup_norm"), p + "altup_router", None)
        return g.emit(op.tanh(g.scaled(routed, 1 / g.c.hidden_size)))

    def _columns(self, x: Any) -> list[Any]:
        """The columns of x, (n, 1) each."""
        g, count = self.g, int(x.ty.shape[1])
        parts = g.emit(op.split(x, count, axis=1))
        return [g.emit(relax.TupleGetItem(parts, i)) for i in range(count)]

    def _as_large(self, x: Any, other: Any) -> Any:
        """x with the length of the other."""
        least = self.g.emit(op.maximum(self._mean_square(x), relax.const(1e-5, "float32")))
        longer = self.g.emit(op.sqrt(self.g.emit(op.divide(self._mean_square(other), least))))
        return self.g.emit(op.multiply(x, longer))

    def _mean_square(self, x: Any) -> Any:
        return self.g.emit(op.mean(self.g.emit(op.multiply(x, x)), axis=-1, keepdims=True))


def augmented(g: Writer, p: str, x: Any, read: Any) -> Any:
    """The residual x behind attention, where a product of low rank stands beside that (LAuReL, arXiv:2411.07501).
    read: what attention reads."""
    low = g.linear(g.linear(read, p + "laurel_left", None), p + "laurel_right", None)
    beside = g.emit(op.add(read, g.norm(low, p + "laurel_norm")))
    return g.scaled(g.emit(op.add(x, beside)), 0.5**0.5)
