"""From a text to its vector: what is put before the text, and what is done to the vector that the engine pools."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.chat.prompt import Prompt
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.embedding import Activation, Dense, EmbeddingSpec
from hearth.engine import Engine, LoadedAdapter
from hearth.errors import Unsupported, UsageError

Float32s = NDArray[np.float32]

_ACTIVATIONS: dict[Activation, Callable[[Float32s], Float32s]] = {
    "identity": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "gelu": lambda x: _gelu(x),
    "sigmoid": lambda x: np.float32(1) / (np.float32(1) + np.exp(-x)),
}
_LEAST_LENGTH = 1e-12


@dataclass(frozen=True)
class EmbeddingInput:
    """A text as the engine reads it.

    Attributes:
        ids: its tokens, with all that stands around it.
        skip: tokens at the beginning that do not count for pooling.
        adapter: that it is read with; None: by the model alone.
    """

    ids: list[int]
    skip: int = 0
    adapter: LoadedAdapter | None = None


class VectorMaker:
    """How a language model makes vectors.

    Args:
        name: of the model, for messages.
        spec: what its authors say; None where they say nothing: then it is the mean over all tokens.
    """

    def __init__(self, name: str, spec: EmbeddingSpec | None) -> None:
        self._name = name
        self.is_published = spec is not None
        self.spec = spec or EmbeddingSpec()

    def check(self) -> None:
        """Raises Unsupported where this model's vectors cannot be made."""
        if self.spec.refused:
            raise Unsupported(
                f"{self._name} cannot make vectors of texts: {self.spec.refused}.",
                hint="Choose an embedding model of a kind that docs/models.md lists.",
            )

    def check_text(self) -> None:
        """Raises Unsupported where vectors are all that this model makes."""
        if self.spec.no_head:
            raise Unsupported(
                f"{self._name} makes vectors of texts and writes none.",
                why="It was published without the layer that chooses the next token (lm_head).",
                hint="Use LLM.embed or /v1/embeddings, or choose a model for chat.",
            )

    def prepare(self, text: str, tokenizer: Tokenizer, prompt: str | None = None) -> EmbeddingInput:
        """A text with what is put before it.

        Args:
            prompt: name of one of the model's prompts; None: its default, if it has one.

        Raises:
            UsageError: the model has no prompt of that name.
        """
        spec = self.spec
        name = spec.default_prompt if prompt is None else prompt
        if name is not None and name not in spec.prompts:
            known = ", ".join(map(repr, sorted(spec.prompts))) or "none"
            raise UsageError(f"{self._name} has no prompt {name!r}.", hint=f"It has {known}.")
        before = spec.prompts[name] if name is not None else ""
        whole = before + text
        if spec.lowercase:  # letter by letter, as the tokenizers library does it
            whole = "".join(character.lower() for character in whole)
        # The prompt is the authors' and may hold control tokens; the text may not.
        ids = tokenizer.encode(Prompt(whole, literal=((len(whole) - len(text), len(whole)),)))
        skip = 0 if spec.include_prompt or not before else self._num_tokens(before, tokenizer)
        return EmbeddingInput(ids, skip)

    def _num_tokens(self, prompt: str, tokenizer: Tokenizer) -> int:
        """Tokens of a prompt and of what stands before it, without what the tokenizer puts at the end of a text."""
        ids = tokenizer.encode(Prompt(prompt))
        return len(ids) - (ids[-1] in tokenizer.control_ids)

    def vector(self, engine: Engine, given: EmbeddingInput) -> Float32s:
        """float32 (size,). Raises ContextFull, UsageError, Unsupported."""
        self.check()
        vector = engine.embed(given.ids, pooling=self.spec.pooling, skip=given.skip, adapter=given.adapter)
        for step in self.spec.steps:
            vector = self._dense(step, vector) if isinstance(step, Dense) else normalized(vector)
        return vector

    def _dense(self, layer: Dense, vector: Float32s) -> Float32s:
        if layer.weight.shape[1] != len(vector):
            raise Unsupported(f"{self._name}: a layer for {layer.weight.shape[1]} numbers is given {len(vector)}.")
        out = layer.weight @ vector
        return _ACTIVATIONS[layer.activation](out if layer.bias is None else out + layer.bias)


def normalized(vector: Float32s) -> Float32s:
    """The vector scaled to length 1; zeros stay zeros."""
    return vector / np.float32(max(float(np.linalg.norm(vector)), _LEAST_LENGTH))


def _gelu(x: Float32s) -> Float32s:
    return np.array([0.5 * value * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()], np.float32)
