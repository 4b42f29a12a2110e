"""From one row of logits to one token: `Sampler`, one for each sequence.

Owns the order of the operations and the random numbers; knows nothing of batches, pages or text. The order is
transformers':

    repetition penalty -> frequency and presence penalty -> logit bias -> temperature -> top-k -> top-p -> min-p
    -> softmax -> draw

(vLLM adds the bias before the penalties, llama.cpp divides by the temperature last; where only one of them is set the
results are the same.) Log-probabilities are of the model's own distribution: log-softmax of the raw logits, before any
of these, as in OpenAI's interface.

Nothing here sorts a whole vocabulary: top-k partitions, top-p sorts only the candidates that can be in the nucleus.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.engine.forward import Float32s, Int32s
from hearth.engine.params import SamplingParams
from hearth.errors import HearthError

# Top-p looks for its nucleus among tokens at least this many times as likely as the likeliest, and widens the search
# only if they do not hold enough probability. For a trained model the first bound nearly always suffices.
_NUCLEUS_FLOORS = (1e-3, 1e-6, 0.0)


@dataclass(frozen=True)
class Choice:
    """A drawn token, with natural-log probabilities where the request asked for them."""

    token: int
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] | None = None


class Sampler:
    """Draws the tokens of one sequence.

    Args:
        params: the request's settings.
        prompt_ids: counted by the repetition penalty.
    """

    def __init__(self, params: SamplingParams, prompt_ids: Seq[int]) -> None:
        self.params = params
        self._rng = np.random.Generator(np.random.PCG64(params.seed))
        self._counts = _TokenCounts(prompt_ids) if params.penalises else None
        self._bias_ids = np.fromiter(params.logit_bias.keys(), np.int64, len(params.logit_bias))
        self._bias = np.fromiter(params.logit_bias.values(), np.float32, len(params.logit_bias))

    @property
    def needs_logits(self) -> bool:
        """False if the forward's own argmax is the answer, so that no row of logits has to be read."""
        return not self.params.greedy or self.params.changes_logits or self.params.logprobs is not None

    def sample(self, logits: Float32s, argmax: int, scratch: Float32s) -> Choice:
        """Draws the next token and counts it.

        Args:
            logits: float32 (vocab_size,), is not changed. Not read unless `needs_logits`.
            argmax: index of its largest value.
            scratch: float32 (vocab_size,), overwritten.

        Raises:
            HearthError: the logits hold NaN or infinity, or `argmax` is no token.
        """
        if not 0 <= argmax < scratch.shape[0]:
            raise HearthError(f"The model's likeliest token is {argmax}, outside of its vocabulary.", hint=_BROKEN)
        if not self.needs_logits:
            return Choice(argmax)
        check_finite(logits)
        row = self._changed(logits, scratch) if self.params.changes_logits else logits
        if not self.params.greedy:
            token = self._draw(row, scratch)
        else:
            token = int(row.argmax()) if row is not logits else argmax
        if self._counts is not None:
            self._counts.add(token)
        if self.params.logprobs is None:
            return Choice(token)
        return Choice(token, *logprobs_of(logits, token, self.params.logprobs, scratch))

    def _changed(self, logits: Float32s, scratch: Float32s) -> Float32s:
        """A copy of the row, in `scratch`, with penalties and bias applied: float32 (vocab_size,)."""
        np.copyto(scratch, logits)
        if self._counts is not None:
            ids, counts = self._counts.ids, self._counts.output_counts
            values = scratch[ids]
            penalty = np.float32(self.params.repetition_penalty)
            values = np.where(values > 0, values / penalty, values * penalty)
            values -= np.float32(self.params.frequency_penalty) * counts
            values -= np.float32(self.params.presence_penalty) * (counts > 0)
            scratch[ids] = values
        scratch[self._bias_ids] += self._bias
        return scratch

    def _draw(self, row: Float32s, scratch: Float32s) -> int:
        """Temperature, top-k, top-p, min-p, softmax, draw. `row` may be `scratch`."""
        params = self.params
        vocab_size = row.shape[0]
        largest = row.max()
        ids: NDArray[np.intp] | None = None  # of the candidates left; None: all, in order
        if 0 < params.top_k < vocab_size:
            if params.top_k == 1:
                ids = np.flatnonzero(row == largest)
            else:
                smallest = np.partition(row, vocab_size - params.top_k)[vocab_size - params.top_k]
                ids = np.flatnonzero(row >= smallest)
            weights = row[ids] - largest
        else:
            weights = np.subtract(row, largest, out=scratch)
        # Unnormalised probabilities: the largest is 1. A tiny temperature overflows to exp(-inf) = 0, as it should.
        with np.errstate(over="ignore", under="ignore"):
            weights *= np.float32(1.0 / max(params.temperature, 1e-30))
            np.exp(weights, out=weights)
        if params.top_p < 1.0:
            nucleus = _nucleus(weights, params.top_p)
            ids = nucleus if ids is None else ids[nucleus]
            weights = weights[nucleus]
        if params.min_p > 0.0:
            likely = np.flatnonzero(weights >= np.float32(params.min_p))
            ids = likely if ids is None else ids[likely]
            weights = weights[likely]
        cumulative = np.cumsum(weights, dtype=np.float64)
        # One uniform number a token, whatever the settings: the generator's state depends on the token count alone.
        point = self._rng.random() * cumulative[-1]
        index = min(int(np.searchsorted(cumulative, point, side="right")), cumulative.shape[0] - 1)
        return index if ids is None else int(ids[index])


