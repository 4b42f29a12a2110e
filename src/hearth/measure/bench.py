"""How fast a model is on this machine, and how near to what the memory allows.

Decoding one sequence reads every weight once a token, and the keys and values of its context. The memory's bandwidth,
read in the same run by as many threads, is its ceiling; the share of it that decoding uses says how good the kernels
are on any machine.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hearth.bundle import BatchShape, StepCost, read_costs
from hearth.errors import UsageError
from hearth.llm import LLM
from hearth.measure.workload import Workload, check_fits
from hearth.runtime.limits import read_bandwidth

_WARM_UP_STEPS = 4


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some measurements."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class MemoryRead:
    """Attributes:
    read_gb_s: bandwidth for reading, 10^9 bytes a second, of `threads` threads.
    """

    threads: int
    read_gb_s: Spread


@dataclass(frozen=True)
class Prefill:
    """Attributes:
    tok_s: prompt tokens computed a second.
    ttft_ms: milliseconds from the request to the first token.
    """

    threads: int
    prompt: int
    tok_s: Spread
    ttft_ms: Spread


@dataclass(frozen=True)
class Decode:
    """Decoding of `batch` sequences at once, each with `context` tokens before its first.

    Attributes:
        tok_s: tokens a second, of all sequences together.
        mb_per_token: weights, keys and values that are read for a token, 10^6 bytes. Sequences of a batch share the
            weights.
        gb_s: these bytes times tokens a second.
        share: of the bandwidth of as many threads, read right before.
        speedup: tokens a second over those of one sequence alone in the same round; None where that was not measured.
    """

    threads: int
    context: int
    batch: int
    tok_s: Spread
    mb_per_token: float
    gb_s: float
    share: float
    speedup: float | None


@dataclass(frozen=True)
class BenchResult:
    """What `bench` measured. All MB are 10^6 bytes.

    Attributes:
        gen, repeat: tokens that each decode generates; runs that the numbers are medians of.
        weights_mb, kv_mb: of the packed weights; of the keys and values of the largest run.
        peak_memory_mb: of this process so far, with all pages of the largest run in memory; 0 where the system does
            not tell. Holds what came before too: a compiler that was loaded in the same process.
    """

    model: str
    quant: str
    head: str
    precision: str
    kv: str
    isa: str
    gen: int
    repeat: int
    memory: tuple[MemoryRead, ...]
    prefill: tuple[Prefill, ...]
    decode: tuple[Decode, ...]
    weights_mb: float
    kv_mb: float
    peak_memory_mb: float

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers rounded to what they can mean."""
        data: dict[str, Any] = rounded(asdict(self))
        return data


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def bench(
    llm: LLM,
    *,
    prompt: int | Sequence[int] = 512,
    gen: int = 128,
    repeat: int = 5,
    threads: int | Sequence[int] | None = None,
    context: int | Sequence[int] | None = None,
    batch: int | Sequence[int] = 1,
    told: Callable[[int, int], None] | None = None,
) -> BenchResult:
    """Measures prefill and decode, each in `repeat` rounds after one that warms up; a round runs everything once.

    Args:
        prompt: tokens of a prompt, random ones; several: each is measured.
        gen: tokens that each decode generates; 0: none is measured.
        threads: None: those that `llm` was opened with.
        context: tokens in the cache before a decode's first; None: as many as `prompt`. 0 counts as 1, the token that
            something must begin with.
        batch: sequences that decode at once.
        told: called with (runs done, runs in all).

    Raises:
        UsageError: a number is out of range, or prompt, context and answer are longer than the model takes.
        NotEnoughMemory: the keys and values do not fit.
        BundleMismatch: the bundle was made by a Hearth too old to measure it.
    """
    prompts, batches = numbers("prompt", prompt, 1), numbers("batch", batch, 1)
    contexts = prompts if context is None else [max(1, n) for n in numbers("context", context, 0)]
    counts = [llm.info.threads] if threads is None else numbers("threads", threads, 1)
    numbers("gen", gen, 0)
    numbers("repeat", repeat, 1)
    plan = _Plan(prompts, contexts if gen else [], batches, gen, repeat, read_costs(llm.info.bundle))
    for tokens, sequences in plan.longest:
        check_fits(llm, tokens, sequences)
    done, total = 0, len(counts) * (repeat + 1) * plan.runs

    def step() -> None:
        nonlocal done
        done += 1
        if told is not None:
            told(done, total)

    memory: list[MemoryRead] = []
    prefill: list[Prefill] = []
    decode: list[Decode] = []
    peak_bytes = kv_bytes = 0
    for count in counts:
        with Workload(llm, threads=count, longest=plan.longest) as work:
            rounds = _Rounds(plan)
            rounds.warm_up(work, step)
            peak_bytes = peak_bytes or _peak_memory_bytes()  # before bandwidth is read, which takes a large buffer
            kv_bytes = work.kv_bytes
            for _ in range(repeat):
                rounds.run(work, llm, step)
        memory.append(MemoryRead(count, Spread.of([value / 1e9 for value in rounds.read])))
        prefill += rounds.prefill(count)
        decode += rounds.decode(count)
    info = llm.info
    return BenchResult(
        model=info.name,
        quant=info.manifest.quant,
        head=info.manifest.language.head,
        precision=info.manifest.precision,
        kv=info.manifest.language.kv,
        isa=llm.model.info.isa,
        gen=gen,
        repeat=repeat,
        memory=tuple(memory),
        prefill=tuple(prefill),
        decode=tuple(decode),
        weights_mb=info.weights_bytes / 1e6,
        kv_mb=kv_bytes / 1e6,
        peak_memory_mb=peak_bytes / 1e6,
    )


