"""From messages or a text to a request: `Requests` makes it for one model, `Prepared` is what the engine and the caller
get.

Touches the tokenizer and the chat template, never the engine or its session, and keeps no state between requests: it
may be used from several threads at once.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

from hearth.chat.answer import AnswerBuilder
from hearth.chat.channels import splitter_for
from hearth.chat.choose import TOOL_TEMPLATE, ChosenTemplate, choose_template
from hearth.chat.continuing import cut, marked, state_of
from hearth.chat.conversation import SYSTEM_ROLES, Message, checked_messages
from hearth.chat.fit import with_text
from hearth.chat.grammar import Grammars, Trial
from hearth.chat.grammar_constraint import AnswerConstraint, preludes_of, thinking_of
from hearth.chat.infill import infill_form, infill_prompt
from hearth.chat.pictures import Eyes, Given, Seen, blind, given_picture, take_pictures
from hearth.chat.prompt import Prompt
from hearth.chat.repetition import RepetitionWatch
from hearth.chat.request_tools import ToolUse, tools_of_chat
from hearth.chat.sampling import sampling_params
from hearth.chat.stop import StopStrings
from hearth.chat.structured import Structure, checked_format
from hearth.chat.telling import Told, rendered, tell
from hearth.chat.thinking import Splitter
from hearth.chat.tokenizer import Tokenizer
from hearth.engine import AdapterTable, LoadedAdapter, Request, SamplingParams
from hearth.errors import ContextFull, TokenizerMissing, UsageError

GENERATE_TOKENS = 256
"""`max_tokens` of a text that is carried on, where none is given: plain text has no natural end."""

CONTEXT_HINT = (
    "Shorten it, open the model with a larger context (--context), or let the oldest turns go:"
    " context_overflow='slide' (--context-overflow slide)."
)

ContextOverflow = Literal["error", "slide"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request that is ready for the engine, and what makes its answer out of the engine's events. For one use.

    Attributes:
        request: token ids, settings and what the answer must keep to.
        answer: to be given the request's events in order.
        notices: what the caller should know before there is an answer: which parts of a schema are not enforced. The
            answer's completion has them too.
    """

    request: Request
    answer: AnswerBuilder
    notices: tuple[str, ...] = ()


_NOTHING = Seen(())


@dataclass(frozen=True)
class _Turn:
    """What a chat has that a text has not.

    Attributes:
        prompt_end: the last characters of the prompt: an opening tag may stand there.
        keep_tokens: leading tokens that a sliding window never drops.
        use: of tools; None where there are none.
        continues: a message goes on in its middle.
        notices: what of the request the template cannot do.
        formed: what is said must keep to a form.
    """

    chosen: ChosenTemplate
    prompt_end: str
    keep_tokens: int
    use: ToolUse | None
    continues: bool = False
    notices: tuple[str, ...] = ()
    formed: bool = False

    def splitter(self) -> Splitter:
        """Tells thinking from answer."""
        calls = self.use is not None and self.use.callable
        return splitter_for(self.prompt_end, self.chosen.template.source, calls=calls, aloud=calls and not self.formed)


