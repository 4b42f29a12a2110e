"""Where the time of a prompt and of decoded tokens goes on a GPU: which kernels ran, in which variant, for how long.

The runtime times each dispatch by the GPU's clock, in a pass of its own, so the sum is more than a call takes; that is
measured beside it, without a profile.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hearth.bundle import GPU_COSTS, StepCost, read_costs
from hearth.errors import UsageError
from hearth.llm import LLM
from hearth.measure.workload import require_some
from hearth.runtime import StepProfile, TextSession

_WARM_UP_STEPS = 2


@dataclass(frozen=True)
class GpuKernelTime:
    """One kernel in one role, all its dispatches of a phase together.

    Attributes:
        role: what it does in the model.
        variant: what it needs of the GPU beyond the core; "core": nothing.
        dispatches: of the phase; `time_us`: their time by the GPU's clock, 0 where that cannot be read.
        weight_bytes: of the weights that they read, each dispatch for itself.
    """

    role: str
    kernel: str
    variant: str
    dispatches: int
    time_us: float
    weight_bytes: int


@dataclass(frozen=True)
class GpuPhase:
    """A whole prompt, or one decoded token.

    Attributes:
        tokens: computed; context: those in the cache before them.
        time_us: of the calls without a profile, the median.
        dispatches, written_bytes, read_bytes, encode_us: of the last call.
        weight_bytes: of the weights that its kernels read: of a decoded token each of those that it needs once.
    """

    name: str
    tokens: int
    context: int
    time_us: float
    dispatches: int
    written_bytes: int
    read_bytes: int
    encode_us: float
    weight_bytes: int
    kernels: tuple[GpuKernelTime, ...]


@dataclass(frozen=True)
class GpuProfile:
    """What `hearth bench --profile` tells of a model on a GPU."""

    model: str
    device: str
    driver: str
    phases: tuple[GpuPhase, ...]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def profile_gpu(llm: LLM, *, prompt: int, gen: int, context: int | None = None) -> GpuProfile:
    """Computes a prompt and `gen` tokens behind `context` (None: behind the prompt), and times each kernel.

    Raises:
        UsageError: the model is not on a GPU alone, or there is nothing to time.
    """
    require_some(prompt=prompt, gen=gen)
    gpu, session = llm.info.device.gpu, llm.session
    if gpu is None or not isinstance(session, TextSession):
        raise UsageError("A profile of a GPU is of a model that is on it as a whole.", hint="Leave --gpu-layers out.")
    runs = _Runs(session)
    behind = prompt if context is None else max(1, context)
    phases = (runs.phase("prefill", [(0, prompt)]), runs.phase("decode", [(behind + i, 1) for i in range(gen)]))
    return GpuProfile(llm.info.name, gpu.label, gpu.driver, phases)


class _Runs:
    """Runs forwards of tokens of chance over the first pages of a session, which nobody else uses."""

    def __init__(self, session: TextSession) -> None:
        self._session = session
        self._random = np.random.default_rng(0)
        self._table = np.arange(session.num_pages, dtype=np.int32)[None]
        self._variants = session.model.info.device.variants
        self._costs = read_costs(session.model.path, GPU_COSTS)

    def phase(self, name: str, calls: list[tuple[int, int]]) -> GpuPhase:
        """`calls`: (first position, tokens) each; all of a prompt count as one, of decoding each for itself."""
        session = self._session
        chunks = [part for start, count in calls for part in self._chunks(start, count)]
        for start, count in chunks[:_WARM_UP_STEPS]:
            self._forward(start, count)
        times = [self._forward(start, count) for start, count in chunks]
        counters = session.read_counters()
        session.profile(True)
        for start, count in chunks:
            self._forward(start, count)
        steps = list(zip(session.read_profile(), self._costs, strict=True))
        session.profile(False)
        whole = name == "prefill"
        seconds = sum(times) if whole else statistics.median(times)
        kernels = self._kernels(steps, 1 if whole else len(chunks))
        return GpuPhase(
            name, calls[0][1], calls[0][0], 1e6 * seconds, counters.dispatches, counters.written_bytes,
            counters.read_bytes, counters.encode_ns / 1e3, sum(k.weight_bytes for k in kernels), kernels,
        )  # fmt: skip

    def _chunks(self, start: int, count: int) -> list[tuple[int, int]]:
        most = self._session.info.max_tokens
        return [(at, min(most, start + count - at)) for at in range(start, start + count, most)]

    def _forward(self, start: int, count: int) -> float:
        ids = self._random.integers(0, self._session.info.vocab_size, count).astype(np.int32)
        positions = np.arange(start, start + count, dtype=np.int32)
        begin = time.perf_counter()
        rows = np.zeros(count, np.int32)
        self._session.forward(ids, positions, rows, self._table, [count - 1], count * (count > 1), wanted=("argmax",))
        return time.perf_counter() - begin

    def _kernels(self, steps: list[tuple[StepProfile, StepCost]], times: int) -> tuple[GpuKernelTime, ...]:
        found: dict[tuple[str, str], tuple[int, int, int]] = {}
        for step, cost in steps:
            if step.calls:
                calls, spent, read = found.get((step.label, step.kernel), (0, 0, 0))
                read += step.calls * cost.weight_bytes
                found[step.label, step.kernel] = calls + step.calls, spent + step.time_ns, read
        kernels = [
            GpuKernelTime(
                role, kernel, "+".join(self._variants.get(kernel, ())) or "core", calls // times, spent / 1e3 / times,
                read // times,
            )
            for (role, kernel), (calls, spent, read) in found.items()
        ]  # fmt: skip
        return tuple(sorted(kernels, key=lambda kernel: -kernel.time_us))
