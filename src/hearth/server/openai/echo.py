"""What stands before an answer of `/v1/completions` where the prompt is to be repeated (`echo`).

And log-probabilities in the form of that route: a list for each of their parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anyio.to_thread import run_sync

from hearth.chat.completion import TokenLogprob
from hearth.server.models import OpenModel
from hearth.server.openai.parts import finite


@dataclass(frozen=True)
class Scored:
    """A token and what is known of it; the first of a text without a beginning has no log-probability."""

    text: str
    logprob: TokenLogprob | None


@dataclass
class Offsets:
    """Where each token stands in the text of a choice, as far as the tokens' own texts say that."""

    at: int = 0

    def logprobs(self, tokens: Sequence[Scored]) -> dict[str, Any]:
        """The next tokens' log-probabilities."""
        offsets = []
        for token in tokens:
            offsets.append(self.at)
            self.at += len(token.text)
        known = [token.logprob for token in tokens]
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [None if one is None else finite(one.logprob) for one in known],
            "top_logprobs": [
                None if one is None else {text: finite(logprob) for _, text, logprob in one.top} for one in known
            ],
            "text_offset": offsets,
        }

    def of_answer(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        """The same for tokens that were drawn."""
        return self.logprobs([Scored(token.text, token) for token in tokens])


@dataclass(frozen=True)
class Echo:
    """What stands before one answer.

    Attributes:
        text: the prompt where it is to be repeated, else "".
        tokens: of it, where log-probabilities are asked for.
    """

    text: str = ""
    tokens: Sequence[Scored] = field(default=())


async def echo_of(opened: OpenModel, prompt: str | Sequence[int], ids: Sequence[int], top: int | None) -> Echo:
    """A prompt to be repeated.

    Args:
        prompt: as the client gave it.
        ids: what the model reads, which may begin with a token that the client's text does not have.
        top: likeliest tokens to tell in each place; None: no log-probabilities.
    """
    llm = opened.llm
    text = prompt if isinstance(prompt, str) else await run_sync(partial(llm.detokenize, prompt, skip_special=False))
    if top is None or not ids:
        return Echo(text)
    # By the model as it was asked for, which may have an adapter: the worker has it without.
    found = await opened.worker.call(lambda _: llm.score(list(ids), top=top))
    texts = await run_sync(lambda: [llm.tokenizer.token_text(token) for token in ids])
    tokens = [Scored(name, known) for name, known in zip(texts, found, strict=True)]
    has_own_beginning = isinstance(prompt, str) and ids[0] == llm.tokenizer.bos_id and not prompt.startswith(texts[0])
    return Echo(text, tokens[1:] if has_own_beginning else tokens)
