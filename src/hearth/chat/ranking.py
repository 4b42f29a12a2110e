"""How a language model that ranks documents reads a query and a document."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property

from hearth.chat.choose import choose_template
from hearth.chat.embedding import EmbeddingInput, VectorMaker
from hearth.chat.prompt import Prompt
from hearth.chat.template import ChatTemplate
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.embedding import EmbeddingSpec, PairReading
from hearth.errors import TemplateError, UsageError

_PLACE = re.compile(r"\{(query|document)\}")


class Ranker:
    """Puts pairs of texts to a language model that ranks.

    Args:
        name: of the model, for messages.
        spec: what its authors say.
        tokenizer: of the model.

    Attributes:
        maker: makes the one number of a pair, a logit.
        pairs: how its authors put pairs to it, and make scores of logits.
    """

    def __init__(self, name: str, spec: EmbeddingSpec, pairs: PairReading, tokenizer: Tokenizer) -> None:
        self.maker = VectorMaker(name, replace(spec, refused=""))
        self.pairs = pairs
        self._name = name
        self._spec = spec
        self._tokenizer = tokenizer

    def pair(self, query: str, document: str, *, most: int | None = None) -> EmbeddingInput:
        """A query and a document as the model reads them.

        Args:
            most: the document is cut so that there are at most so many tokens.

        Raises:
            TemplateError: the model's template cannot be used. UsageError: without a document there are too many.
        """
        given = self._ids(query, document)
        if most is None or len(given) <= most:
            return EmbeddingInput(given)
        spans = self._tokenizer.encode_whole(document).spans
        ends = [span[1] for span in spans if span is not None]
        keep = len(ends)
        while len(given) > most and keep > 0:
            keep = max(keep - (len(given) - most), 0)
            given = self._ids(query, document[: ends[keep - 1]] if keep else "")
        if len(given) > most:
            raise UsageError(f"The query and what stands around it are {len(given):,} tokens; {most:,} fit.")
        return EmbeddingInput(given)

    def _ids(self, query: str, document: str) -> list[int]:
        if self.pairs.template:
            prompt = self._filled({"query": query, "document": document})
        else:
            default = self._spec.default_prompt
            system = [{"role": "system", "content": self._spec.prompts[default]}] if default else []
            messages = [*system, {"role": "query", "content": query}, {"role": "document", "content": document}]
            prompt = self._template.render(messages, **{"add_generation_prompt": False, **self.pairs.variables})
        return self._tokenizer.encode_prompt(prompt)

    @cached_property
    def _template(self) -> ChatTemplate:
        if self._tokenizer.spec.chat_template is None:
            raise TemplateError(f"{self._name} has no chat template, by which it ranks.")
        return choose_template(self._tokenizer, self._name, "default").template

    def _filled(self, texts: dict[str, str]) -> Prompt:
        """The template, in which the two texts stand; they may write no control tokens."""
        source = self._tokenizer.spec.named_templates.get(self.pairs.template)
        if source is None:
            raise TemplateError(f"{self._name} has no template named {self.pairs.template!r}, by which it ranks.")
        text, at, literal = "", 0, []
        for place in _PLACE.finditer(source):
            text += source[at : place.start()]
            literal.append((len(text), len(text) + len(texts[place[1]])))
            text += texts[place[1]]
            at = place.end()
        return Prompt(text + source[at:], tuple(literal))
