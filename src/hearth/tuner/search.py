"""Searches the tuning of each kernel: one number after the other, every candidate against the best so far.

A candidate must win clearly (`LEAST_GAIN` even at the pessimistic end of what was measured, weighted over the numbers
of rows that a model is run with, and without losing any of them), and win once more in a second run on fresh memory:
among many candidates one is always lucky.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hearth.bundle.failures import storage_errors
from hearth.compiler.cpu.selection import Product
from hearth.compiler.cpu.tuning import DEFAULT_TUNING, Tuning
from hearth.tuner.decide import Gain, gain, weighted
from hearth.tuner.probe import Load, Probe

Told = Callable[[str, float], None]
"""Called with what is being measured and the seconds that the search has taken."""

LEAST_GAIN = 0.01
MOST_LOSS = 0.02
_MIN_ROUNDS, _MAX_ROUNDS = 5, 40
_ROUNDS_S = 1.5  # for the rounds of one load
_SURE = 0.004  # a standard error with which no more rounds are needed
_DEFAULT_CACHE_BYTES = 32 << 20
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

ROWS = ((1, 0.5), (4, 0.15), (128, 0.35))
"""Rows that products are measured with, and their weights: decoding, few sequences or a verified guess, a prompt."""
_LOGIT_ROWS = ((1, 0.8), (4, 0.2))  # of a prompt only the last row is wanted
_MULTIPLICATIONS = 8 * 10**8  # a thread, candidate and round: a step of it is done within a turn on a busy core


@dataclass(frozen=True)
class Found:
    """The result for one kernel.

    Attributes:
        kernel: its C name.
        product: the largest that it computes in the model, which was measured.
        weights_bytes: that all its products read.
        tuning: the best found.
        gain: over the default, weighted.
        by_rows: the same for each number of rows.
    """

    kernel: str
    product: Product
    weights_bytes: int
    tuning: Tuning
    gain: Gain
    by_rows: dict[int, Gain]


class Search:
    """One search.

    Args:
        products: of the model, as by default.
        known: tunings to begin with, by kernel.
        budget_s: seconds after which nothing new is begun.
        cache: Hearth's cache folder.
    """

    def __init__(
        self, products: Sequence[Product], known: dict[str, Tuning], *, threads: int, budget_s: float, cache: Path,
        told: Told | None = None,
    ) -> None:  # fmt: skip
        self._threads, self._cache, self._told = threads, cache, told or (lambda label, seconds: None)
        self._begin = time.monotonic()
        self._budget_s = budget_s
        self._model_bytes = sum(p.units * p.unit_bytes for p in products)
        sizes: Counter[str] = Counter()
        self._largest: dict[str, Product] = {}
        for product, size in sorted(((p, count * p.units * p.unit_bytes) for p, count in Counter(products).items()),
                                    key=lambda item: item[1]):  # fmt: skip
            name = product.spec.isa.symbol(product.spec.name)
            self._largest[name] = product  # what comes last is read most
            sizes[name] += size
        self._sizes = dict(sizes.most_common())
        self._best = {name: known.get(name, DEFAULT_TUNING) for name in self._sizes}
        self._against_default: dict[str, dict[int, Gain]] = {}
        self.complete = True

    def run(self) -> list[Found]:
        """Searches until everything was tried or the budget is used up; `complete` says which."""
        for field in ("prefetch_bytes", "unroll", "tile_rows", "stretch_bytes", "chunk_bytes"):
            for name in self._sizes:
                product = self._largest[name]
                candidates = choices(product, self._best[name], field)
                if not candidates:
                    continue
                if self._spent() > self._budget_s:
                    self.complete = False
                    break
                self._told(f"{name}: {field}", self._spent())
                self._improve(name, product, candidates)
        return [self._found(name) for name in self._sizes]

    def _improve(self, name: str, product: Product, candidates: list[Tuning]) -> None:
        incumbent = self._best[name]
        measured = self._measure(product, [incumbent, *candidates])
        gains = [{rows: each[i] for rows, each in measured.items()} for i in range(len(candidates))]
        winner = max(range(len(candidates)), key=lambda i: self._weighted(product, gains[i]).least)
        if not self._wins(product, gains[winner]):
            return
        again = {rows: g for rows, (g,) in self._measure(product, [incumbent, candidates[winner]]).items()}
        if self._wins(product, again):
            self._best[name] = candidates[winner]
            if incumbent == DEFAULT_TUNING:
                self._against_default[name] = again
            else:
                self._against_default.pop(name, None)

    def _found(self, name: str) -> Found:
        product, tuning = self._largest[name], self._best[name]
        none = {rows: Gain(0.0, 0.0) for rows, _ in rows_of(product)}
        by_rows = none
        if tuning != DEFAULT_TUNING:
            self._told(f"{name}: against the default", self._spent())
            by_rows = self._against_default.get(name) or {
                rows: g for rows, (g,) in self._measure(product, [DEFAULT_TUNING, tuning]).items()
            }
            if self._weighted(product, by_rows).least <= 0:
                tuning, by_rows = DEFAULT_TUNING, none
        return Found(name, product, self._sizes[name], tuning, self._weighted(product, by_rows), by_rows)

    def _weighted(self, product: Product, gains: dict[int, Gain]) -> Gain:
        return weighted([gains[rows] for rows, _ in rows_of(product)], [weight for _, weight in rows_of(product)])

    def _wins(self, product: Product, gains: dict[int, Gain]) -> bool:
        return self._weighted(product, gains).least > LEAST_GAIN and all(g.log > -MOST_LOSS for g in gains.values())

    def _measure(self, product: Product, tunings: list[Tuning]) -> dict[int, list[Gain]]:
        """Gains of all but the first over the first, for each number of rows."""
        gains = {}
        with storage_errors("write", self._cache):
            self._cache.mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(prefix=".probe-", dir=self._cache)
        with folder as path:
            for rows, _ in rows_of(product):
                with Probe(
                    product, tunings, self._load(rows), threads=self._threads, folder=Path(path), cache=self._cache
                ) as probe:
                    gains[rows] = _rounds(probe)
        return gains

    def _load(self, rows: int) -> Load:
        # As much as the model reads between two uses of a weight, or what no cache holds.
        beyond_caches = max(5 * cache_bytes() // 2, 64 << 20)
        size = min(self._model_bytes, beyond_caches, 512 << 20)
        return Load(rows, size, _MULTIPLICATIONS * self._threads if rows > 8 else 1 << 62)

    def _spent(self) -> float:
        return time.monotonic() - self._begin


def _rounds(probe: Probe) -> list[Gain]:
    times: list[list[float]] = []
    begin = time.monotonic()
    while True:
        times.append(probe.round())
        if len(times) < _MIN_ROUNDS:
            continue
        first, *others = zip(*times, strict=True)
        gains = [gain(first, other) for other in others]
        late = time.monotonic() - begin > _ROUNDS_S
        if late or len(times) == _MAX_ROUNDS or max(g.error for g in gains) < _SURE:
            return gains


def rows_of(product: Product) -> tuple[tuple[int, float], ...]:
    return _LOGIT_ROWS if product.spec.epilogue == "logits" else ROWS


def choices(product: Product, best: Tuning, field: str) -> list[Tuning]:
    """The other values worth trying for one number of a tuning."""
    spec = product.spec
    tile = spec.isa.tile_rows
    values: dict[str, tuple[int, ...]] = {
        "prefetch_bytes": (0, 1024, 2048, 4096, 8192, 16384),
        # More than 16 columns of scales beside them do not fit any registers.
        "tile_rows": tuple(size for size in (tile // 2, tile, tile * 2) if 2 <= size <= 16),
        # LLVM takes long over more.
        "unroll": (1, 2) if spec.fmt.plane_groups > 2 else (),
        "stretch_bytes": tuple(size << 10 for size in (128, 256, 512, 1024)),
        "chunk_bytes": tuple(size << 10 for size in (32, 64, 96, 192, 384)),
    }
    now = {**vars(best), "tile_rows": best.tile_rows or tile}[field]
    tunings = [replace(best, **{field: value}) for value in values[field] if value != now]
    if field != "chunk_bytes":
        return tunings
    grain = best.grain(product.units, product.unit_bytes)
    return [t for t in tunings if t.grain(product.units, product.unit_bytes) != grain]


def cache_bytes() -> int:
    """Size of the last cache before the memory; a guess where the system does not tell."""
    sizes = []
    for file in _CACHES.glob("index*/size") if os.name == "posix" else ():
        try:
            text = file.read_text(encoding="ascii").strip()
            sizes.append(int(text.rstrip("KMG")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1))
        except (OSError, ValueError):
            continue
    return max(sizes, default=_DEFAULT_CACHE_BYTES)