def numbers(name: str, given: int | Sequence[int], least: int) -> list[int]:
    """One number or several as a list without doubles.

    Raises:
        UsageError: there is none, or one below `least`.
    """
    values = list(dict.fromkeys([given] if isinstance(given, int) else given))
    for value in values:
        if value < least:
            raise UsageError(f"{name} is {value}, but must be at least {least}.")
    if not values:
        raise UsageError(f"No {name} is given.")
    return values


@dataclass(frozen=True)
class _Plan:
    """What one round runs."""

    prompts: list[int]
    contexts: list[int]
    batches: list[int]
    gen: int
    repeat: int
    costs: tuple[StepCost, ...]

    @property
    def points(self) -> list[tuple[int, int]]:
        return [(context, batch) for context in self.contexts for batch in self.batches]

    @property
    def longest(self) -> list[tuple[int, int]]:
        """(tokens, sequences) of each run."""
        return [(n, 1) for n in self.prompts] + [(context + self.gen, batch) for context, batch in self.points]

    @property
    def runs(self) -> int:
        return len(self.prompts) + len(self.points)

    def bytes_per_token(self, context: int, batch: int) -> float:
        """Weights, keys and values that decoding reads, in the middle of a run."""
        shape = BatchShape(((context + self.gen // 2, 1),) * batch, batch)
        return sum(cost.memory_bytes(shape) for cost in self.costs) / batch


class _Rounds:
    """Seconds of every run, one of each in a round: what disturbs a round disturbs all that is compared in it."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan
        self.read: list[float] = []  # bytes a second
        self._prefill: dict[int, list[float]] = {n: [] for n in plan.prompts}
        self._decode: dict[tuple[int, int], list[float]] = {point: [] for point in plan.points}

    def warm_up(self, work: Workload, step: Callable[[], None]) -> None:
        for prompt in self.plan.prompts:
            work.prefill(prompt)
            step()
        for context, batch in self.plan.points:
            work.decode(context, batch, min(self.plan.gen, _WARM_UP_STEPS))
            step()

    def run(self, work: Workload, llm: LLM, step: Callable[[], None]) -> None:
        self.read.append(statistics.median(read_bandwidth(llm.model, threads=work.session.threads, rounds=3)))
        for prompt, seconds in self._prefill.items():
            seconds.append(work.prefill(prompt))
            step()
        for (context, batch), seconds in self._decode.items():
            seconds.append(work.decode(context, batch, self.plan.gen))
            step()

    def prefill(self, threads: int) -> list[Prefill]:
        return [
            Prefill(threads, prompt, Spread.of([prompt / s for s in seconds]), Spread.of([s * 1e3 for s in seconds]))
            for prompt, seconds in self._prefill.items()
        ]

    def decode(self, threads: int) -> list[Decode]:
        results = []
        for (context, batch), seconds in self._decode.items():
            speeds = [self.plan.gen * batch / s for s in seconds]
            size = self.plan.bytes_per_token(context, batch)
            alone = self._decode.get((context, 1)) if batch > 1 else None
            results.append(
                Decode(
                    threads=threads,
                    context=context,
                    batch=batch,
                    tok_s=Spread.of(speeds),
                    mb_per_token=size / 1e6,
                    gb_s=statistics.median(speeds) * size / 1e9,
                    share=statistics.median(s * size / read for s, read in zip(speeds, self.read, strict=True)),
                    speedup=_speedup(batch, alone, seconds),
                )
            )
        return results


def _speedup(batch: int, alone: list[float] | None, together: list[float]) -> float | None:
    if alone is None:
        return None
    return statistics.median(batch * a / b for a, b in zip(alone, together, strict=True))


def _peak_memory_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
