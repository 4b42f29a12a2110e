"""What an `LLM` consists of, and how that is opened: the bundle found or compiled, a device chosen, weights loaded
while vocabulary and template are read, memory for keys and values taken, guesses prepared, an engine over it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hearth.adapters import Adapters, AdaptersGiven, AdapterSource, find_adapters, units_of
from hearth.chat.embedding import VectorMaker
from hearth.chat.pictures import Eyes, with_marks
from hearth.chat.request import ContextOverflow, Requests
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.embedding import load_embedding
from hearth.checkpoint.tokenizer_files import load_tokenizer
from hearth.engine import Engine, Pace
from hearth.errors import UsageError
from hearth.image.sight import load_sight
from hearth.model.text.kv_cache import KvFormat
from hearth.opening import check_opening
from hearth.prepare import (
    Opened,
    Placement,
    ProgressCallback,
    check_device,
    check_gpu_layers,
    choose_context,
    choose_room,
    hub_progress,
    open_model,
    place,
    prepare,
    start_placed,
)
from hearth.quant.policy import Precision
from hearth.runtime import Model, SplitModel, SplitTextSession, TextInfo, TextSession, default_threads, text_session
from hearth.speculate import Guesser, Speculate, open_guesser, prepare_draft


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a program asks for when it opens a model; each as `LLM` documents it.

    Raises:
        UsageError: an argument is none of what it may be, or contradicts another.
    """

    model: str
    quant: str | None
    head: str | None
    precision: Precision
    kv: KvFormat | None
    threads: int | None
    context: int | None
    template: str | None
    context_overflow: ContextOverflow
    repetition_stop: bool
    max_seqs: int | None
    kv_bytes: int | None
    speculate: Speculate
    draft: str | None
    mmproj: str | None
    adapters: AdaptersGiven
    device: str
    gpu_layers: int | Literal["auto"] | None
    mmap: bool
    offline: bool
    trust_bundle: bool

    def __post_init__(self) -> None:
        check_opening(
            quant=self.quant,
            head=self.head,
            precision=self.precision,
            kv=self.kv,
            threads=self.threads,
            context=self.context,
            context_overflow=self.context_overflow,
            max_seqs=self.max_seqs,
            kv_bytes=self.kv_bytes,
            speculate=self.speculate,
        )
        check_device(self.device)
        check_gpu_layers(self.gpu_layers, self.device)
        if self.speculate == "off" and self.draft is not None:
            raise UsageError("A draft model is given, but speculate is 'off'.", hint="Leave one of them out.")


@dataclass(frozen=True)
class Texts:
    """What stands between texts and token ids. None, where a model came without a tokenizer or sees nothing."""

    tokenizer: Tokenizer | None
    eyes: Eyes | None
    vectors: VectorMaker
    requests: Requests


@dataclass(frozen=True)
class Parts:
    """An open language model.

    Attributes:
        opened: the bundle, and how it was found.
        placement: where it runs.
        guesser: where guesses come from.
    """

    opened: Opened
    placement: Placement
    texts: Texts
    model: Model | SplitModel
    session: TextSession | SplitTextSession
    guesser: Guesser
    engine: Engine

    def close(self) -> None:
        """Gives the memory back."""
        self.guesser.close()
        self.model.close()


def open_parts(asked: Asked, progress: ProgressCallback | None) -> Parts:
    """Opens a language model. Raises as `LLM`; nothing stays open then."""
    adapters = find_adapters(asked.adapters, offline=asked.offline, progress=hub_progress(progress))
    opened = prepare(
        asked.model,
        quant=asked.quant,
        head=asked.head,
        precision=asked.precision,
        kv=asked.kv,
        context=asked.context,
        mmproj=asked.mmproj,
        adapters=tuple(str(adapter.path) for adapter in adapters) or None,
        progress=progress,
        offline=asked.offline,
        mmap=asked.mmap,
        trust_bundle=asked.trust_bundle,
    )
    placement = place(opened.bundle, asked.device, asked.gpu_layers)
    loading = start_placed(opened, placement, mmap=asked.mmap, progress=progress)
    try:
        # Meanwhile: reading a large vocabulary takes about as long as loading a small model.
        texts = _read_texts(asked, opened)
        draft = _prepare_draft(asked, opened, texts.tokenizer, progress)
        model = open_model(opened, progress, loading)
    except BaseException:
        loading.cancel()
        raise
    try:
        return _with_engine(asked, opened, placement, texts, model, draft, adapters, progress)
    except BaseException:
        model.close()
        raise


def _read_texts(asked: Asked, opened: Opened) -> Texts:
    path, name = opened.bundle.path, opened.name
    spec, sight = load_tokenizer(path), load_sight(path)
    tokenizer = Tokenizer(with_marks(spec, sight)) if spec else None
    eyes = Eyes(name, sight) if sight else None
    requests = Requests(
        name,
        tokenizer,
        published=opened.sampling,
        vocab_size=opened.bundle.manifest.language.vocab_size,
        wanted_template=asked.template,
        overflow=asked.context_overflow,
        repetition_stop=asked.repetition_stop,
        eyes=eyes,
    )
    if asked.template is not None:
        requests.template()  # a wrong name is told without waiting for the weights
    return Texts(tokenizer, eyes, VectorMaker(name, load_embedding(path)), requests)


def _prepare_draft(
    asked: Asked, opened: Opened, tokenizer: Tokenizer | None, progress: ProgressCallback | None
) -> Opened | None:
    if asked.draft is None:
        return None
    return prepare_draft(
        asked.draft, opened, tokenizer, progress=progress, offline=asked.offline, trust_bundle=asked.trust_bundle
    )


def _with_engine(
    asked: Asked,
    opened: Opened,
    placement: Placement,
    texts: Texts,
    model: Model | SplitModel,
    draft: Opened | None,
    adapters: Sequence[AdapterSource],
    progress: ProgressCallback | None,
) -> Parts:
    info = TextInfo.of(model.info)
    threads = default_threads() if asked.threads is None else asked.threads
    least = asked.max_seqs or 1
    free = placement.free_bytes(model.placed_bytes)
    units = units_of(adapters) if info.adapter_units else 0
    context = choose_context(
        info,
        asked.context,
        max_seqs=least,
        threads=threads,
        name=opened.name,
        kv_bytes=asked.kv_bytes,
        free_bytes=free,
        adapters=units,
    )
    room = choose_room(info, context, max_seqs=asked.max_seqs, kv_bytes=asked.kv_bytes, free_bytes=free, adapters=units)
    session = text_session(
        model, num_pages=room.pages, num_slots=room.slots, num_adapters=room.adapters, threads=threads
    )
    loaded = Adapters(session, opened.bundle.path)
    for adapter in adapters:
        loaded.add(adapter)
    texts.requests.adapters = loaded.table
    guesser = open_guesser(
        asked.speculate,
        draft,
        session,
        name=opened.name,
        context=context,
        max_seqs=least,
        threads=threads,
        mmap=asked.mmap,
        progress=progress,
    )
    eos_ids = texts.tokenizer.eos_ids if texts.tokenizer else frozenset[int]()
    try:
        engine = Engine(session, context=context, eos_ids=eos_ids, speculation=guesser.speculation, pace=Pace())
        texts.requests.context = engine.context
    except BaseException:
        guesser.close()
        raise
    return Parts(opened, placement, texts, model, session, guesser, engine)
