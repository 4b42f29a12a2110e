"""Shows what a tuning is worth: the model compiled both ways gives the same bits, and how much faster one is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hearth.engine import pages_for
from hearth.errors import HearthError
from hearth.runtime import ForwardResult, Model, TextInfo, TextSession, require
from hearth.tuner.decide import Gain, gain, undisturbed, weighted

_PROMPTS = (3, 33, 160)
_STEPS = 8  # greedy tokens after each prompt
_PREFILL, _PROMPTS_TIMED, _DECODE = 64, 5, 15  # in a round: so many prompts of 64 tokens, tokens after each other
_MIN_ROUNDS, _MAX_ROUNDS, _ROUNDS_S = 5, 25, 25.0
_SEED = 20240229
_SLOWER = -0.005


@dataclass(frozen=True)
class Proof:
    """What was found.

    Attributes:
        tokens: that both predicted, from logits of the same bits.
        prefill, decode: gain of the tuned model, measured in turns.
    """

    tokens: int
    prefill: Gain
    decode: Gain

    @property
    def worthwhile(self) -> bool:
        """Whether the model as a whole did not clearly get slower: each kernel was shown to be faster before."""
        return weighted([self.prefill, self.decode], [0.4, 0.6]).most > _SLOWER


def prove(untuned: Path, tuned: Path, *, threads: int, told: Callable[[str], None] | None = None) -> Proof:
    """Compares two bundles of one model.

    Raises:
        HearthError: the two do not compute the same; then a kernel has a mistake.
        NotEnoughMemory: the two do not fit beside each other.
    """
    report = told or (lambda label: None)
    need = sum((path / "weights.bin").stat().st_size for path in (untuned, tuned))
    require(need, "The model twice, to compare it tuned and untuned,")
    with Model(untuned) as first, Model(tuned) as second:
        info = TextInfo.of(first.info)
        tokens = min(max(_PROMPTS) + _STEPS, info.max_position)
        pages = pages_for(tokens, 1, page_tokens=info.page_tokens)
        runs = [
            _Run(TextSession(model, num_pages=pages, num_slots=info.lone_slots, threads=threads), tokens)
            for model in (first, second)
        ]
        report("comparing tokens")
        random = np.random.default_rng(_SEED)
        compared = 0
        for length in _PROMPTS:
            ids = random.integers(0, info.vocab_size, min(length, tokens - _STEPS)).astype(np.int32)
            compared += _same(runs[0], runs[1], ids)
        report("measuring the model")
        prefill, decode = _race(runs, info)
    return Proof(compared, prefill, decode)


class _Run:
    """One sequence in a session."""

    def __init__(self, session: TextSession, tokens: int) -> None:
        self._session = session
        self._table = np.arange(session.num_pages, dtype=np.int32)[None]
        self._max_rows = session.info.max_logit_rows

    def feed(self, ids: NDArray[np.int32], position: int) -> NDArray[np.float32]:
        """Logits after the last tokens of `ids`, which stand at `position` and after."""
        n = len(ids)
        rows = np.arange(max(0, n - self._max_rows), n, dtype=np.int32)
        return self._forward(ids, position, rows).logits

    def timed(self, ids: NDArray[np.int32], position: int) -> float:
        """Seconds for the same, the logits of the last token alone wanted."""
        n = len(ids)
        last = np.array([n - 1], np.int32)
        begin = time.perf_counter()
        self._forward(ids, position, last)
        return time.perf_counter() - begin

    def _forward(self, ids: NDArray[np.int32], position: int, rows: NDArray[np.int32]) -> ForwardResult:
        n = len(ids)
        where = np.arange(position, position + n, dtype=np.int32)
        state = self._session.info.lone_state(position, n)
        return self._session.forward(ids, where, np.zeros(n, np.int32), self._table, rows, **state)


def _same(first: _Run, second: _Run, ids: NDArray[np.int32]) -> int:
    """Tokens compared: of a prompt, in one chunk, and of greedy decoding after it."""
    position, compared = 0, 0
    for _ in range(_STEPS):
        a, b = first.feed(ids, position), second.feed(ids, position)
        if a.tobytes() != b.tobytes():
            raise HearthError(
                "A tuned kernel does not compute what it did untuned; nothing was kept.",
                why=f"Logits differ after {position + len(ids)} tokens.",
                hint="This is a mistake in Hearth: please report it with the model's name and your processor.",
            )
        compared += len(a)
        position += len(ids)
        ids = np.array([a[-1].argmax()], np.int32)
    return compared


def _race(runs: list[_Run], info: TextInfo) -> tuple[Gain, Gain]:
    length = min(_PREFILL, info.max_position - _DECODE, info.max_tokens)
    ids = np.random.default_rng(_SEED).integers(0, info.vocab_size, length).astype(np.int32)
    times: list[list[tuple[float, float]]] = []
    begin = time.monotonic()
    while len(times) < _MIN_ROUNDS or (len(times) < _MAX_ROUNDS and time.monotonic() - begin < _ROUNDS_S):
        order = (0, 1) if len(times) % 2 == 0 else (1, 0)
        each = {which: _one(runs[which], ids) for which in order}
        times.append([each[0], each[1]])
    pairs = [([t[0][i] for t in times], [t[1][i] for t in times]) for i in (0, 1)]
    return gain(*pairs[0]), gain(*pairs[1])


def _one(run: _Run, ids: NDArray[np.int32]) -> tuple[float, float]:
    """Seconds of a prompt, and of a token after it, undisturbed."""
    prompts = [run.timed(ids, 0) for _ in range(_PROMPTS_TIMED)]
    steps = [run.timed(ids[:1], len(ids) + i) for i in range(_DECODE)]
    return undisturbed(prompts), undisturbed(steps)
