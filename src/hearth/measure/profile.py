"""Where the time of a prefill and of a decode step goes, kernel by kernel, and how near each comes to what binds it.

Each step of the plan is timed by the runtime; what it moves and computes the compiler wrote into the bundle
(`bundle/costs.py`). The limits, the memory's bandwidth and the peaks of integer and float arithmetic, are measured in
the same run by as many threads.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hearth.bundle import BatchShape, StepCost, read_costs
from hearth.bundle.costs import Arithmetic
from hearth.llm import LLM
from hearth.measure.bench import rounded
from hearth.measure.workload import Workload, require_some
from hearth.runtime.limits import compute_peak, read_bandwidth

_WARM_UP_STEPS = 4


@dataclass(frozen=True)
class Limits:
    """What the machine can do at most with these threads: 10^9 bytes read, 10^9 operations (a multiply and an add are
    two) on bytes and on 32-bit floats, a second."""

    read_gb_s: float
    int8_gop_s: float
    float32_gop_s: float

    def gop_s(self, arithmetic: Arithmetic) -> float:
        return self.int8_gop_s if arithmetic == "int8" else self.float32_gop_s


@dataclass(frozen=True)
class KernelProfile:
    """One kernel in one role, all its calls in a phase together.

    Attributes:
        role: what it does in the model: `qkv`, `attention`, `down`, ...
        calls: in one prefill, or in one decode step.
        time_us: of these calls.
        share: of the phase's time.
        mbytes: read and written, 10^6: weights, keys and values, activations; each byte once a call.
        mops: operations, 10^6.
        intensity: operations a byte.
        limit: which takes longer at the machine's best, to move the bytes or to compute.
        limit_share: that best time over the time taken. Above 1 where bytes come from the cache.
    """

    role: str
    kernel: str
    calls: int
    time_us: float
    share: float
    mbytes: float
    gb_s: float
    mops: float
    gop_s: float
    arithmetic: Arithmetic
    intensity: float
    limit: Literal["memory", "compute"]
    limit_share: float


@dataclass(frozen=True)
class PhaseProfile:
    """A whole prefill, or one decode step.

    Attributes:
        tokens: computed: of the prompt, or one of each sequence.
        context: tokens in the cache before them.
        time_us: from one token (or the request) to the next: kernels and what is between them.
        kernels: longest first.
        between_us: in the forward but in no kernel: what passes between threads, the batch, the call from Python.
        engine_us: between forwards: scheduling, drawing tokens.
    """

    name: Literal["prefill", "decode"]
    tokens: int
    context: int
    time_us: float
    kernels: tuple[KernelProfile, ...]
    between_us: float
    engine_us: float


@dataclass(frozen=True)
class Profile:
    """What `profile` measured."""

    model: str
    quant: str
    head: str
    precision: str
    kv: str
    isa: str
    threads: int
    limits: Limits
    phases: tuple[PhaseProfile, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers rounded to what they can mean."""
        data: dict[str, Any] = rounded(asdict(self))
        return data


def profile(
    llm: LLM,
    *,
    prompt: int = 512,
    gen: int = 64,
    repeat: int = 5,
    threads: int | None = None,
    context: int | None = None,
    batch: int = 1,
    told: Callable[[int, int], None] | None = None,
) -> Profile:
    """Times every kernel in `repeat` prefills of `prompt` tokens and in `gen` decode steps.

    Times are means over the fastest quarter of the forwards, as the limits are the best of all rounds: what is told is
    what the kernels do when nothing disturbs them. How fast the model is on a machine as busy as it is says `bench`.

    Args:
        context: tokens in the cache before the first decode step; None: as many as `prompt`.
        batch: sequences that decode at once.
        told: called with (runs done, runs in all).

    Raises:
        UsageError, NotEnoughMemory, BundleMismatch: as `bench`.
    """
    behind = prompt if context is None else max(1, context)
    require_some(prompt=prompt, gen=gen, repeat=repeat, batch=batch)
    costs = read_costs(llm.info.bundle)
    count = llm.info.threads if threads is None else threads
    total = repeat + 3

    def done(runs: int) -> None:
        if told is not None:
            told(runs, total)

    with Workload(llm, threads=count, longest=[(prompt, 1), (behind + gen, batch)]) as work:
        prefill, decode = _Samples(work, by_shape=True), _Samples(work, by_shape=False)
        limits = [_limits(llm, count)]
        work.prefill(prompt)
        done(1)
        for index in range(repeat):
            prefill.record(lambda on_forward: work.prefill(prompt, on_forward))
            limits.append(_limits(llm, count))
            done(index + 2)
        work.decode(behind, batch, min(gen, _WARM_UP_STEPS))
        done(repeat + 2)
        decode.record(lambda on_forward: work.decode(behind, batch, gen, on_forward))
        limits.append(_limits(llm, count))
        done(repeat + 3)
    # The best of all rounds: a roof is what nothing has passed, and neighbours can only lower it.
    best = Limits(*(max(values) for values in zip(*(astuple(one) for one in limits), strict=True)))
    manifest = llm.info.manifest
    return Profile(
        model=llm.info.name,
        quant=manifest.quant,
        head=manifest.language.head,
        precision=manifest.precision,
        kv=manifest.language.kv,
        isa=llm.model.info.isa,
        threads=count,
        limits=best,
        phases=(
            prefill.phase("prefill", prompt, 0, costs, best),
            decode.phase("decode", batch, behind, costs, best),
        ),
    )


