"""Which variants of its kernels a model runs with on a GPU: a short race when that GPU first meets them.

What a feature gains differs from GPU to GPU, up to its sign, and a driver may get one wrong. So each variant that the
adapter can run is tried on the model at hand: it has to give what the processor gives, near enough, and the fastest of
those that do is taken and remembered, for that adapter and driver and the very text of the shaders. A GPU whose
plainest kernels do not give what the processor gives is not used at all. The last layer and the head run, which have
all kernels that there are, on hidden states of chance: so a race is short, and also of a model that does not fit.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hearth.bundle import Bundle
from hearth.errors import DeviceError, HearthError
from hearth.prepare.placement import Placement
from hearth.prepare.race_record import read_choices, write_choices
from hearth.prepare.shaders import CORE, read_variants
from hearth.runtime import Model, TextInfo, TextSession

CALLS = (96, 1, 4)
"""Tokens of the calls that race: a prompt, one token behind it, a few."""
_ROUNDS = 5
_FAR_FROM_CPU = 0.1
"""Relative distance of logits that is no rounding any more: the processor may compute with 8-bit activations."""
_FAR_FROM_CORE = 0.05

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class _Lap:
    """What one set of features gave.

    Attributes:
        logits: after each call, f32 (vocab_size,).
        seconds: of each call, the median.
        kernel_ns: of each kernel, in all of them; empty where the GPU does not tell.
        ran: kernels that had something to do in each call.
        variants: what each kernel used.
    """

    logits: list[Float32s]
    seconds: list[float]
    kernel_ns: Mapping[str, int]
    ran: list[frozenset[str]]
    variants: Mapping[str, str]


def choose_variants(bundle: Bundle, placement: Placement, report: Callable[[], None] | None = None) -> str:
    """What kernels may use (`Model(gpu_features=...)`), by the record or by a race.

    Args:
        report: called when a race begins.

    Raises:
        DeviceError: the GPU does not compute what the processor computes.
    """
    gpu = placement.gpu
    assert gpu is not None, "a race is between kernels of a GPU"
    variants = read_variants(bundle)
    choices = read_choices(gpu, {name: each.digest for name, each in variants.items()})
    open_names = {name for name, each in variants.items() if name not in choices}
    if open_names:
        if report is not None:
            report()
        sets = {CORE, *(f for name in open_names for f in variants[name].usable(gpu.features))}
        won = _race(bundle, placement.device, sorted(sets, key=lambda features: (features != CORE, features)))
        choices = {**choices, **{name: won.get(name, CORE) for name in open_names}}
        write_choices(gpu, {name: (variants[name].digest, choice) for name, choice in choices.items()})
    return " ".join([CORE, *(f"{name}={f}" for name, f in sorted(choices.items()) if f != CORE)])


def _race(bundle: Bundle, device: str, sets: list[str]) -> dict[str, str]:
    """The best features of each kernel that has run."""
    layers = bundle.manifest.language.layers
    part = (layers - 1, layers) if layers > 1 else None
    with Model(bundle.path, use_mmap=True, layers=part) as model:
        expected = _lap(model, rounds=0).logits
    laps: dict[str, _Lap] = {}
    for features in sets:
        try:
            with Model(bundle.path, device=device, gpu_features=features, layers=part) as model:
                lap = _lap(model, rounds=_ROUNDS)
        except HearthError:
            if features == CORE:
                raise
            continue  # a driver that refuses a variant: the others may do
        reference, limit = (expected, _FAR_FROM_CPU) if features == CORE else (laps[CORE].logits, _FAR_FROM_CORE)
        far = max(_distance(a, b) for a, b in zip(lap.logits, reference, strict=True))
        if far <= limit:
            laps[features] = lap
        elif features == CORE:
            raise DeviceError(
                "The GPU does not compute what the processor computes.",
                why=f"Logits are {far:.0%} away from those of the same model on the processor.",
                hint="Update the GPU's driver, or compute on the processor: --device cpu.",
            )
    return _winners(laps)


def _winners(laps: Mapping[str, _Lap]) -> dict[str, str]:
    core = laps[CORE]
    best = {}
    for name in frozenset[str]().union(*core.ran):

        def cost(lap: _Lap, name: str = name) -> float:
            if lap.kernel_ns:
                return lap.kernel_ns[name]
            # What runs in several is weighed by the shortest, of which there are most.
            return min(seconds for seconds, ran in zip(lap.seconds, lap.ran, strict=True) if name in ran)

        _, used = min(((cost(lap), lap.variants.get(name, CORE)) for lap in laps.values()), key=lambda pair: pair[0])
        best[name] = used
    return best


def _lap(model: Model, *, rounds: int) -> _Lap:
    """The calls, one behind the other, and then each `rounds` times more by the clock."""
    info = TextInfo.of(model.info)
    room = min(info.max_tokens, info.max_position // 2)
    counts = [min(count, room) for count in CALLS]
    ends = np.cumsum(counts)
    random = np.random.default_rng(0)
    ids = random.integers(0, info.vocab_size, ends[-1]).astype(np.int32)
    part = model.info.layers
    states = random.normal(size=(ends[-1], part.columns)).astype(np.float32) if part.first else None
    positions = np.arange(ends[-1], dtype=np.int32)
    pages = -(-int(ends[-1]) // info.page_tokens)
    table = np.arange(pages, dtype=np.int32)[None]
    with TextSession(model, num_pages=pages, num_slots=info.lone_slots) as session:

        def call(number: int) -> Float32s:
            here = slice(ends[number] - counts[number], ends[number])
            rows, last = np.zeros(counts[number], np.int32), np.array([counts[number] - 1], np.int32)
            given = None if states is None else states[here]
            state = info.lone_state(here.start, counts[number])
            result = session.forward(
                ids[here], positions[here], rows, table, last, wanted=("logits",), layer_input=given, **state
            )
            return np.array(result.logits[0])

        calls = range(len(counts))
        logits = [call(number) for number in calls]
        if not rounds:
            return _Lap(logits, [], {}, [], {})
        seconds = [_timed(partial(call, number), rounds) for number in calls]
        ran, spent = [], dict[str, int]()
        for number in calls:
            session.profile(True)
            call(number)
            steps = [step for step in session.read_profile() if step.calls]
            ran.append(frozenset(step.kernel for step in steps))
            for step in steps:
                spent[step.kernel] = spent.get(step.kernel, 0) + step.time_ns
            session.profile(False)
    variants = {name: "+".join(used) for name, used in model.info.device.variants.items()}
    return _Lap(logits, seconds, spent if any(spent.values()) else {}, ran, variants)


def _timed(run: Callable[[], Float32s], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _distance(a: Float32s, b: Float32s) -> float:
    """Relative, in the Euclidean norm; what is no number is as far as can be."""
    norm = float(np.linalg.norm(b))
    far = float(np.linalg.norm(a - b)) / norm if norm else float("inf")
    return far if np.isfinite(far) else float("inf")
