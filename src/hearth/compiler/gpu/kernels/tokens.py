"""What all layers read about the tokens of a batch: where each lies in the pages, what it sees, and cos and sin of the
angles that it turns by. One step makes all of that, once for each forward."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.features import MAX_STORAGE_BUFFERS
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, Memory, div, mod
from hearth.compiler.gpu.kernels.rope import rotation
from hearth.compiler.rope_table import RopeTableSpec
from hearth.model.text.kv_cache import PAGE_TOKENS

THREADS = 64
PLACE, POSITION, LAST_SEEN, SEQUENCE = range(4)
PLACE_FIELDS = 4
"""Of a token: page * 16 + slot, its position, the last that it sees, its sequence."""


@dataclass(frozen=True)
class TokenTablesSpec:
    """Attributes:
    ropes: of each table of rotations.
    places: False where another step tells where tokens lie, since there are more tables than one can write.
    ahead: tokens may see later ones.
    """

    ropes: tuple[RopeTableSpec, ...]
    places: bool = True
    ahead: bool = False

    @property
    def streams(self) -> bool:
        """Whether what tokens turn by is another input than where they stand."""
        return any(rope.streams for rope in self.ropes)

    @property
    def fits(self) -> bool:
        """Whether a kernel may have so many buffers."""
        others = (4 + self.ahead + self.streams if self.places else 1) + bool(self.ropes)
        return others + len(self.ropes) <= MAX_STORAGE_BUFFERS

    @property
    def name(self) -> str:
        kinds = [name for name in ("places", "ahead") if getattr(self, name)]
        return "_".join(["token_tables", *kinds, *(rope.name for rope in self.ropes)])


def token_tables(spec: TokenTablesSpec) -> GpuKernel:
    """Places, and rows of cos and then sin of all frequencies of each rotation, one rotation behind the other.

    Buffers: with places positions i32 [t], token_seq i32 [t], block_table i32 [seq][stride], with `ahead` last_seen i32
    [t]; what tokens turn by i32 [t][columns], where that is not positions; inv_freq f32 [half] of each rotation; with
    places those i32 [t][4]; with rotations T f32 [t][pairs][2]. Scalars: tokens; stride; half of each rotation. Unit:
    `THREADS` pairs of (token, frequency), or tokens where there is no rotation.
    """
    k = GpuKernel(spec.name, threads=THREADS)
    positions = k.buffer("positions", "int32") if spec.places or not spec.streams else None
    inputs = [k.buffer(name, "int32") for name in ("token_seq", "block_table")] if spec.places else []
    last_seen = k.buffer("last_seen", "int32") if spec.places and spec.ahead else positions
    turned_by = k.buffer("turned_by", "int32") if spec.streams else positions
    frequencies = [k.buffer(f"inv_freq{i}", "float32") for i, _ in enumerate(spec.ropes)]
    places = k.buffer("places", "int32") if spec.places else None
    table = k.buffer("T", "float32") if spec.ropes else None
    tokens, stride = k.scalar("tokens"), k.scalar("stride")
    halves = [k.scalar(f"half{i}") for i, _ in enumerate(spec.ropes)]
    pairs: Expr = k.let(sum(halves[1:], halves[0]), "pairs") if halves else tirx.IntImm("int32", 1)
    place = k.let(k.group * THREADS + k.thread, "place")
    token, pair = k.let(div(place, pairs), "token"), k.let(mod(place, pairs), "pair")
    if positions is not None and last_seen is not None and places is not None:
        with k.when(tirx.And(token < tokens, tirx.EQ(pair, 0))):
            _note_place(k, token, positions, inputs, stride, last_seen, places)
    first: Expr = tirx.IntImm("int32", 0)
    for rope, half, inv_freq in zip(spec.ropes, halves, frequencies, strict=True):
        assert turned_by is not None
        assert table is not None
        i = k.let(pair - first, "i")
        with k.when(tirx.And(token < tokens, tirx.And(i >= 0, i < half))):
            cos, sin = rotation(k, rope, turned_by, inv_freq, token, i)
            at = k.let((token * pairs + first) * 2 + i, "at")
            k.store(table, at, cos)
            k.store(table, at + half, sin)
        first = k.let(first + half, "first")
    return k


def _note_place(
    k: GpuKernel, token: Expr, positions: Memory, inputs: list[Memory], stride: Expr, last_seen: Memory, places: Memory
) -> None:
    sequences, table = inputs
    position, sequence = k.let(positions.load(token), "position"), k.let(sequences.load(token), "sequence")
    page = table.load(sequence * stride + div(position, PAGE_TOKENS))
    for field, value in (
        (PLACE, page * PAGE_TOKENS + mod(position, PAGE_TOKENS)),
        (POSITION, position),
        (LAST_SEEN, last_seen.load(token)),
        (SEQUENCE, sequence),
    ):
        k.store(places, token * PLACE_FIELDS + field, value)