def check_finite(logits: Float32s) -> None:
    """Raises HearthError if a value is NaN or infinite."""
    # The sum of finite values is finite but for overflow, and costs a tenth of looking at each; only then look closer.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(logits.sum())
    if suspicious and not np.isfinite(logits).all():
        bad = int(np.count_nonzero(~np.isfinite(logits)))
        raise HearthError(f"{bad} of {logits.shape[0]} logits are NaN or infinite.", hint=_BROKEN)


_BROKEN = (
    "The model's weights are damaged or its arithmetic overflows: check the file, or compile with higher precision."
)


def logprobs_of(
    logits: Float32s, token: int, top: int, scratch: Float32s
) -> tuple[float, tuple[tuple[int, float], ...]]:
    """Log-softmax of raw logits at one token and at the `top` likeliest, likeliest first (ties: lower id first).

    Args:
        logits: float32 (vocab_size,).
        scratch: float32 (vocab_size,), overwritten.
    """
    vocab_size = logits.shape[0]
    largest = logits.max()
    np.subtract(logits, largest, out=scratch)
    np.exp(scratch, out=scratch)
    log_sum = float(largest) + float(np.log(scratch.sum(dtype=np.float64)))
    top = min(top, vocab_size)
    best: tuple[tuple[int, float], ...] = ()
    if top > 0:
        smallest = np.partition(logits, vocab_size - top)[vocab_size - top]
        candidates = np.flatnonzero(logits >= smallest)
        order = candidates[np.argsort(-logits[candidates], kind="stable")][:top]
        best = tuple((int(i), float(logits[i]) - log_sum) for i in order)
    return float(logits[token]) - log_sum, best


def _nucleus(weights: Float32s, top_p: float) -> NDArray[np.intp]:
    """Indices of the fewest largest weights that hold `top_p` of their sum, largest first (ties: lower index first)."""
    wanted = top_p * float(weights.sum(dtype=np.float64))
    for floor in _NUCLEUS_FLOORS:
        candidates = np.flatnonzero(weights >= np.float32(floor))
        order = candidates[np.argsort(-weights[candidates], kind="stable")]
        cumulative = np.cumsum(weights[order], dtype=np.float64)
        if cumulative[-1] >= wanted:
            break
    # Rounding may leave the last sum a hair below `wanted`: then all of them are the nucleus.
    return order[: int(np.searchsorted(cumulative, wanted, side="left")) + 1]


class _TokenCounts:
    """Distinct tokens of prompt and output, and how often each stands in the output. O(1) for each token added."""

    def __init__(self, prompt_ids: Seq[int]) -> None:
        distinct = dict.fromkeys(prompt_ids)
        self._slots = {token: slot for slot, token in enumerate(distinct)}
        self._ids: Int32s = np.fromiter(distinct, np.int32, len(distinct))
        self._counts: Float32s = np.zeros(len(distinct), np.float32)

    @property
    def ids(self) -> Int32s:
        return self._ids[: len(self._slots)]

    @property
    def output_counts(self) -> Float32s:
        return self._counts[: len(self._slots)]

    def add(self, token: int) -> None:
        slot = self._slots.setdefault(token, len(self._slots))
        if slot >= self._ids.shape[0]:
            grown = max(64, 2 * slot)
            self._ids = np.concatenate([self._ids, np.zeros(grown - self._ids.shape[0], np.int32)])
            self._counts = np.concatenate([self._counts, np.zeros(grown - self._counts.shape[0], np.float32)])
        self._ids[slot] = token
        self._counts[slot] += 1
