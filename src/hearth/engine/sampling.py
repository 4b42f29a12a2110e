"""From one row of logits to one token: `Sampler`, one for each sequence.

Owns the order of the operations and the random numbers; knows nothing of batches, pages or text. The order is
transformers':

    repetition penalty -> frequency and presence penalty -> logit bias -> mask of the constraint -> temperature -> top-k
    -> top-p -> min-p -> softmax -> draw

(vLLM adds the bias before the penalties, llama.cpp divides by the temperature last; where only one of them is set the
results are the same.) Log-probabilities are of the model's own distribution: log-softmax of the raw logits, before any
of these, as in OpenAI's interface.

Nothing here sorts a whole vocabulary: top-k partitions, top-p sorts only the candidates that can be in the nucleus.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.engine.constraint import Constraint, ConstraintFailed, allows, ask_mask, tell
from hearth.engine.forward import Float32s, Int32s
from hearth.engine.likeliest import Likeliest
from hearth.engine.params import SamplingParams
from hearth.errors import HearthError

# Top-p looks for its nucleus among tokens at least this many times as likely as the likeliest, and widens the search
# only if they do not hold enough probability. For a trained model the first bound nearly always suffices.
_NUCLEUS_FLOORS = (1e-3, 1e-6, 0.0)
_SORTED_AT_ONCE = 2048
_PICK_BLOCK = 512

ApplyMask = Callable[[Float32s, Int32s, Float32s], None]
"""`Forward.apply_mask`."""


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
        constraint: what may be drawn; None: anything.
    """

    def __init__(self, params: SamplingParams, prompt_ids: Seq[int], constraint: Constraint | None = None) -> None:
        self.params = params
        self._constraint = constraint
        self._rng = np.random.Generator(np.random.PCG64(params.seed))
        self._counts = _TokenCounts(prompt_ids) if params.penalises else None
        self._bias_ids = np.fromiter(params.logit_bias.keys(), np.int64, len(params.logit_bias))
        self._bias = np.fromiter(params.logit_bias.values(), np.float32, len(params.logit_bias))

    @property
    def needs_logits(self) -> bool:
        """False if the forward's own argmax is the answer, so that no row of logits has to be read."""
        return not self.params.greedy or self.params.changes_logits or self.params.logprobs is not None

    @property
    def may_need_logits(self) -> bool:
        """False if it is known before the draw that no row of logits will be read."""
        return self.needs_logits or self._constraint is not None

    def draws_among(self, count: int) -> bool:
        """True if the token is drawn among fewer than `count` of the likeliest, by their logits as the model gave them,
        so that `Likeliest` may be all that has to be read."""
        params = self.params
        plain = not params.greedy and not params.changes_logits and params.logprobs is None
        return plain and self._constraint is None and 0 < params.top_k < count

    def sample(
        self, logits: Float32s, argmax: int, scratch: Float32s, apply_mask: ApplyMask,
        likeliest: Likeliest | None = None,
    ) -> Choice:  # fmt: skip
        """Draws the next token and counts it.

        Args:
            logits: float32 (vocab_size,), is not changed. Not read unless `needs_logits`, or the constraint forbids
                `argmax`.
            argmax: index of its largest value.
            scratch: float32 (vocab_size,), overwritten.
            apply_mask: the session's.
            likeliest: the largest logits, in place of the row, where the sampler `draws_among` so many and they say
                among which (`Likeliest.among`).

        Raises:
            ConstraintFailed: no token may come, or the constraint broke.
            HearthError: the logits hold NaN or infinity, or `argmax` is no token.
        """
        if not 0 <= argmax < scratch.shape[0]:
            raise HearthError(f"The model's likeliest token is {argmax}, outside of its vocabulary.", hint=_BROKEN)
        mask = None if self._constraint is None else ask_mask(self._constraint)
        found = None if likeliest is None or self.params.greedy else likeliest.among(self.params.top_k)
        if found is not None:
            ids, values = found
            return Choice(self._draw_among(ids, values - values.max()))
        choice = self._choose(logits, argmax, scratch, mask, apply_mask)
        if self._constraint is not None:
            tell(self._constraint, choice.token)
        return choice

    def _choose(
        self, logits: Float32s, argmax: int, scratch: Float32s, mask: Int32s | None, apply_mask: ApplyMask
    ) -> Choice:
        if not self.needs_logits and (mask is None or allows(mask, argmax)):
            return Choice(argmax)
        check_finite(logits)
        row = self._changed(logits, scratch) if self.params.changes_logits else logits
        if mask is not None:
            apply_mask(row, mask, scratch)
            row = scratch
        if not self.params.greedy:
            token = self._draw(row, scratch)
        else:
            token = int(row.argmax()) if row is not logits else argmax
            if row[token] == -np.inf:
                raise _nothing_allowed()
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
        """Top-k, and what follows. `row` may be `scratch`."""
        params = self.params
        vocab_size = row.shape[0]
        largest = row.max()
        if largest == -np.inf:
            raise _nothing_allowed()
        ids: NDArray[np.intp] | None = None  # of the candidates left; None: all, in order
        if 0 < params.top_k < vocab_size:
            if params.top_k == 1:
                ids = np.flatnonzero(row == largest)
            else:
                ids = _largest(row, params.top_k)
            weights = row[ids] - largest
        else:
            weights = np.subtract(row, largest, out=scratch)
        return self._draw_among(ids, weights)

    def _draw_among(self, ids: NDArray[np.intp] | None, weights: Float32s) -> int:
        """Temperature, top-p, min-p, softmax, draw.

        Args:
            ids: of the candidates, ascending; None: all.
            weights: their logits, less the largest; overwritten.
        """
        params = self.params
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
        # One uniform number a token, whatever the settings: the generator's state depends on the token count alone.
        index = _pick(weights, self._rng.random())
        return index if ids is None else int(ids[index])