class Requests:
    """Prepares the requests to one model.

    Args:
        name: of the model, for messages and to guess its template.
        tokenizer: None for a model without one: then only ids can be carried on.
        published: the sampling settings that the model's authors recommend.
        vocab_size: columns of its logits.
        wanted_template: name of a known format or a `.jinja` file; None: the model's own, else a guess.
        repetition_stop: end answers that repeat themselves for ever, unless a request says otherwise.
        overflow: "slide" lets the oldest tokens go where prompt and answer outgrow the context.
        eyes: how the model sees; None: it does not.
        adapters: that requests may name.

    Attributes:
        adapters: likewise.
        context: tokens of prompt and answer together, where that is known: what cannot fit is refused unread.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer | None,
        *,
        published: Mapping[str, float],
        vocab_size: int,
        wanted_template: str | None = None,
        overflow: ContextOverflow = "error",
        repetition_stop: bool = True,
        eyes: Eyes | None = None,
        adapters: AdapterTable | None = None,
    ) -> None:
        self.adapters = adapters or AdapterTable()
        self._adapter: str | None = None
        self._eyes = eyes
        self._name = name
        self._tokenizer = tokenizer
        self._published = published
        self._vocab_size = vocab_size
        self._wanted_template = wanted_template
        self._overflow: Literal["stop", "slide"] = "slide" if overflow == "slide" else "stop"
        self._repetition_stop = repetition_stop
        self.context: int | None = None
        self._templates: dict[bool, ChosenTemplate] = {}
        self._grammars: Grammars | None = None
        self._trial: Trial | None = None
        self._lock = threading.Lock()

    def with_adapter(self, name: str) -> Requests:
        """The same, for requests that have this adapter unless they name another.

        Raises:
            UsageError: there is none of this name.
        """
        made = copy(self)
        made._adapter = self.adapters.find(name).name
        return made

    @property
    def adapter(self) -> LoadedAdapter | None:
        """That of requests which name none; None: these are computed with the model alone."""
        return None if self._adapter is None else self.adapters.find(self._adapter)

    def try_grammars(self, trial: Trial) -> None:
        """Has each grammar tried before it is compiled: for requests of strangers."""
        self._trial = trial

    def chat(
        self,
        messages: str | Sequence[Mapping[str, Any] | Message],
        settings: Mapping[str, Any],
        *,
        thinking: bool | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool = True,
        response_format: Mapping[str, Any] | None = None,
        template_variables: Mapping[str, Any] | None = None,
        continue_final_message: bool = False,
        any_length: bool = False,
    ) -> Prepared:
        """See `LLM.prepare_chat`.

        Args:
            any_length: also make a prompt that is longer than the context.
        """
        tokenizer = self.tokenizer()
        structure = checked_format(response_format)
        messages, given = take_pictures(messages, in_results=self._eyes is not None)
        seen = self._look(given)
        data = checked_messages(messages)
        if thinking is not None and not isinstance(thinking, bool):
            raise UsageError(f"thinking is {thinking!r}, but must be true, false or None.")
        if template_variables is not None and not isinstance(template_variables, Mapping):
            raise UsageError(f"template_variables is {template_variables!r}, but must map names to values.")
        variables = dict(template_variables or {})
        if continue_final_message:
            if structure is not None or tool_choice not in (None, "auto", "none"):
                raise UsageError(
                    "A message cannot be continued to a form:",
                    why="response_format, and calls of tools that must come, are about an answer from its beginning.",
                )
            data, variables["add_generation_prompt"] = marked(with_text(data, self.template().template.probe)), False
        chosen = self.template(tools=bool(tools))
        if seen.pictures and self._eyes is not None:
            data = self._eyes.placed(data, chosen.template.probe)
        use = tools_of_chat(
            data, tools, tool_choice, parallel=parallel_tool_calls, template=chosen.template, tokenizer=tokenizer
        )
        formed = structure is not None
        told = tell(data, variables, thinking, list(self._ways(chosen, use)))
        if told.use is not None:
            structure = None if continue_final_message else told.use.structure(structure)
            bias = (settings.get("logit_bias") or {}) | told.use.forbidden(tokenizer)
            settings = {**settings, "logit_bias": bias}
        prompt = cut(told.prompt) if continue_final_message else told.prompt
        if not any_length:
            self._check_length(prompt.text)
        prompt = self._written(prompt, seen)
        ids = tokenizer.encode_prompt(prompt, ensure_bos=told.chosen.ensure_bos)
        keep = self._shared_prefix(told, ids) if self._overflow == "slide" else 0
        notice = "" if thinking is None else told.chosen.template.thinking.notice(thinking)
        end = state_of(data[-1]["content"]) if continue_final_message else prompt.text[-200:]
        turn = _Turn(told.chosen, end, keep, told.use, continue_final_message, (notice,) if notice else (), formed)
        return self._prepared(ids, settings, structure, turn, seen)

    def text(
        self,
        settings: Mapping[str, Any],
        prompt: str | None = None,
        *,
        prompt_ids: Sequence[int] | None = None,
        response_format: Mapping[str, Any] | None = None,
        parse_special: bool = False,
        add_special: bool = True,
        suffix: str | None = None,
        images: Sequence[Any] = (),
    ) -> Prepared:
        """See `LLM.prepare_text`."""
        if (prompt is None) == (prompt_ids is None):
            raise UsageError("Give either a prompt or prompt_ids.")
        if images and (prompt is None or suffix is not None):
            raise UsageError("Pictures go with a prompt of text, neither with prompt_ids nor with a suffix.")
        seen = self._look([given_picture(image, f"Picture {i + 1}") for i, image in enumerate(images)])
        structure = checked_format(response_format)
        settings = {"max_tokens": GENERATE_TOKENS, **settings}
        if suffix is not None:
            if prompt is None:
                raise UsageError("A suffix goes with a prompt of text, not with prompt_ids.")
            ids, ends = self._infill_ids(prompt, suffix)
            settings["stop_token_ids"] = (*(settings.get("stop_token_ids") or ()), *ends)
        elif prompt_ids is not None:
            ids = list(prompt_ids)
        else:
            ids = self._prompt_ids(prompt or "", seen, parse_special=parse_special, add_special=add_special)
        return self._prepared(ids, settings, structure, seen=seen)

    def template(self, *, tools: bool = False) -> ChosenTemplate:
        """The chat template, chosen when it is first needed.

        Args:
            tools: for chats with tools.

        Raises:
            TokenizerMissing, TemplateError, UsageError, StorageError.
        """
        tokenizer = self.tokenizer()
        with self._lock:
            tools = tools and TOOL_TEMPLATE in tokenizer.spec.named_templates
            if tools not in self._templates:
                chosen = choose_template(tokenizer, self._name, self._wanted_template, tools=tools)
                self._templates[tools] = chosen
            return self._templates[tools]

    @property
    def template_so_far(self) -> ChosenTemplate | None:
        """The template if it has been needed yet."""
        return self._templates.get(False)

    @property
    def has_tokenizer(self) -> bool:
        return self._tokenizer is not None

    def tokenizer(self) -> Tokenizer:
        """Raises TokenizerMissing where the model came without one."""
        if self._tokenizer is None:
            raise TokenizerMissing(
                f"{self._name} came without a tokenizer, so it takes and gives token ids only.",
                why="Its folder has no tokenizer.json or tokenizer.model.",
                hint=f"Of a model on the hub, `hearth pull {self._name}` brings what is missing; else put the"
                " tokenizer's files beside it, or use LLM.logits(ids) or LLM.generate(prompt_ids=...).",
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
        structure: Structure | None,
        turn: _Turn | None = None,
        seen: Seen = _NOTHING,
    ) -> Prepared:
        """`turn` is given for a chat, and left out where a text is carried on; `seen` are the prompt's pictures."""
        stop = settings.get("stop") or ()
        if not isinstance(stop, str) and not (isinstance(stop, Collection) and all(isinstance(s, str) for s in stop)):
            raise UsageError(f"stop is {stop!r}, but must be a text or a list of texts.")
        ends = settings.get("stop_token_ids") or ()
        if not isinstance(ends, Collection):
            raise UsageError(f"stop_token_ids is {ends!r}, but must be a list of token ids.")
        template_stops = turn.chosen.stops if turn else ()
        stops = StopStrings([*((stop,) if isinstance(stop, str) else stop), *template_stops])
        if stop:
            self.tokenizer()
        turn_ends = turn.chosen.end_ids if turn else frozenset[int]()
        given = {**settings, "stop_token_ids": (*ends, *sorted(turn_ends))}
        if settings.get("ignore_eos"):
            given["stop_token_ids"] = settings.get("stop_token_ids")
        params = sampling_params(self._published, given)
        eos_ids = self._tokenizer.eos_ids if self._tokenizer else frozenset[int]()
        constraint = None
        if structure is not None:
            if params.ignore_eos:
                raise UsageError("ignore_eos goes neither with response_format nor with tools: answers must end.")
            constraint = self._constraint(structure, eos_ids | turn_ends, turn)
        notices = (*(structure.notices if structure else ()), *(turn.notices if turn else ()))
        answer = AnswerBuilder(
            self._tokenizer,
            end_ids=eos_ids | set(params.stop_token_ids),
            stops=stops,
            splitter=turn.splitter() if turn else None,
            tools=turn.use.parser() if turn and turn.use else None,
            thoughts=turn.use.parser(marked=True) if turn and turn.use else None,
            markers=turn.use.format.markers if turn and turn.use else (),
            continues=turn is None or turn.continues,
            notices=notices,
            repetition=self._watch(settings, structure, params),
        )
        request = Request(
            prompt_ids=tuple(ids),
            params=params,
            overflow=self._overflow,
            keep_tokens=turn.keep_tokens if turn else 0,
            constraint=constraint,
            embedded=self._eyes.embedded(ids, seen) if self._eyes and seen.pictures else (),
            adapter=self._adapter_of(settings),
        )
        return Prepared(request, answer, notices)

    def _adapter_of(self, settings: Mapping[str, Any]) -> LoadedAdapter | None:
        """That a request names, or else that of all. Raises UsageError where there is none of its name."""
        name = settings.get("adapter")
        return self.adapter if name is None else self.adapters.find(name)

    def _look(self, given: Sequence[Given]) -> Seen:
        """Reads the pictures of a request. Raises UsageError where the model sees nothing."""
        if not given:
            return _NOTHING
        if self._eyes is None:
            raise blind(self._name)
        return self._eyes.look(given, None if self._overflow == "slide" else self.context)

    def _written(self, prompt: Prompt, seen: Seen) -> Prompt:
        """The prompt with the tokens of its pictures."""
        return prompt if self._eyes is None or not seen.pictures else self._eyes.written(prompt, seen)

    def _watch(
        self, settings: Mapping[str, Any], structure: Structure | None, params: SamplingParams
    ) -> RepetitionWatch | None:
        """What ends an answer that repeats itself for ever; None where a grammar says what may come, or a benchmark."""
        wanted = settings.get("repetition_stop")
        if not isinstance(wanted, bool | None):
            raise UsageError(f"repetition_stop is {wanted!r}, but must be true or false.")
        tokenizer = self._tokenizer
        on = self._repetition_stop if wanted is None else wanted
        if not on or structure is not None or params.ignore_eos or tokenizer is None:
            return None
        return RepetitionWatch(lambda ids: any(map(str.isalpha, tokenizer.decode(ids, skip_special=False))))

    def _constraint(self, structure: Structure, end_ids: frozenset[int], turn: _Turn | None) -> AnswerConstraint:
        tokenizer = self.tokenizer()
        with self._lock:
            if self._grammars is None:
                self._grammars = Grammars(tokenizer, self._vocab_size, self._trial)
            grammars = self._grammars
        source = turn.chosen.template.source if turn else ""
        inside, may_open = thinking_of(turn.prompt_end, source) if turn else (None, ())
        return AnswerConstraint(
            structure.matcher(grammars),
            end_ids=end_ids,
            inside=inside,
            may_open=may_open,
            continues=turn is None,
            calls=turn.use.call_start(tokenizer) if turn and turn.use else None,
            preludes=[tokenizer.control[text] for text in preludes_of(source) if text in tokenizer.control],
        )

    def _infill_ids(self, prefix: str, suffix: str) -> tuple[list[int], list[int]]:
        """The prompt of a text to be filled in, and the tokens that end it."""
        tokenizer = self.tokenizer()
        form = infill_form(tokenizer)
        prompt = infill_prompt(form, prefix, suffix)
        self._check_length(prompt.text)
        ids = tokenizer.encode_prompt(prompt, ensure_bos=True)
        return ids, sorted(tokenizer.ids_of((*form.tokens, *form.ends)))

    def _prompt_ids(self, prompt: str, seen: Seen, *, parse_special: bool, add_special: bool) -> list[int]:
        tokenizer = self.tokenizer()
        self._check_length(prompt)
        text: str | Prompt = prompt
        if self._eyes is not None and seen.pictures:
            marked = self._eyes.marked(prompt, len(seen.pictures))
            text = self._written(Prompt(marked.text) if parse_special else marked, seen)
        ids = tokenizer.encode(text, parse_special=parse_special, add_special=add_special)
        if add_special and ids and ids[-1] in tokenizer.eos_ids and tokenizer.spec.add_eos:
            ids.pop()  # the text is to be carried on, not ended
        if tokenizer.bos_id is not None and ids[:2] == [tokenizer.bos_id] * 2:
            ids.pop(0)  # the text has written it, too
        if not ids and tokenizer.bos_id is not None:
            ids = [tokenizer.bos_id]
        return ids

    def _check_length(self, text: str) -> None:
        """Refuses a text that cannot fit whatever its tokens are: reading many megabytes takes seconds."""
        if self.context is None or self._overflow == "slide" or len(text) <= self.context:
            return
        longest = self.tokenizer().longest
        if longest is not None and len(text) > self.context * longest:
            raise ContextFull(
                f"The prompt has {len(text)} characters; the context holds {self.context} tokens, prompt and answer"
                f" together, of at most {longest} characters each.",
                hint=CONTEXT_HINT,
                tokens=-(-len(text) // longest),
                limit=self.context,
            )

    def _ways(self, chosen: ChosenTemplate, use: ToolUse | None) -> Iterator[tuple[ChosenTemplate, ToolUse | None]]:
        """How a chat may be told, the best way first: with the template's own words for tools, then with Hearth's."""
        for_tools = use is not None and chosen.template.name == TOOL_TEMPLATE
        if use is None or not (for_tools and use.is_described and chosen.template.probe.call is not None):
            yield chosen, use  # else it teaches a form of calls that nobody here reads
        if use is not None and (for_tools or not use.is_described):
            has_default = for_tools and self.tokenizer().spec.chat_template is not None
            plain = self.template() if has_default else chosen
            yield plain, use.described(plain.template)

    def _shared_prefix(self, told: Told, ids: list[int]) -> int:
        """Tokens at the beginning that are the same whatever the user says: the system prompt, which a sliding window
        never drops."""
        head = [m for m in told.messages[:1] if m["role"] in SYSTEM_ROLES]
        other = rendered(told.chosen, [*head, {"role": "user", "content": "\N{BULLET}"}], told.variables)
        shared = 0
        other_ids = self.tokenizer().encode_prompt(other, ensure_bos=told.chosen.ensure_bos)
        for a, b in zip(ids, other_ids, strict=False):
            if a != b:
                break
            shared += 1
        return shared
