"""What is behind the door of `Embedder`: a compiled encoder, or a language model that makes vectors or ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hearth.bundle import Manifest
from hearth.chat.embedding import EmbeddingInput, VectorMaker
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.embedding import EmbeddingSpec, Pooling
from hearth.checkpoint.task import Task, load_task
from hearth.checkpoint.tokenizer_files import load_tokenizer
from hearth.encoding.batcher import FUNCTION, Batcher, Shape
from hearth.encoding.texts import Kind, Reader, prompt_name, too_long
from hearth.errors import TokenizerMissing, UsageError
from hearth.llm import LLM
from hearth.model.encoder.batch import Text
from hearth.prepare import Opened, ProgressCallback, open_model, start_loading
from hearth.runtime import ModelInfo, Session

Float32s = NDArray[np.float32]
TextOrIds = str | Sequence[int]
Prepared = Text | EmbeddingInput
"""A text as the model reads it, with its tokens in `ids`."""

BATCH_TOKENS = 2048
"""Tokens that are computed together where as many wait: enough to use all threads, and few enough for the caches."""


@dataclass(frozen=True)
class EmbedderInfo:
    """What an open model is.

    Attributes:
        name: as it was asked for.
        bundle: the compiled folder it runs from.
        manifest: what that folder says about itself.
        task: `embed`, `classify` or `tag`.
        size: numbers in a vector; 0 where it makes none.
        labels: what it classifies by.
        prompts: what it can put before a text, by name.
        dimensions: to which vectors may be cut.
        max_tokens: of one text.
        threads: that compute.
    """

    name: str
    bundle: Path
    manifest: Manifest
    task: Literal["embed", "classify", "tag"]
    size: int
    labels: tuple[str, ...]
    prompts: dict[str, str]
    dimensions: tuple[int, ...]
    max_tokens: int
    threads: int


class Source(Protocol):
    """What is behind the door: an encoder, or a language model that makes vectors or ranks."""

    notices: tuple[str, ...]
    task: Task

    @property
    def info(self) -> EmbedderInfo: ...
    def prepare(
        self, texts: Sequence[TextOrIds], prompt: str | None, kind: Kind | None, cut: bool
    ) -> list[Prepared]: ...
    def pairs(self, query: str, documents: Sequence[str], cut: bool) -> list[Prepared]: ...
    def compute(self, prepared: Sequence[Prepared]) -> list[Float32s]: ...
    def count(self, text: str) -> int: ...
    def close(self) -> None: ...


def closed() -> UsageError:
    """What is raised after `close`."""
    return UsageError(
        "This Embedder was closed, perhaps by its `with` block.", hint="Ask it within the block, or open it anew."
    )


class Encoder:
    """A compiled encoder."""

    def __init__(self, opened: Opened, *, threads: int | None, mmap: bool, progress: ProgressCallback | None) -> None:
        self._opened = opened
        self.notices = opened.notices
        loading = start_loading(opened, mmap=mmap)
        try:
            self.task = load_task(opened.bundle.path)
            spec = load_tokenizer(opened.bundle.path)
            tokenizer = Tokenizer(spec) if spec else None
            self._model = open_model(opened, progress, loading)
        except BaseException:
            loading.cancel()
            raise
        self._session = Session(self._model, threads=threads)
        info = self._model.info
        typed = "token_types" in info.functions[FUNCTION].inputs
        self._reader = Reader(self.task, tokenizer, typed) if tokenizer else None
        self._size = 0
        shape = shape_of(info, self.task)
        self._batcher = None if shape is None else Batcher(self._session, shape, BATCH_TOKENS)
        if self.task.kind == "embed" and shape is not None:
            self._size = int(info.functions[FUNCTION].outputs[shape.output].most[-1])

    @property
    def reader(self) -> Reader:
        if self._reader is None:
            raise TokenizerMissing(
                "This model came without a tokenizer.", hint="Give token ids, or a model with its tokenizer."
            )
        return self._reader

    @property
    def info(self) -> EmbedderInfo:
        made = self._opened.bundle.manifest
        return EmbedderInfo(
            name=self._opened.name,
            bundle=self._opened.bundle.path,
            manifest=made,
            task=self.task.kind,
            size=self._size,
            labels=self.task.labels,
            prompts=dict(self.task.prompts),
            dimensions=self.task.dimensions,
            max_tokens=self.task.max_tokens,
            threads=self._session.threads,
        )

    def prepare(self, texts: Sequence[TextOrIds], prompt: str | None, kind: Kind | None, cut: bool) -> list[Prepared]:
        name = prompt_name(self.task, prompt, kind)
        return [
            self.reader.text(text, name, truncate=cut) if isinstance(text, str) else self._checked(list(text))
            for text in texts
        ]

    def pairs(self, query: str, documents: Sequence[str], cut: bool) -> list[Prepared]:
        return [self.reader.pair(query, document, truncate=cut) for document in documents]

    def _checked(self, ids: list[int]) -> Text:
        """Token ids, which are taken as they are."""
        if not ids:
            raise UsageError("A text without tokens has no vector.")
        if len(ids) > self.task.max_tokens:
            raise too_long(len(ids), self.task.max_tokens)
        return Text(ids)

    def count(self, text: str) -> int:
        return len(self.reader.tokenizer.encode_whole(text).ids)

    def compute(self, prepared: Sequence[Prepared]) -> list[Float32s]:
        assert self._batcher is not None  # a model without a head was refused
        return self._batcher.compute([one for one in prepared if isinstance(one, Text)])

    def close(self) -> None:
        if self._batcher is not None:
            self._batcher.close(closed)
        self._model.close()


def shape_of(info: ModelInfo, task: Task) -> Shape | None:
    """What a compiled encoder takes and gives; None where it makes nothing but hidden states."""
    function = info.functions[FUNCTION]
    output = "embedding" if task.kind == "embed" else "logits"
    if output not in function.outputs:
        return None
    return Shape(
        inputs=tuple(function.inputs),
        output=output,
        per_token=task.kind == "tag",
        max_tokens=info.symbols["tokens"][1],
        max_texts=info.symbols["borders"][1] - 1,
        tile_tokens=info.symbols["tile_tokens"][0],
    )


class LanguageModel:
    """A language model that makes vectors, or ranks documents, through `LLM`."""

    def __init__(self, llm: LLM, pooling: Pooling | None) -> None:
        self._llm = llm
        self.notices = llm.notices
        made = llm.vector_maker
        if pooling is not None and not made.is_published:
            made = VectorMaker(llm.info.name, EmbeddingSpec((pooling,)))
        spec = made.spec
        self._ranker = llm.ranker if spec.pairs else None
        self._maker = made if self._ranker is None else self._ranker.maker
        if spec.pairs is not None:
            self.task = Task("classify", ("score",), spec.pairs.scores)
            return
        unknown = "" if made is not llm.vector_maker or made.is_published else "its files do not say how"
        self.task = Task(
            "embed",
            prompts=spec.prompts,
            default_prompt=spec.default_prompt,
            refused=spec.refused or unknown,
        )

    @property
    def info(self) -> EmbedderInfo:
        about = self._llm.info
        return EmbedderInfo(
            name=about.name,
            bundle=about.bundle,
            manifest=about.manifest,
            task=self.task.kind,
            size=self._maker.spec.size(about.hidden_size) if self.task.kind == "embed" else 0,
            labels=self.task.labels,
            prompts=dict(self.task.prompts),
            dimensions=self.task.dimensions,
            max_tokens=about.context,
            threads=about.threads,
        )

    def prepare(self, texts: Sequence[TextOrIds], prompt: str | None, kind: Kind | None, cut: bool) -> list[Prepared]:
        return [self._prepared(text, prompt, kind, cut) for text in texts]

    def pairs(self, query: str, documents: Sequence[str], cut: bool) -> list[Prepared]:
        assert self._ranker is not None  # another task was refused
        most = self._llm.info.context if cut else None
        return [self._ranker.pair(query, document, most=most) for document in documents]

    def compute(self, prepared: Sequence[Prepared]) -> list[Float32s]:
        return [self._llm.embed_prepared(one, self._maker) for one in prepared if isinstance(one, EmbeddingInput)]

    def _prepared(self, text: TextOrIds, prompt: str | None, kind: Kind | None, cut: bool) -> EmbeddingInput:
        if isinstance(text, str):
            name = prompt_name(self.task, prompt, kind)
            given = self._maker.prepare(text, self._llm.tokenizer, name)
        else:
            given = EmbeddingInput(list(text))
        room = self._llm.info.context
        if cut and len(given.ids) > room:
            # What the tokenizer puts at the end of a text stays there.
            end = given.ids[-1:] if given.ids[-1] in self._llm.tokenizer.control_ids else []
            given = EmbeddingInput([*given.ids[: room - len(end)], *end], given.skip)
        return given

    def count(self, text: str) -> int:
        return len(self._llm.tokenize(text))

    def close(self) -> None:
        self._llm.close()
