"""Filling in: a text between two others, as models of code were trained to see it (fill in the middle).

Each family has tokens of its own around the text before and the text behind. Which one a model has is told by its
vocabulary. Sources: the model cards and papers of the families (Bavarian et al., arXiv:2207.14255, for the two orders).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hearth.chat.prompt import Prompt
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import Unsupported

PREFIX, SUFFIX = "{prefix}", "{suffix}"


@dataclass(frozen=True)
class InfillForm:
    """One family's way.

    Attributes:
        parts: tokens, and `PREFIX` and `SUFFIX` where the two texts stand.
        ends: further tokens that end what is filled in, where the vocabulary has them.
    """

    parts: tuple[str, ...]
    ends: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """Those that the vocabulary must have."""
        return tuple(part for part in self.parts if part not in (PREFIX, SUFFIX))


FORMS = (
    # Qwen 2.5 Coder, CodeGemma, Granite's and many more
    InfillForm(
        ("<|fim_prefix|>", PREFIX, "<|fim_suffix|>", SUFFIX, "<|fim_middle|>"),
        ends=("<|fim_pad|>", "<|file_sep|>", "<|file_separator|>", "<|repo_name|>", "<|endoftext|>"),
    ),
    # StarCoder, Granite Code, Stable Code, SmolLM2
    InfillForm(
        ("<fim_prefix>", PREFIX, "<fim_suffix>", SUFFIX, "<fim_middle>"),
        ends=("<fim_pad>", "<file_sep>", "<repo_name>"),
    ),
    InfillForm(("<fim-prefix>", PREFIX, "<fim-suffix>", SUFFIX, "<fim-middle>"), ends=("<fim-pad>",)),  # SantaCoder
    InfillForm(("<｜fim▁begin｜>", PREFIX, "<｜fim▁hole｜>", SUFFIX, "<｜fim▁end｜>")),  # DeepSeek Coder
    InfillForm(("▁<PRE>", PREFIX, "▁<SUF>", SUFFIX, "▁<MID>"), ends=("▁<EOT>",)),  # Code Llama
    InfillForm(("<|code_prefix|>", PREFIX, "<|code_suffix|>", SUFFIX, "<|code_middle|>")),  # GLM 4
    InfillForm(("[SUFFIX]", SUFFIX, "[PREFIX]", PREFIX)),  # Codestral: the text behind comes first
)


def infill_form(tokenizer: Tokenizer) -> InfillForm:
    """The model's own.

    Raises:
        Unsupported: its vocabulary has the tokens of no form that is known.
    """
    for form in FORMS:
        if all(tokenizer.id_of(token) is not None for token in form.tokens):
            return form
    raise Unsupported(
        "This model cannot fill in between two texts:",
        why="its vocabulary has none of the tokens that models of code have for that.",
        hint="Leave the suffix out, or take a model of code such as Qwen2.5-Coder.",
    )


def infill_prompt(form: InfillForm, prefix: str, suffix: str) -> Prompt:
    """The prompt; the two texts write no control tokens."""
    texts = {PREFIX: prefix, SUFFIX: suffix}
    text = "".join(texts.get(part, part) for part in form.parts)
    return Prompt(text, tuple(_spans(form, texts)))


def _spans(form: InfillForm, texts: dict[str, str]) -> Iterator[tuple[int, int]]:
    at = 0
    for part in form.parts:
        end = at + len(texts.get(part, part))
        if part in texts:
            yield at, end
        at = end
