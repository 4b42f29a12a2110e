"""How fast a model is on this machine, and how near to what the memory allows.

Decoding one sequence reads every weight once a token, so the memory's bandwidth, read in the same run by the same
threads, is its ceiling; the share of it that decoding uses says how good the kernels are on any machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hearth.engine import SamplingParams
from hearth.errors import UsageError
from hearth.llm import LLM
from hearth.runtime.limits import read_bandwidth

_SEED = 20240229


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some measurements."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class BenchResult:
    """What `bench` measured.

    Attributes:
        prefill_tok_s: prompt tokens computed a second.
        decode_tok_s: tokens a second after the first.
        ttft_ms: milliseconds from the request to the first token.
        read_gb_s: memory bandwidth for reading, 10^9 bytes a second, with the same threads.
        decode_gb_s: weights read by decoding a second: `weights_mb` times `decode_tok_s`.
        weights_mb: of the packed weights, 10^6 bytes.
        peak_memory_mb: of this process so far, 10^6 bytes; 0 where the system does not tell.
    """

    model: str
    quant: str
    head: str
    precision: str
    threads: int
    prompt: int
    gen: int
    repeat: int
    prefill_tok_s: Spread
    decode_tok_s: Spread
    ttft_ms: Spread
    read_gb_s: float
    decode_gb_s: float
    weights_mb: float
    peak_memory_mb: float

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers rounded to what they can mean."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def bench(
    llm: LLM, *, prompt: int = 512, gen: int = 128, repeat: int = 5, told: Callable[[int, int], None] | None = None
) -> BenchResult:
    """Runs `repeat` requests of `prompt` random tokens in, `gen` tokens out, after one that warms up.

    Args:
        told: called with (runs done, runs in all).

    Raises:
        UsageError: a number is out of range, or prompt and answer are longer than the context.
    """
    for name, value in (("prompt", prompt), ("gen", gen), ("repeat", repeat)):
        if value < 1:
            raise UsageError(f"{name} is {value}, but must be at least 1.")
    info = llm.info
    if prompt + gen > info.context:
        raise UsageError(
            f"A prompt of {prompt} and {gen} tokens more do not fit the context of {info.context}.",
            hint=f"Open the model with a context of {prompt + gen} or ask for fewer tokens.",
        )
    random = np.random.default_rng(_SEED)
    runs = []
    for index in range(repeat + 1):
        # Another prompt each time, from its first token on: nothing may be reused from the run before.
        ids = random.integers(0, info.vocab_size, prompt)
        ids[0] = (index * 7919 + 1) % info.vocab_size
        runs.append(_run(llm, ids.tolist(), gen))
        if told is not None:
            told(index + 1, repeat + 1)
    del runs[0]  # it warmed up caches and thread team
    peak_memory_mb = _peak_memory_bytes() / 1e6  # before the bandwidth is read, which takes a large buffer
    read = statistics.median(read_bandwidth(llm.model, threads=info.threads)) / 1e9
    decode = Spread.of([(gen - 1) / (last - first) if gen > 1 and last > first else 0.0 for first, last in runs])
    weights_mb = info.weights_bytes / 1e6
    return BenchResult(
        model=info.name,
        quant=info.manifest.quant,
        head=info.manifest.head,
        precision=info.manifest.precision,
        threads=info.threads,
        prompt=prompt,
        gen=gen,
        repeat=repeat,
        prefill_tok_s=Spread.of([prompt / first for first, _ in runs]),
        decode_tok_s=decode,
        ttft_ms=Spread.of([first * 1e3 for first, _ in runs]),
        read_gb_s=read,
        decode_gb_s=decode.median * weights_mb / 1e3,
        weights_mb=weights_mb,
        peak_memory_mb=peak_memory_mb,
    )


def _run(llm: LLM, ids: list[int], gen: int) -> tuple[float, float]:
    """Seconds until the first and until the last token."""
    params = SamplingParams(temperature=0.0, max_tokens=gen, ignore_eos=True)
    begin = time.perf_counter()
    moments = [time.perf_counter() - begin for event in llm.engine.generate(ids, params) if event.token is not None]
    return moments[0], moments[-1]


def _peak_memory_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
