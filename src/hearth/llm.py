"""The front door: `LLM` opens a model by name and answers. All other rooms meet here, and nowhere else.

from hearth import LLM
with LLM("starter") as llm:
    print(llm.chat([{"role": "user", "content": "What is the capital of France?"}]).text)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.adapters import AdaptersGiven
from hearth.bundle import Manifest
from hearth.chat.answer import Completion, Totals
from hearth.chat.answer_stream import AnswerStream
from hearth.chat.asking import Asking
from hearth.chat.completion import TokenLogprob, token_logprobs
from hearth.chat.embedding import EmbeddingInput, VectorMaker
from hearth.chat.grammar import Trial
from hearth.chat.pictures import blind
from hearth.chat.ranking import Ranker
from hearth.chat.request import ContextOverflow, Prepared
from hearth.chat.template import ChatTemplate
from hearth.chat.tokenizer import Tokenizer
from hearth.engine import Engine, LoadedAdapter, SamplingParams, SharedEngine
from hearth.errors import UsageError
from hearth.llm_parts import Asked, open_parts
from hearth.model.text.kv_cache import KvFormat
from hearth.prepare import Placement, Progress, ProgressCallback
from hearth.progress import answering, displayed
from hearth.quant.policy import Precision
from hearth.runtime import Model, SplitModel, SplitTextSession, TextSession
from hearth.speculate import Speculate


@dataclass(frozen=True)
class LLMInfo:
    """What an open model is.

    Attributes:
        name: as it was asked for.
        bundle: the compiled folder it runs from.
        manifest: what that folder says about itself: architecture, formats, hashes, versions.
        context: tokens of prompt and answer together.
        max_position: the context that the bundle was compiled for at most.
        weights_bytes, session_bytes: memory for the weights; for everything else at full context.
        template: name of the chat template: "own", a known format, or None without a tokenizer.
        sampling: the defaults of this model's requests.
        device: where it runs, and why there.
    """

    name: str
    bundle: Path
    manifest: Manifest
    vocab_size: int
    hidden_size: int
    context: int
    max_position: int
    threads: int
    weights_bytes: int
    session_bytes: int
    template: str | None
    sampling: SamplingParams
    device: Placement


def closed() -> UsageError:
    """What is raised after `close`."""
    return UsageError(
        "This LLM was closed, perhaps by its `with` block.", hint="Ask it within the block, or open the model anew."
    )


class LLM(Asking):
    """A language model on this machine. Compiled on first use, then opened from the cache.

    Any number of threads may ask it, at the same time: they are computed together, each with the answer that it would
    get alone.

    Args:
        model: `starter`, `owner/name` on the hub, `owner/name:Q4_K_M`, a folder, a `.gguf` file, or a bundle.
        quant: number format of the weights (`f32 f16 q8 q4 q4a`); None: as published for GGUF, else q4.
        head: the same for embedding and head; None: q8 where the body has 4 bits.
        precision: "default" computes with 8-bit activations in groups of 32, "high" with 32-bit floats; "fast" reads
            prompts with one scale for a token and a weight row, and decodes as by default (docs/accuracy.md).
        kv: number format of keys and values: "f16", or "q8" with half the bytes; None: f16, f32 with high precision.
        threads: None: the physical cores this process may use.
        context: tokens of prompt and answer together. None: what the model was trained for, up to 8192.
        template: name of a known chat format or a `.jinja` file; None: the model's own.
        context_overflow: what happens when a chat outgrows the context: "error" refuses a prompt that is too long and
            ends an answer with `finish_reason` "context"; "slide" drops the oldest tokens after the system prompt and
            says so in `Completion.notices`.
        repetition_stop: end an answer that goes round in a circle, with `finish_reason` "repetition"; each request may
            say otherwise.
        max_seqs: requests whose keys and values have room for a full context each at the same time. None: one, and
            room for more as far as the model was compiled for and an eighth of the free memory holds.
        kv_bytes: memory for keys and values and recurrent state, but at least one full context; None: as `max_seqs`
            says. With less than all requests want, some wait for room, or give it up and are computed again.
        speculate: "auto" guesses tokens and verifies several at once, where that is faster: from the text so far, and
            with the model's own block that predicts further tokens, if its file carries one. "lookup": from the text
            alone; "mtp": with the block alone; "off": never. The answers are the same.
        draft: a small model with the same tokenizer that guesses instead; named as `model` is.
        mmproj: the file that sees for a GGUF file. None: the one beside it, if there is one; "none": none.
        adapters: LoRA adapters by the names that requests ask for them by (`chat(adapter=)`): each a folder that peft
            wrote, a GGUF file or `owner/name`, or that and a scale. All lie in memory beside the model, and requests
            with different ones are computed together.
        device: where it runs: "cpu", "gpu" (the best there is), "gpu:N" as `hearth doctor` lists them; "auto": a GPU
            where there is one that the model fits, at least a quarter of its layers, else the CPU. `LLM.info.device`
            says which it is and why.
        gpu_layers: so many of the model's first layers on the GPU, the rest on the CPU; "auto": as many as fit the
            GPU's memory. None: all, but for what `device` "auto" says.
        mmap: map the weights instead of copying them: processes share them, and the system may drop and read them
            again; decodes slower where the system has no huge pages for files.
        progress: told of download, compilation and loading; True: shows them on standard error, in notebooks too.
        offline: never use the network.
        trust_bundle: run `model` or `draft` where it is a bundle that was not compiled here: it is a program.

    Raises:
        HearthError: one of its kinds, each saying what happened, why and what to do.
    """

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        llm = super().__new__(cls)
        llm._arguments = (arguments, {name: value for name, value in options.items() if name != "progress"})
        return llm

    def __init__(
        self,
        model: str | os.PathLike[str] = "starter",
        *,
        quant: str | None = None,
        head: str | None = None,
        precision: Precision = "default",
        kv: KvFormat | None = None,
        threads: int | None = None,
        context: int | None = None,
        template: str | None = None,
        context_overflow: ContextOverflow = "error",
        repetition_stop: bool = True,
        max_seqs: int | None = None,
        kv_bytes: int | None = None,
        speculate: Speculate = "auto",
        draft: str | os.PathLike[str] | None = None,
        mmproj: str | os.PathLike[str] | None = None,
        adapters: AdaptersGiven | None = None,
        device: str = "auto",
        gpu_layers: int | Literal["auto"] | None = None,
        mmap: bool = False,
        progress: ProgressCallback | bool | None = None,
        offline: bool = False,
        trust_bundle: bool = False,
    ) -> None:
        asked = Asked(
            model=os.fspath(model),
            quant=quant,
            head=head,
            precision=precision,
            kv=kv,
            threads=threads,
            context=context,
            template=template,
            context_overflow=context_overflow,
            repetition_stop=repetition_stop,
            max_seqs=max_seqs,
            kv_bytes=kv_bytes,
            speculate=speculate,
            draft=None if draft is None else os.fspath(draft),
            mmproj=None if mmproj is None else os.fspath(mmproj),
            adapters=adapters or {},
            device=device,
            gpu_layers=gpu_layers,
            mmap=mmap,
            offline=offline,
            trust_bundle=trust_bundle,
        )
        self.stats = Totals()
        self._showing = answering
        with displayed() if progress is True else nullcontext(progress or None) as report:
            self._parts = open_parts(asked, report)
        self._texts = self._parts.texts
        self._requests, self._engine = self._texts.requests, self._parts.engine
        self._shared = SharedEngine(self._engine)

    # -- numbers -------------------------------------------------------------------------------------------------

    def logits(self, ids: ArrayLike) -> NDArray[np.float32]:
        """Logits after every token.

        Args:
            ids: n token ids, no more than the context.

        Returns:
            float32 (n, vocab_size).

        Raises:
            ContextFull, UsageError, Unsupported: a model that makes only vectors.
        """
        self._texts.vectors.check_text()
        return self._shared.run(lambda engine: engine.logits(ids, adapter=self.adapter))

    def score(self, text_or_ids: str | Sequence[int], *, top: int = 0) -> list[TokenLogprob | None]:
        """How likely each token of a text is after those before it.

        Args:
            text_or_ids: a text, which begins as the model expects it (BOS); or token ids, which are taken as they are.
            top: how many of the likeliest to tell in each place.

        Returns:
            One for each token; None for the first, which nothing is before.

        Raises:
            TokenizerMissing, ContextFull, UsageError, Unsupported: a model that makes only vectors.
        """
        self._texts.vectors.check_text()
        ids = self.tokenize(text_or_ids) if isinstance(text_or_ids, str) else list(text_or_ids)
        scores = self._shared.run(lambda engine: engine.score(ids, top=top, adapter=self.adapter))
        return [None, *token_logprobs(self._texts.tokenizer, ids, scores)]

    def embed(self, text_or_ids: str | Sequence[int], *, prompt: str | None = None) -> NDArray[np.float32]:
        """One vector of a text, made as the model's authors say; where they say nothing, the mean over the tokens of
        the hidden states after the final norm.

        Args:
            text_or_ids: a text; or token ids, which are taken as they are.
            prompt: name of one of the model's own prompts ("query"), which is put before the text; None: its default.

        Returns:
            float32 (embedding_size,).

        Raises:
            Unsupported: the authors ask for something that Hearth does not compute.
            TokenizerMissing, ContextFull, UsageError.
        """
        return self.embed_prepared(self.prepare_embedding(text_or_ids, prompt=prompt))

    def prepare_embedding(self, text_or_ids: str | Sequence[int], *, prompt: str | None = None) -> EmbeddingInput:
        """What `embed` would give to the engine. May be called from any thread. Raises as `embed`."""
        self._texts.vectors.check()
        if isinstance(text_or_ids, str):
            prepared = self._texts.vectors.prepare(text_or_ids, self._requests.tokenizer(), prompt)
            return replace(prepared, adapter=self.adapter)
        if prompt is not None:
            raise UsageError("A prompt is put before a text, but token ids were given.", hint="Leave one of them out.")
        return EmbeddingInput(list(text_or_ids), adapter=self.adapter)

    def embed_prepared(self, prepared: EmbeddingInput, maker: VectorMaker | None = None) -> NDArray[np.float32]:
        """The vector of a text that `prepare_embedding`, or another maker, has seen."""
        return self._shared.run(lambda engine: (maker or self._texts.vectors).vector(engine, prepared))

    @property
    def vector_maker(self) -> VectorMaker:
        """How this model makes vectors."""
        return self._texts.vectors

    @cached_property
    def ranker(self) -> Ranker | None:
        """How this model ranks documents; None: it does not. Raises TokenizerMissing."""
        spec = self._texts.vectors.spec
        return Ranker(self._parts.opened.name, spec, spec.pairs, self.tokenizer) if spec.pairs else None

    @property
    def embedding_size(self) -> int:
        """Numbers in a vector of `embed`."""
        return self._texts.vectors.spec.size(self._parts.session.info.hidden_size)

    # -- about ---------------------------------------------------------------------------------------------------

    @property
    def info(self) -> LLMInfo:
        """What this model is and needs."""
        session = self._parts.session
        described = session.info
        chosen = self._requests.template_so_far
        has_own = self._texts.tokenizer is not None and self._texts.tokenizer.spec.chat_template
        template = chosen.template.name if chosen else ("own" if has_own else None)
        return LLMInfo(
            name=self._parts.opened.name,
            bundle=self._parts.opened.bundle.path,
            manifest=self._parts.opened.bundle.manifest,
            vocab_size=described.vocab_size,
            hidden_size=described.hidden_size,
            context=self._engine.context,
            max_position=described.max_position,
            threads=session.threads,
            weights_bytes=self._parts.model.info.weights_bytes,
            session_bytes=described.session_bytes(
                session.num_pages, session.threads, session.num_slots, session.num_adapters
            ),
            template=template,
            sampling=self._requests.defaults(),
            device=self._parts.placement,
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about how the model was opened."""
        chosen = self._requests.template_so_far
        of_tokenizer = self._texts.tokenizer.spec.notices if self._texts.tokenizer else ()
        return (*self._parts.opened.notices, *of_tokenizer, *((chosen.notice,) if chosen and chosen.notice else ()))

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises TokenizerMissing where the model came without one."""
        return self._requests.tokenizer()

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that requests may ask for."""
        return self._requests.adapters.names

    @property
    def adapter(self) -> LoadedAdapter | None:
        """What `with_adapter` chose; None: the model answers as it is."""
        return self._requests.adapter

    def with_adapter(self, name: str) -> LLM:
        """The same open model, whose answers, likelihoods and vectors have this adapter unless a request names another.
        It is closed with the other.

        Raises:
            UsageError: there is none of this name.
        """
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__, _requests=self._requests.with_adapter(name))
        return same

    @property
    def sees(self) -> bool:
        """Whether it takes pictures."""
        return self._texts.eyes is not None

    @property
    def picture_marker(self) -> str:
        """What stands for a picture in a prompt of `generate`.

        Raises:
            UsageError: the model sees nothing.
        """
        if self._texts.eyes is None:
            raise blind(self._parts.opened.name)
        return self._texts.eyes.marker

    @property
    def has_tokenizer(self) -> bool:
        return self._texts.tokenizer is not None

    @property
    def chat_template(self) -> ChatTemplate:
        """What `chat` writes prompts with. Raises TokenizerMissing, TemplateError."""
        return self._requests.template().template

    @property
    def engine(self) -> Engine:
        """For servers and benchmarks: token ids in, token ids out."""
        return self._engine

    @property
    def model(self) -> Model | SplitModel:
        """The open bundle: for benchmarks."""
        return self._parts.model

    @property
    def session(self) -> TextSession | SplitTextSession:
        return self._parts.session

    def try_grammars(self, trial: Trial) -> None:
        """For servers: has each grammar of a request tried before it is compiled here."""
        self._requests.try_grammars(trial)

    def __repr__(self) -> str:
        info, facts = self.info, self._parts.opened.bundle.manifest
        size = f"{info.weights_bytes / 2**20:.0f} MiB of {facts.quant}"
        return f"<LLM {info.name!r}: {size}, context {info.context}, {info.threads} threads>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy in another process opens the model anew, by its name and options. What was asked does not go along."""
        arguments, options = self._arguments
        return partial(type(self), *arguments, **options), ()

    def close(self) -> None:
        """Gives the memory back. Answers that are not finished end with an error, and so does whatever is asked
        afterwards. May be called from any thread; waits for a step that is being computed."""
        self._shared.close(closed)
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside --------------------------------------------------------------------------------------------------

    def _checked(self, prepared: Prepared) -> Prepared:
        self._texts.vectors.check_text()
        return super()._checked(prepared)


__all__ = ["LLM", "AnswerStream", "Completion", "LLMInfo", "Progress", "Totals"]
