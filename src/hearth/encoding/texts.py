"""How texts are put to an encoder: what stands before them and around them, and how long they may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.chat.prompt import Prompt
from hearth.chat.tokenizer import Encoded, Tokenizer
from hearth.checkpoint.task import Task
from hearth.errors import ContextFull, UsageError
from hearth.model.encoder.batch import Text

Kind = Literal["query", "document"]
# The names that prompts have for what a text is, as sentence-transformers looks for them.
_PROMPTS: dict[Kind, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}


def prompt_name(task: Task, prompt: str | None, kind: Kind | None) -> str | None:
    """Which of a model's prompts is meant; None: none.

    Args:
        prompt: by its name; None: the model's default, if it has one.
        kind: by what the text is, instead.

    Raises:
        UsageError: both are given, or the model has none of that name.
    """
    if prompt is not None and kind is not None:
        raise UsageError("Both a prompt and a kind of text are given.", hint="Leave one of them out.")
    if kind is not None:
        if kind not in _PROMPTS:
            raise UsageError(f"kind is {str(kind)[:40]!r}, but must be 'query' or 'document'.")
        return next((name for name in _PROMPTS[kind] if name in task.prompts), task.default_prompt)
    name = task.default_prompt if prompt is None else prompt
    if name is not None and name not in task.prompts:
        known = ", ".join(map(repr, sorted(task.prompts))) or "none"
        raise UsageError(f"This model has no prompt {name!r}.", hint=f"It has {known}.")
    return name


@dataclass(frozen=True)
class Reader:
    """Makes tokens of texts, for one model.

    Attributes:
        typed: the model tells the two texts of a pair apart by types.
    """

    task: Task
    tokenizer: Tokenizer
    typed: bool

    def text(self, text: str, prompt: str | None = None, *, truncate: bool = False) -> Text:
        """One text with the prompt of that name before it.

        Raises:
            ContextFull: it is too long, and shall not be cut.
        """
        before = self.task.prompts[prompt] if prompt is not None else ""
        whole = self._cased(before) + self._cased(text)
        # The prompt is the authors' and may hold control tokens; the text may not.
        marked = Prompt(whole, literal=((len(whole) - len(self._cased(text)), len(whole)),))
        encoded = self._checked(self.tokenizer.encode_whole(marked, most=self._most(truncate)))
        skip = 0
        if before and not self.task.include_prompt:
            alone = self.tokenizer.encode_whole(Prompt(self._cased(before)))
            ends = len(alone.spans) and alone.ids[-1] in self.tokenizer.control_ids
            skip = len(alone.ids) - bool(ends)
        return Text(encoded.ids, encoded.types, min(skip, len(encoded.ids) - 1))

    def located(self, text: str, *, truncate: bool = False) -> tuple[Text, Encoded]:
        """One text, and the characters that each of its tokens is."""
        encoded = self._checked(self.tokenizer.encode_whole(self._cased(text), most=self._most(truncate)))
        return Text(encoded.ids, encoded.types), encoded

    def pair(self, first: str, second: str, *, truncate: bool = False) -> Text:
        """Two texts of which one is judged by the other; of these the second may be cut."""
        encoded = self._checked(
            self.tokenizer.encode_whole(
                self._cased(first), self._cased(second), most=self._most(truncate), doubled=not self.typed
            )
        )
        return Text(encoded.ids, encoded.types)

    def _most(self, truncate: bool) -> int | None:
        return self.task.max_tokens if truncate else None

    def _checked(self, encoded: Encoded) -> Encoded:
        if len(encoded.ids) > self.task.max_tokens:
            raise too_long(len(encoded.ids), self.task.max_tokens)
        if not encoded.ids:
            raise UsageError("This model makes no tokens of an empty text.")
        return encoded

    def _cased(self, text: str) -> str:
        """In lower case where the model wants it: letter by letter, as the tokenizers library does it."""
        if not self.task.lowercase:
            return text
        return "".join(character.lower() for character in text)


def too_long(tokens: int, limit: int) -> ContextFull:
    """The refusal of a text that a model cannot read whole."""
    return ContextFull(
        f"A text of {tokens:,} tokens is too long: this model reads {limit:,}.",
        hint="Divide it, or ask for it to be cut: truncate=True, --truncate.",
        tokens=tokens,
        limit=limit,
    )
