"""Which chat template a model is used with: the one asked for, its own, or the known format it most likely has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hearth.chat.known_templates import NAMES, KnownTemplate, guess_template, known_template
from hearth.chat.template import MAX_TEMPLATE_CHARS, ChatTemplate
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import StorageError, TemplateError, UsageError


@dataclass(frozen=True)
class ChosenTemplate:
    """A template, and what there is to say about the choice.

    Attributes:
        end_ids: tokens that end a turn of this format, besides those that the model declares.
        stops: texts that end a turn where the model has no token for it.
        ensure_bos: see `Tokenizer.encode_prompt`. Known formats are written without a BOS where it is not part of
            the format; a model that begins every text with one was trained with it nevertheless.
        notice: for the user, where it was a guess; "" else.
    """

    template: ChatTemplate
    end_ids: frozenset[int] = frozenset()
    stops: tuple[str, ...] = ()
    ensure_bos: bool = False
    notice: str = ""


# Ends of a turn, as the families write them. A GGUF file often declares only the end of a text: a model that closes its
# turn as its template does would then go on and play the user.
_TURN_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<start_function_response>",  # FunctionGemma's and Gemma 4's ends after calls: there the result follows
    "<|tool_response>",
    "<turn|>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|end_of_turn|>",
    "<|return|>",  # gpt-oss' after what it says, and after a call
    "<|call|>",
    "<｜end▁of▁sentence｜>",
    "</s>",
)


TOOL_TEMPLATE = "tool_use"
"""The name under which models keep a template of its own for chats with tools."""


def choose_template(
    tokenizer: Tokenizer, model_name: str, wanted: str | None = None, *, tools: bool = False
) -> ChosenTemplate:
    """The template for a model.

    Args:
        wanted: name of one of the model's own templates or of a known format, or path of a `.jinja` file; None: the
            model's own, else a guess.
        tools: it is for a chat with tools; some models have a template of its own for these.

    Raises:
        TemplateError: there is none, and none can be guessed; or it is broken; or the model has several, none of them
            the default.
        UsageError: `wanted` is none of these.
        StorageError: the file cannot be read.
    """
    spec = tokenizer.spec
    own = {**spec.named_templates, **({"default": spec.chat_template} if spec.chat_template else {})}
    if wanted is not None:
        if wanted in own:
            return _own(tokenizer, own[wanted], wanted)
        if wanted in NAMES:
            return _known(tokenizer, known_template(wanted))
        return _own(tokenizer, _read(wanted, own), Path(wanted).name)
    if tools and TOOL_TEMPLATE in own:
        return _own(tokenizer, own[TOOL_TEMPLATE], TOOL_TEMPLATE)
    if "default" in own:
        # Some GGUF files have the name of a format in place of a template.
        if own["default"] in NAMES:
            return _known(tokenizer, known_template(own["default"]))
        return _own(tokenizer, own["default"], "own")
    if own:
        raise TemplateError(
            "The model has several chat templates, and none of them is the default:",
            why=f"they are named {', '.join(sorted(own))}.",
            hint="Choose one with `--template NAME`.",
        )
    known = guess_template(lambda token: tokenizer.id_of(token) is not None, model_name)
    notice = f"The model has no chat template: using '{known.name}'. Choose another with --template NAME."
    return _known(tokenizer, known, notice)


def _own(tokenizer: Tokenizer, source: str, name: str) -> ChosenTemplate:
    return _with_ends(tokenizer, _compile(tokenizer, source, name, _special(tokenizer)))


def _known(tokenizer: Tokenizer, known: KnownTemplate, notice: str = "") -> ChosenTemplate:
    special = _special(tokenizer)
    for token, ids in (("bos_token", [tokenizer.bos_id]), ("eos_token", list(tokenizer.spec.eos_ids))):
        if not special[token] and ids and ids[0] is not None:  # known formats are written for models that have them
            special[token] = tokenizer.token_text(ids[0])
    template = _compile(tokenizer, known.source, known.name, special)
    return replace(_with_ends(tokenizer, template, known.stops), ensure_bos=True, notice=notice)


def _with_ends(tokenizer: Tokenizer, template: ChatTemplate, stops: tuple[str, ...] = ()) -> ChosenTemplate:
    ends = [end for end in _TURN_ENDS if end in template.source]
    if "<|return|>" in ends and "<|end|>" in ends:  # where a turn has its own end, this is that of a message within it
        ends.remove("<|end|>")
    written = (*stops, *ends)
    ids = {end: tokenizer.id_of(end) for end in written}
    return ChosenTemplate(
        template,
        end_ids=frozenset(i for i in ids.values() if i is not None),
        stops=tuple(stop for stop in stops if ids[stop] is None),
    )


def _compile(tokenizer: Tokenizer, source: str, name: str, special: Mapping[str, Any]) -> ChatTemplate:
    return ChatTemplate(source, special=special, control=list(tokenizer.control), name=name)


def _special(tokenizer: Tokenizer) -> dict[str, Any]:
    """The special tokens as a model's own template knows them: "" where its authors name none."""
    additional = {"additional_special_tokens": list(tokenizer.spec.additional_special)}
    return {"bos_token": "", "eos_token": "", **additional, **tokenizer.spec.special}


def _read(wanted: str, own: Collection[str]) -> str:
    path = Path(wanted)
    if path.suffix not in (".jinja", ".jinja2", ".j2"):
        names = ", ".join([*sorted(own), *NAMES])
        raise UsageError(f"There is no chat template named {wanted!r}.", hint=f"Known: {names}; or give a .jinja file.")
    try:
        if path.stat().st_size > 4 * MAX_TEMPLATE_CHARS:
            raise UsageError(f"{path} is too large for a chat template.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"The chat template {path} cannot be read:", why=f"{error}.") from error
