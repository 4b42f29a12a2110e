"""How likely a text is: the same as from its logits, whatever its length."""

from __future__ import annotations

import numpy as np
import pytest

from hearth import LLM
from hearth.errors import ContextFull

TEXT = "The capital of France is Paris. The capital of Italy is Rome."


def test_each_token_has_the_likelihood_that_its_logits_say(starter: LLM) -> None:
    ids = starter.tokenize(TEXT)
    logits = starter.logits(ids).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scored = starter.score(TEXT, top=3)
    assert scored[0] is None
    for i, one in enumerate(scored[1:], 1):
        assert one is not None
        assert one.token_id == ids[i]
        assert one.logprob == pytest.approx(expected[i - 1, ids[i]], abs=1e-5)
        best = np.argsort(-expected[i - 1])[:3]
        assert [token for token, _, _ in one.top] == best.tolist()
        assert [logprob for _, _, logprob in one.top] == pytest.approx(expected[i - 1, best].tolist(), abs=1e-5)


def test_ids_are_taken_as_they_are_and_may_fill_the_context(starter: LLM) -> None:
    ids = (starter.tokenize(TEXT) * 60)[: starter.info.context]
    scored = starter.score(ids)
    assert len(scored) == len(ids)
    assert all(one is not None and one.top == () for one in scored[1:])
    assert starter.score(ids[:1]) == [None]
    with pytest.raises(ContextFull):
        starter.score([*ids, ids[0]])