def _nothing_allowed() -> ConstraintFailed:
    return ConstraintFailed(
        "The answer cannot go on: no token of the vocabulary is allowed here.",
        hint="The grammar has a dead end, or asks for text that this tokenizer cannot write.",
    )


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
        candidates = _largest(logits, top)
        order = candidates[np.argsort(-logits[candidates], kind="stable")][:top]
        best = tuple((int(i), float(logits[i]) - log_sum) for i in order)
    return float(logits[token]) - log_sum, best


def _largest(values: Float32s, count: int) -> NDArray[np.intp]:
    """Indices of the `count` largest values, and of those equal to the last of them, ascending. 0 < count < size.

    Partitioning a vocabulary costs a millisecond. The maxima of groups of it cost little, and `count` of them are a
    lower bound of what is sought: only what reaches it is partitioned. Values of minus infinity, masked, never count:
    there may be fewer than `count` others.
    """
    size = values.shape[0]
    num_groups = 8 * count
    if num_groups * 8 > size:
        return _at_least(values, np.partition(values, size - count)[size - count])
    maxima = values[: size - size % num_groups].reshape(-1, num_groups).max(axis=0)
    bound = np.partition(maxima, num_groups - count)[num_groups - count]
    candidates = _at_least(values, bound)
    found = values[candidates]
    if found.shape[0] <= count:
        return candidates
    place = found.shape[0] - count
    smallest: np.float32 = np.partition(found, place)[place]
    return candidates[found >= smallest]


def _at_least(values: Float32s, bound: np.float32) -> NDArray[np.intp]:
    """Indices of the values that reach the bound, without those of minus infinity."""
    return np.flatnonzero(values >= bound if bound > -np.inf else values > bound)


def _nucleus(weights: Float32s, top_p: float) -> NDArray[np.intp]:
    """Indices of the fewest largest weights that hold `top_p` of their sum (ties: lower index first)."""
    wanted = top_p * float(weights.sum(dtype=np.float64))
    for floor in _NUCLEUS_FLOORS:
        candidates = np.flatnonzero(weights >= np.float32(floor))
        found = weights[candidates]
        if found.sum(dtype=np.float64) >= wanted:
            break
    # The smallest weight of the nucleus, by halving what it can be among.
    rest, sought = found, wanted
    while rest.shape[0] > _SORTED_AT_ONCE:
        rest = np.partition(rest, rest.shape[0] // 2)
        upper = rest[rest.shape[0] // 2 :]
        mass = float(upper.sum(dtype=np.float64))
        if mass >= sought:
            rest = upper
        else:
            rest, sought = rest[: rest.shape[0] // 2], sought - mass
    descending = np.sort(rest)[::-1]
    # Rounding may leave the last sum a hair below what is sought: then all of them are in the nucleus.
    place = int(np.searchsorted(np.cumsum(descending, dtype=np.float64), sought, side="left"))
    smallest = descending[min(place, descending.shape[0] - 1)]
    above, ties = candidates[found > smallest], candidates[found == smallest]
    missing = (wanted - float(weights[above].sum(dtype=np.float64))) / max(float(smallest), 1e-45)
    return np.concatenate([above, ties[: max(1, math.ceil(missing))]])


def _pick(weights: Float32s, point: float) -> int:
    """The index at which the running sum of the weights passes `point`, 0 <= point < 1, of their sum.

    Sums of blocks first, then within one block: a running sum over a vocabulary costs several times as much.
    """
    starts = np.arange(0, weights.shape[0], _PICK_BLOCK)
    sums = np.cumsum(np.add.reduceat(weights, starts, dtype=np.float64))
    sought = point * sums[-1]
    # Not behind the first block that reaches the whole sum: what follows may have no weight at all.
    last = np.searchsorted(sums, sums[-1], side="left")
    block = int(min(np.searchsorted(sums, sought, side="right"), last))
    inside = weights[starts[block] : starts[block] + _PICK_BLOCK]
    before = sums[block - 1] if block else 0.0
    index = int(np.searchsorted(before + np.cumsum(inside, dtype=np.float64), sought, side="right"))
    # The two sums round differently: a point between them belongs to the last weight there is in the block.
    return int(starts[block]) + min(index, int(np.flatnonzero(inside)[-1]))


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
