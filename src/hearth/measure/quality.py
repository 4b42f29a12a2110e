"""How well a model predicts a text, and how much another number format changes its predictions.

The text is read in windows of `window` tokens that begin `stride` tokens apart; each window begins with the model's
BOS token if it has one. A window's first `window - stride` tokens only give context (the first window's are counted
too), so every token is counted once and sees at least that many before it. With `stride` = `window` the windows do not
overlap: faster, and a little worse in perplexity, as tokens at the beginning of a window see little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import UsageError
from hearth.llm import LLM

Told = Callable[[int, int], None]
DEFAULT_WINDOW = 512


@dataclass(frozen=True)
class Perplexity:
    """Attributes:
    perplexity: e to the mean negative log-likelihood.
    nll: that mean, in nats a token.
    tokens: how many were counted.
    window, stride: in tokens, as used.
    """

    perplexity: float
    nll: float
    tokens: int
    window: int
    stride: int


@dataclass(frozen=True)
class Comparison:
    """Two models on one text.

    Attributes:
        base, other: each one's perplexity.
        kl_divergence: mean over the tokens of KL(base || other), in nats.
        kl_99: its 99th percentile.
        top1_agreement: share of tokens at which both hold the same token likeliest.
    """

    base: Perplexity
    other: Perplexity
    kl_divergence: float
    kl_99: float
    top1_agreement: float


@dataclass(frozen=True)
class _Window:
    ids: list[int]
    counted_from: int  # position of the first token in `ids` that is counted


def perplexity(
    llm: LLM, text: str, *, window: int | None = None, stride: int | None = None, told: Told | None = None
) -> Perplexity:
    """Perplexity of a text.

    Args:
        window: tokens; None: 512, or the context where that is less.
        stride: tokens; None: half the window.
        told: called with (windows done, windows in all).

    Raises:
        UsageError: the text has fewer than two tokens, or a number is out of range.
        TokenizerMissing.
    """
    size, step = _checked(llm, window, stride)
    windows = _windows(llm, text, size, step)
    total, tokens = 0.0, 0
    for done, one in enumerate(windows):
        losses = _losses(_log_softmax(llm.logits(one.ids[:-1])), one)
        total, tokens = total + float(losses.sum()), tokens + len(losses)
        if told is not None:
            told(done + 1, len(windows))
    return _result(total, tokens, size, step)


def compare(
    base: LLM,
    other: LLM,
    text: str,
    *,
    window: int | None = None,
    stride: int | None = None,
    told: Told | None = None,
) -> Comparison:
    """Perplexity of both models, and how far `other` is from `base`, token by token.

    Raises:
        UsageError: as `perplexity`, or the two do not have the same vocabulary.
    """
    if base.info.vocab_size != other.info.vocab_size:
        raise UsageError("The two models have different vocabularies, so their predictions cannot be compared.")
    size, step = _checked(base, window, stride)
    windows = _windows(base, text, size, step)
    sums, tokens, agreed = np.zeros(2), 0, 0
    divergences: list[NDArray[np.float64]] = []
    for done, one in enumerate(windows):
        p, q = (_log_softmax(llm.logits(one.ids[:-1])) for llm in (base, other))
        sums += [_losses(p, one).sum(), _losses(q, one).sum()]
        rows = slice(one.counted_from - 1, None)
        p, q = p[rows], q[rows]
        divergences.append(np.sum(np.exp(p) * (p - q), axis=1))
        agreed += int(np.sum(p.argmax(axis=1) == q.argmax(axis=1)))
        tokens += len(p)
        if told is not None:
            told(done + 1, len(windows))
    divergence = np.concatenate(divergences)
    return Comparison(
        base=_result(float(sums[0]), tokens, size, step),
        other=_result(float(sums[1]), tokens, size, step),
        kl_divergence=float(divergence.mean()),
        kl_99=float(np.quantile(divergence, 0.99)),
        top1_agreement=agreed / tokens,
    )


def _checked(llm: LLM, window: int | None, stride: int | None) -> tuple[int, int]:
    context = llm.info.context
    size = min(DEFAULT_WINDOW, context) if window is None else window
    step = max(1, size // 2) if stride is None else stride
    if not 2 <= size <= context:
        raise UsageError(f"A window of {size} tokens is asked for, but must be 2 to {context}, the context.")
    if not 1 <= step <= size:
        raise UsageError(f"A stride of {step} tokens is asked for, but must be 1 to {size}, the window.")
    return size, step


def _windows(llm: LLM, text: str, size: int, step: int) -> list[_Window]:
    tokenizer = llm.tokenizer
    ids = tokenizer.encode(text, add_special=False)
    bos = [tokenizer.bos_id] if tokenizer.adds_bos and tokenizer.bos_id is not None else []
    if len(ids) + len(bos) < 2:
        raise UsageError("The text has fewer than two tokens: there is nothing to predict.")
    return list(_cut(ids, bos, size - len(bos), min(step, size - len(bos))))


def _cut(ids: Sequence[int], bos: list[int], room: int, step: int) -> Iterator[_Window]:
    counted = 0  # tokens of the text that earlier windows counted
    for begin in range(0, len(ids), step):
        end = min(begin + room, len(ids))
        first = max(counted - begin, 0) + len(bos)
        # Nothing stands before the very first token of a window without BOS, so it cannot be predicted.
        yield _Window([*bos, *ids[begin:end]], max(first, 1))
        counted = end
        if end == len(ids):
            return


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _losses(log_probs: NDArray[np.float64], window: _Window) -> NDArray[np.float64]:
    """-log p of the tokens that the window counts; row i of `log_probs` predicts token i + 1."""
    targets = np.asarray(window.ids[window.counted_from :])
    rows: NDArray[Any] = np.arange(window.counted_from - 1, len(window.ids) - 1)
    losses: NDArray[np.float64] = -log_probs[rows, targets]
    return losses


def _result(total: float, tokens: int, window: int, stride: int) -> Perplexity:
    nll = total / tokens
    return Perplexity(math.exp(min(nll, 700.0)), nll, tokens, window, stride)