def _limits(llm: LLM, threads: int) -> Limits:
    return Limits(
        read_gb_s=max(read_bandwidth(llm.model, threads=threads, rounds=3)) / 1e9,
        int8_gop_s=max(compute_peak(llm.model, "int8", threads=threads)) / 1e9,
        float32_gop_s=max(compute_peak(llm.model, "float32", threads=threads)) / 1e9,
    )


@dataclass(frozen=True)
class _Sample:
    """One forward: what was in it; seconds in it and before it; nanoseconds and calls of every step."""

    shape: BatchShape
    inside_s: float
    before_s: float
    steps_ns: NDArray[np.int64]
    calls: NDArray[np.int64]


class _Samples:
    """Forwards that do the same, kept together: the pieces of a prompt, each apart; all steps of decoding."""

    def __init__(self, work: Workload, *, by_shape: bool) -> None:
        self._session = work.session
        self._by_shape = by_shape
        self._groups: dict[BatchShape | None, list[_Sample]] = {}

    def record(self, run: Callable[[Callable[[BatchShape, float, float], None]], object]) -> None:
        """Runs with the timing of steps on."""
        self._session.profile(True)
        run(self._take)
        self._session.profile(False)

    def _take(self, shape: BatchShape, inside_s: float, before_s: float) -> None:
        steps = self._session.read_profile()
        times, calls = np.array([s.time_ns for s in steps]), np.array([s.calls for s in steps])
        sample = _Sample(shape, inside_s, before_s, times, calls)
        self._groups.setdefault(shape if self._by_shape else None, []).append(sample)
        self._session.profile(True)  # from zero again

    def phase(
        self, name: Literal["prefill", "decode"], tokens: int, context: int, costs: Sequence[StepCost], limits: Limits
    ) -> PhaseProfile:
        sums: dict[tuple[str, str], _Sum] = {}
        between_us = engine_us = steps_us = 0.0
        for samples in self._groups.values():
            shape = samples[len(samples) // 2].shape  # decoding, the context grows by one each step
            # Whole forwards, so that the parts add up; the fastest, for what disturbs one hits its longest steps most.
            best = sorted(samples, key=lambda s: s.inside_s)[: max(1, len(samples) // 4)]
            times = np.mean([s.steps_ns for s in best], axis=0) / 1e3
            steps_us += float(times.sum())
            between_us += statistics.mean(s.inside_s * 1e6 - s.steps_ns.sum() / 1e3 for s in best)
            engine_us += statistics.mean(s.before_s * 1e6 for s in best)
            for cost, time_us, calls in zip(costs, times.tolist(), samples[0].calls.tolist(), strict=True):
                if calls:
                    sums.setdefault((cost.role, cost.kernel), _Sum(cost.arithmetic)).add(cost, shape, time_us)
        total_us = steps_us + between_us + engine_us
        kernels = [one.result(role, kernel, total_us, limits) for (role, kernel), one in sums.items()]
        return PhaseProfile(
            name=name,
            tokens=tokens,
            context=context,
            time_us=total_us,
            kernels=tuple(sorted(kernels, key=lambda k: -k.time_us)),
            between_us=between_us,
            engine_us=engine_us,
        )


@dataclass
class _Sum:
    """Of the calls of a kernel in a role."""

    arithmetic: Arithmetic
    calls: int = 0
    time_us: float = 0.0
    size: int = 0
    operations: int = 0

    def add(self, cost: StepCost, shape: BatchShape, time_us: float) -> None:
        self.calls += 1
        self.time_us += time_us
        self.size += cost.bytes(shape)
        self.operations += cost.operations(shape)

    def result(self, role: str, kernel: str, total_us: float, limits: Limits) -> KernelProfile:
        time_us = max(self.time_us, 1e-3)  # a step can be shorter than the clock's tick
        moving_us = self.size / limits.read_gb_s / 1e3
        computing_us = self.operations / limits.gop_s(self.arithmetic) / 1e3
        return KernelProfile(
            role=role,
            kernel=kernel,
            calls=self.calls,
            time_us=self.time_us,
            share=self.time_us / total_us,
            mbytes=self.size / 1e6,
            gb_s=self.size / time_us / 1e3,
            mops=self.operations / 1e6,
            gop_s=self.operations / time_us / 1e3,
            arithmetic=self.arithmetic,
            intensity=self.operations / self.size if self.size else 0.0,
            limit="memory" if moving_us >= computing_us else "compute",
            limit_share=max(moving_us, computing_us) / time_us,
        )
