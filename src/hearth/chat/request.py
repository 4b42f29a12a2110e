"""From messages or a text to a request: `Requests` makes it for one model, `Prepared` is what the engine and the caller
get.

Touches the tokenizer and the chat template, never the engine or its session, and keeps no state between requests: it
may be used from several threads at once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hearth.chat.answer import AnswerBuilder
from hearth.chat.choose import ChosenTemplate, choose_template
from hearth.chat.conversation import Message, checked_messages
from hearth.chat.sampling import sampling_params
from hearth.chat.stop import StopStrings
from hearth.chat.thinking import ThinkingSplitter
from hearth.chat.tokenizer import Tokenizer
from hearth.engine import Request, SamplingParams
from hearth.errors import TokenizerMissing, UsageError

GENERATE_TOKENS = 256
"""`max_tokens` of a text that is carried on, where none is given: plain text has no natural end."""

ContextOverflow = Literal["error", "slide"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request that is ready for the engine, and what makes its answer out of the engine's events. For one use.

    Attributes:
        request: token ids, settings and what the answer must keep to.
        answer: to be given the request's events in order.
    """

    request: Request
    answer: AnswerBuilder


class Requests:
    """Prepares the requests to one model.

    Args:
        name: of the model, for messages and to guess its template.
        tokenizer: None for a model without one: then only ids can be carried on.
        published: the sampling settings that the model's authors recommend.
        wanted_template: name of a known format or a `.jinja` file; None: the model's own, else a guess.
        overflow: "slide" lets the oldest tokens go where prompt and answer outgrow the context.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer | None,
        *,
        published: Mapping[str, float],
        wanted_template: str | None = None,
        overflow: ContextOverflow = "error",
    ) -> None:
        self._name = name
        self._tokenizer = tokenizer
        self._published = published
        self._wanted_template = wanted_template
        self._overflow: Literal["stop", "slide"] = "slide" if overflow == "slide" else "stop"
        self._template: ChosenTemplate | None = None
        self._lock = threading.Lock()

    def chat(
        self,
        messages: Sequence[Mapping[str, Any] | Message],
        settings: Mapping[str, Any],
        *,
        thinking: bool | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template_variables: Mapping[str, Any] | None = None,
    ) -> Prepared:
        """See `LLM.prepare_chat`."""
        chosen = self.template()
        variables = dict(template_variables or {})
        if thinking is not None:
            variables["enable_thinking"] = thinking
        data = checked_messages(messages)
        prompt = chosen.template.render(data, tools=tools, **variables)
        ids = self.tokenizer().encode_prompt(prompt, ensure_bos=chosen.ensure_bos)
        keep = self._shared_prefix(chosen, data, ids, variables) if self._overflow == "slide" else 0
        splitter = ThinkingSplitter(prompt.text[-200:])
        return self._prepared(ids, settings, chosen=chosen, splitter=splitter, keep_tokens=keep)

    def text(
        self,
        settings: Mapping[str, Any],
        prompt: str | None = None,
        *,
        prompt_ids: Sequence[int] | None = None,
        parse_special: bool = False,
    ) -> Prepared:
        """See `LLM.prepare_text`."""
        if (prompt is None) == (prompt_ids is None):
            raise UsageError("Give either a prompt or prompt_ids.")
        ids = list(prompt_ids) if prompt_ids is not None else self._prompt_ids(prompt or "", parse_special)
        return self._prepared(ids, {"max_tokens": GENERATE_TOKENS, **settings})

    def template(self) -> ChosenTemplate:
        """The chat template, chosen when it is first needed.

        Raises:
            TokenizerMissing, TemplateError, UsageError, StorageError.
        """
        with self._lock:
            if self._template is None:
                self._template = choose_template(self.tokenizer(), self._name, self._wanted_template)
            return self._template

    @property
    def template_so_far(self) -> ChosenTemplate | None:
        """The template if it has been needed yet."""
        return self._template

    @property
    def has_tokenizer(self) -> bool:
        return self._tokenizer is not None

    def tokenizer(self) -> Tokenizer:
        """Raises TokenizerMissing where the model came without one."""
        if self._tokenizer is None:
            raise TokenizerMissing(
                f"{self._name} came without a tokenizer, so it takes and gives token ids only.",
                why="Its folder has no tokenizer.json or tokenizer.model.",
                hint="Use LLM.logits(ids) or LLM.generate(prompt_ids=...), or put the tokenizer's files beside it.",
            )
        return self._tokenizer

    def defaults(self) -> SamplingParams:
        """The settings of a request that gives none."""
        return sampling_params(self._published, {})

    # -- inside --------------------------------------------------------------------------------------------------

    def _prepared(
        self,
        ids: Sequence[int],
        settings: Mapping[str, Any],
        *,
        chosen: ChosenTemplate | None = None,
        splitter: ThinkingSplitter | None = None,
        keep_tokens: int = 0,
    ) -> Prepared:
        """`chosen` is given for a chat, and left out where a text is carried on."""
        stop = settings.get("stop") or ()
        stops = StopStrings([*((stop,) if isinstance(stop, str) else stop), *(chosen.stops if chosen else ())])
        if stop:
            self.tokenizer()
        end_ids = chosen.end_ids if chosen else frozenset[int]()
        given = {**settings, "stop_token_ids": (*(settings.get("stop_token_ids") or ()), *sorted(end_ids))}
        if settings.get("ignore_eos"):
            given["stop_token_ids"] = settings.get("stop_token_ids")
        params = sampling_params(self._published, given)
        eos_ids = self._tokenizer.eos_ids if self._tokenizer else frozenset[int]()
        answer = AnswerBuilder(
            self._tokenizer,
            end_ids=eos_ids | set(params.stop_token_ids),
            stops=stops,
            splitter=splitter,
            continues=chosen is None,
        )
        request = Request(prompt_ids=tuple(ids), params=params, overflow=self._overflow, keep_tokens=keep_tokens)
        return Prepared(request, answer)

    def _prompt_ids(self, prompt: str, parse_special: bool) -> list[int]:
        tokenizer = self.tokenizer()
        ids = tokenizer.encode(prompt, parse_special=parse_special)
        if ids and ids[-1] in tokenizer.eos_ids and tokenizer.spec.add_eos:
            ids.pop()  # the text is to be carried on, not ended
        if not ids and tokenizer.bos_id is not None:
            ids = [tokenizer.bos_id]
        return ids

    def _shared_prefix(
        self, chosen: ChosenTemplate, data: list[dict[str, Any]], ids: list[int], variables: dict[str, Any]
    ) -> int:
        """Tokens at the beginning that are the same whatever the user says: the system prompt, which a sliding window
        never drops."""
        head = [m for m in data[:1] if m["role"] in ("system", "developer")]
        other = chosen.template.render([*head, {"role": "user", "content": "\N{BULLET}"}], **variables)
        shared = 0
        other_ids = self.tokenizer().encode_prompt(other, ensure_bos=chosen.ensure_bos)
        for a, b in zip(ids, other_ids, strict=False):
            if a != b:
                break
            shared += 1
        return shared
