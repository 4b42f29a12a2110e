"""What is told of a model, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Description:
    """A model of any kind.

    Attributes:
        kind: what lies at `path`: `folder`, `gguf`, `starter` or `bundle`.
        made_for: which kind of model it is: `text`, `encoder`, `vision`; of a bundle also `graph`.
        parameters: numbers in the source's tensors, or in the bundle's weights.
        source_formats: element type, or how it was quantised -> share of the parameters, largest first.
        quantised: how weights of a folder were quantised -> the types that they are read as: one of our formats, which
            holds their numbers as they are, or f32.
        formats: the number formats that compiling with these settings gives.
        weights_bytes: memory of the packed weights.
    """

    name: str
    path: Path
    kind: str
    made_for: str
    family: str
    parameters: int
    source_formats: Mapping[str, float]
    formats: str
    source_bytes: int
    weights_bytes: int
    quantised: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int:
        """What it takes while it is open; the workspace adds some ten MB."""
        return self.weights_bytes


@dataclass(frozen=True, kw_only=True)
class TextDescription(Description):
    """A language model.

    Attributes:
        context_max: tokens that its authors made it for.
        context: tokens that the memory is for.
        kv_bytes: memory of keys and values of `context` tokens.
        state_bytes: memory of recurrent state, with what is kept to go on from; 0: it has none.
        chat_template: whether it has one of its own; None where it has no tokenizer.
        sees: whether it takes pictures.
        predicts: tokens that a block of its own predicts further at a time, to guess with; 0: it has none.
        active_parameters: numbers that one token meets, where these are not all (experts); else None.
    """

    layers: int
    vocab_size: int
    context_max: int
    context: int
    kv_bytes: int
    state_bytes: int
    chat_template: bool | None
    sees: bool
    predicts: int
    active_parameters: int | None = None

    @property
    def memory_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.state_bytes


@dataclass(frozen=True, kw_only=True)
class EncoderDescription(Description):
    """A model that makes vectors, scores or labels of texts.

    Attributes:
        task: `embed`, `classify` or `tag`; see `checkpoint.task.Task`, as of all below.
        size: numbers in a vector; 0 where it makes none, or where a bundle does not tell before it is opened.
        refused: why it makes no vectors, where it could; else empty.
    """

    task: str
    size: int
    labels: tuple[str, ...]
    max_tokens: int
    dimensions: tuple[int, ...]
    prompts: Mapping[str, str]
    refused: str


@dataclass(frozen=True, kw_only=True)
class VisionDescription(Description):
    """A model that looks at pictures.

    Attributes:
        task: what it does with one; see `model.vision.Task`.
        labels: what it tells apart; none where that is asked for in words, or nothing of it.
        size: height and width of the pictures that its network takes.
        any_size: pictures keep their shape, and each new size is compiled once.
        problem: why it cannot look at pictures as it is; else empty.
    """

    task: str
    labels: tuple[str, ...]
    size: tuple[int, int]
    any_size: bool
    problem: str
