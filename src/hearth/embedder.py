"""The front door for what is made of texts besides texts: `Embedder` makes vectors, ranks documents, finds labels.

from hearth import Embedder
with Embedder("sentence-transformers/all-MiniLM-L6-v2") as model:
    vectors = model.embed(["A cat sat on the mat.", "Felines rest on rugs."])
    print(vectors[0] @ vectors[1])
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hearth.arguments import text as checked_text
from hearth.arguments import texts as text_list
from hearth.arguments import texts_or_ids, whole_number
from hearth.calibrate import text_calibration_of
from hearth.chat.embedding import normalized
from hearth.checkpoint.embedding import Pooling
from hearth.checkpoint.task import Task
from hearth.embedder_sources import EmbedderInfo, Encoder, Float32s, LanguageModel, Prepared, Source, TextOrIds
from hearth.encoding.labels import Label, of_places, of_text, scores
from hearth.encoding.texts import Kind
from hearth.errors import HearthError, Unsupported, UsageError
from hearth.llm import LLM
from hearth.model.kinds import ENCODER, TEXT
from hearth.opening import check_opening
from hearth.prepare import ProgressCallback, prepare
from hearth.progress import displayed
from hearth.quant.policy import Precision


@dataclass(frozen=True)
class Ranked:
    """A document and how well it answers a query.

    Attributes:
        index: its place among the documents that were given.
        score: as the model's authors make it; in most models from 0 to 1.
    """

    index: int
    score: float


class Embedder:
    """A model on this machine that makes vectors of texts, ranks documents or finds labels. Compiled on first use, then
    opened from the cache.

    Any number of threads may ask it, at the same time: their texts are computed together, each with the result that it
    would get alone.

    Args:
        model: `owner/name` on the hub, a folder, a `.gguf` file, or a bundle: an encoder, a reranker, a tagger, or a
            language model that its authors made vectors with.
        quant: number format of the weights (`f32 f16 q8 q4 q4a int8`, `w4a8` with `calibrate`); None: as published for
            GGUF, else q8 (language models: as `LLM`).
        head: the same for the embeddings of tokens; None: as `quant`, q8 with 4 bits.
        precision: "default" computes with 8-bit activations in groups of 32, "high" with 32-bit floats; "fast" is the
            number format int8, with one scale for a token and a weight row (docs/accuracy.md).
        calibrate: texts like those that it is to read, a file with a line for each or a folder of .txt files, for
            `w4a8` of an encoder: matrices have 4 bits where these show that it costs little.
        pooling: how one vector is made of a text's tokens (`mean cls lasttoken max ...`), where the model does not say.
        threads: None: the physical cores this process may use.
        mmap: map the weights instead of copying them.
        progress: told of download, compilation and loading; True: shows them on standard error.
        offline: never use the network.
        trust_bundle: run `model` where it is a bundle that was not compiled here: it is a program.

    Raises:
        HearthError: one of its kinds, each saying what happened, why and what to do.
    """

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        embedder = super().__new__(cls)
        embedder._arguments = (arguments, {name: value for name, value in options.items() if name != "progress"})
        return embedder

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        quant: str | None = None,
        head: str | None = None,
        precision: Precision = "default",
        calibrate: str | os.PathLike[str] | None = None,
        pooling: Pooling | None = None,
        threads: int | None = None,
        mmap: bool = False,
        progress: ProgressCallback | bool | None = None,
        offline: bool = False,
        trust_bundle: bool = False,
    ) -> None:
        check_opening(mixtures=True, quant=quant, head=head, precision=precision, threads=threads, pooling=pooling)
        text_calibration_of(quant, calibrate, None)
        texts = None if calibrate is None else str(Path(calibrate).resolve())
        common: dict[str, Any] = {
            "quant": quant,
            "head": head,
            "precision": precision,
            "mmap": mmap,
            "offline": offline,
            "trust_bundle": trust_bundle,
        }
        with displayed() if progress is True else nullcontext(progress or None) as report:
            opened = prepare(
                os.fspath(model), kinds=(ENCODER, TEXT), pooling=pooling, progress=report, calibrate=texts, **common
            )  # fmt: skip
            self._source: Source
            if opened.kind == ENCODER:
                self._source = Encoder(opened, threads=threads, mmap=mmap, progress=report)
            else:
                llm = LLM(model, threads=threads, progress=report, **common)
                self._source = LanguageModel(llm, pooling)

    # -- what it makes -------------------------------------------------------------------------------------------

    def embed(
        self,
        texts: str | Sequence[TextOrIds],
        *,
        kind: Kind | None = None,
        prompt: str | None = None,
        dimensions: int | None = None,
        truncate: bool = False,
    ) -> Float32s:
        """Vectors of texts, made as the model's authors say.

        Args:
            texts: one or many; or token ids, which are taken as they are.
            kind: `query` or `document`: puts before each text what the model wants before such a one.
            prompt: name of another of the model's prompts; None: its default, if it has one.
            dimensions: cut vectors to so many numbers, of length 1 again, where the model was made for it.
            truncate: cut texts that are too long, which are refused otherwise.

        Returns:
            float32 (n, size); of a single text (size,).

        Raises:
            ContextFull: a text is too long. TokenizerMissing, UsageError, Unsupported: a model without vectors.
        """
        prepared = self.prepare(texts_or_ids("texts", texts), kind=kind, prompt=prompt, truncate=truncate)
        vectors = self.embed_prepared(prepared, dimensions=dimensions)
        return vectors[0] if isinstance(texts, str) else vectors

    def prepare(
        self,
        texts: Sequence[TextOrIds],
        *,
        kind: Kind | None = None,
        prompt: str | None = None,
        truncate: bool = False,
    ) -> list[Prepared]:
        """What `embed` would give to the model: each text with what stands around it, as `ids`. Raises as `embed`."""
        task = self._source.task
        if task.kind != "embed":
            raise self._other("makes no vectors", "It was published with a head for labels.")
        if task.refused:
            raise Unsupported(
                f"This model cannot make vectors of texts: {task.refused}.",
                hint="If you know how its authors make them, say so: pooling='mean' (--pooling mean).",
            )
        return self._source.prepare(texts, prompt, kind, truncate)

    def embed_prepared(self, prepared: Sequence[Prepared], *, dimensions: int | None = None) -> Float32s:
        """The vectors of texts that `prepare` has seen."""
        size = self._checked_dimensions(dimensions)
        if not prepared:
            return np.zeros((0, size), np.float32)
        vectors = np.stack(self._source.compute(prepared))
        if size != vectors.shape[1]:
            vectors = np.stack([normalized(vector[:size]) for vector in vectors])
        return vectors

    def rerank(
        self, query: str, documents: Sequence[str], *, top: int | None = None, truncate: bool = False
    ) -> list[Ranked]:
        """Documents by how well they answer a query, the best first.

        Args:
            top: only so many.
            truncate: cut documents that are too long, which are refused otherwise.

        Raises:
            ContextFull: a query and a document are too long. TokenizerMissing, UsageError: a model that ranks nothing;
            `top` is below 1.
        """
        if top is not None:
            whole_number("top", top, 1)
        return self.rerank_prepared(self.prepare_pairs(query, documents, truncate=truncate), top=top)

    def prepare_pairs(self, query: str, documents: Sequence[str], *, truncate: bool = False) -> list[Prepared]:
        """What `rerank` would give to the model: the query with each document, as `ids`. Raises as `rerank`."""
        given = text_list("documents", documents, "rerank(query, [document])")
        task = self._source.task
        if task.kind != "classify":
            raise self._other("ranks no documents", f"It {_DOES[task.kind]}.")
        if len(task.labels) != 1:
            raise self._other("ranks no documents", f"It has {len(task.labels)} labels, and a ranker has one.")
        return self._source.pairs(checked_text("query", query), given, truncate)

    def rerank_prepared(self, pairs: Sequence[Prepared], *, top: int | None = None) -> list[Ranked]:
        """The documents of pairs that `prepare_pairs` has made, the best first."""
        return ranked(self._source.compute(pairs), self._source.task)[:top]

    def classify(self, texts: Sequence[str], *, truncate: bool = False) -> list[list[Label]]:
        """Labels of texts: all of them for each text, the surest first; of a tagger those of places, in order.

        Args:
            truncate: cut texts that are too long, which are refused otherwise.

        Raises:
            ContextFull: a text is too long. TokenizerMissing, UsageError: a model without labels.
        """
        given = text_list("texts", texts, "classify([text])")
        if self._source.task.kind == "tag":
            encoder = self._encoder("tag")
            located = [encoder.reader.located(text, truncate=truncate) for text in given]
            rows = encoder.compute([text for text, _ in located])
            return [
                of_places(row, encoder.task, text, encoded.spans)
                for row, text, (_, encoded) in zip(rows, given, located, strict=True)
            ]
        encoder = self._encoder("classify")
        rows = encoder.compute([encoder.reader.located(text, truncate=truncate)[0] for text in given])
        return [of_text(row, encoder.task, text) for row, text in zip(rows, given, strict=True)]

    # -- about ---------------------------------------------------------------------------------------------------

    @property
    def info(self) -> EmbedderInfo:
        """What this model is."""
        return self._source.info

    @property
    def size(self) -> int:
        """Numbers in a vector; 0 where it makes none."""
        return self.info.size

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about how the model was opened."""
        return self._source.notices

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, with what stands around it."""
        return self._source.count(text)

    def __repr__(self) -> str:
        info = self.info
        return f"<Embedder {info.name!r}: {info.task}, {info.manifest.quant}, {info.threads} threads>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy in another process opens the model anew, by its name and options."""
        arguments, options = self._arguments
        return partial(type(self), *arguments, **options), ()

    def close(self) -> None:
        """Gives the memory back. May be called from any thread; waits for a batch that is being computed."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside --------------------------------------------------------------------------------------------------

    def _checked_dimensions(self, wanted: int | None) -> int:
        info = self.info
        if wanted is None or wanted == info.size:
            return info.size
        if wanted in info.dimensions:
            return wanted
        allowed = ", ".join(map(str, (*info.dimensions, info.size)))
        raise UsageError(
            f"dimensions is {wanted}, but vectors of this model have {allowed}.",
            why="" if info.dimensions else "Its files do not say that they were made to be cut.",
        )

    def _encoder(self, kind: str) -> Encoder:
        if self._source.task.kind != kind:
            raise self._other("labels nothing", f"It {_DOES[self._source.task.kind]}.")
        if not isinstance(self._source, Encoder):
            raise self._other("labels nothing", "It ranks documents.")
        return self._source

    def _other(self, what: str, why: str) -> UsageError:
        return UsageError(f"This model {what}.", why=why, hint="docs/embeddings.md lists models for each task.")


def ranked(logits: Sequence[Float32s], task: Task) -> list[Ranked]:
    """Documents by their logits, (1,) each, the best first."""
    found = [Ranked(index, float(scores(row, task)[0])) for index, row in enumerate(logits)]
    return sorted(found, key=lambda one: (-one.score, one.index))


_DOES = {"embed": "makes vectors of texts", "classify": "classifies texts", "tag": "labels places in texts"}


__all__ = ["Embedder", "EmbedderInfo", "HearthError", "Label", "Ranked"]
