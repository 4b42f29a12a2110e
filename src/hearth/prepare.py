"""From a model's name to a bundle that can be opened: find or download the source, then compile it or find it compiled.

The compiler is imported only when something has to be compiled: where TVM is not installed, bundles still run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearth.bundle import (
    Bundle,
    Memory,
    list_bundles,
    memory_of,
    open_bundle,
    require_own_cache,
    require_trusted,
    tuning_dir,
)
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.generation import load_sampling, published_sampling
from hearth.checkpoint.tokenizer_files import load_tokenizer
from hearth.distribution import install_command
from hearth.engine import pages_for
from hearth.errors import CompileError, HearthError, NotEnoughMemory, UsageError
from hearth.fit import LEAST_CONTEXT, inspector, require_fit
from hearth.hub import Progress as HubProgress
from hearth.hub import Source, complete, resolve
from hearth.model import load_family
from hearth.model.text.kv_cache import KvFormat, kv_format
from hearth.quant import format_name
from hearth.runtime import Loading, Model, TextInfo, available_bytes, require
from hearth.sizes import ModelSize, size_of

MAX_DEFAULT_CONTEXT = 8192
"""Tokens of context where none is asked for and the model has more: keys and values take memory."""
_MEMORY_HINT = "Choose a smaller number format (--quant q4) or a smaller model, or close other programs."
COMPILE_HINT = f"Install the compiler: {install_command('compile')}. Or run a bundle that was compiled elsewhere."


@dataclass(frozen=True)
class Progress:
    """How far opening a model is.

    Attributes:
        stage: what is being done.
        label: what it is done to: a file, a phase of the compiler, a model.
        done, total: bytes for `download` and `load`, steps for `compile`, seconds for `tune`, answers for `answer`,
            pictures for `look`; `total` 0 where it is not known.
    """

    stage: Literal["download", "compile", "load", "tune", "answer", "look"]
    label: str
    done: int
    total: int


@dataclass(frozen=True)
class Opened:
    """A model ready to be loaded.

    Attributes:
        name: as it was asked for.
        bundle: the compiled folder, checked.
        sampling: the authors' recommendation.
        notices: what the user should know.
    """

    name: str
    bundle: Bundle
    sampling: dict[str, float]
    notices: tuple[str, ...] = ()


ProgressCallback = Callable[[Progress], None]


def prepare(
    name: str,
    *,
    quant: str | None = None,
    head: str | None = None,
    precision: Literal["default", "high"] = "default",
    kv: KvFormat | None = None,
    context: int | None = None,
    progress: ProgressCallback | None = None,
    offline: bool = False,
    mmap: bool = False,
    memory_bytes: int | None = None,
    trust_bundle: bool = False,
) -> Opened:
    """Finds a model's bundle, and makes it where there is none yet.

    Args: as `LLM`.
        memory_bytes: what the model may take; None: what is free.

    Raises:
        ModelNotFound, NetworkError, ...: as `hub.resolve`, `open_checkpoint` and `compile_model`.
        NotEnoughMemory: it is too large, which is found before it is downloaded where the hub tells its size, and
            before it is compiled. With `mmap` any size will do.
        CompileError: it must be compiled, and the compiler is not installed or fails.
        UntrustedBundle: it is a bundle that was compiled elsewhere, and `trust_bundle` does not say to run it.
    """
    limit_bytes = None if mmap else memory_bytes or available_bytes()
    source = fetch(
        name,
        quant=quant,
        head=head,
        kv=kv_format(kv, precision),
        context=context,
        progress=progress,
        offline=offline,
        memory_bytes=limit_bytes,
    )
    if source.kind == "bundle":
        opened = _from_bundle(name, source.path, quant, head, precision, kv)
        if not trust_bundle:
            require_trusted(opened.bundle)
        return opened
    require_own_cache()
    wanted = {"name": source.name, "quant": quant, "head": head, "precision": precision, "kv": kv, "context": context}
    memory = memory_of_source(source, wanted)
    bundle = remembered(memory)
    if bundle is not None:
        require_trusted(bundle)
        return Opened(name, bundle, load_sampling(bundle.path), source.notices)
    if not offline and complete(source):
        memory = memory_of_source(source, wanted)
    check_fit(source, quant=quant, head=head, kv=kv_format(kv, precision), context=context, memory_bytes=limit_bytes)
    bundle, notices = _compiled(source, quant, head, precision, kv, context, progress)
    require_trusted(bundle)
    if not notices:
        memory.remember(bundle.path)
    sampling = load_sampling(bundle.path) or published_sampling(open_checkpoint(source.path))
    return Opened(name, bundle, sampling, (*source.notices, *notices))


def fetch(
    name: str,
    *,
    quant: str | None = None,
    head: str | None = None,
    kv: str = "f16",
    context: int | None = None,
    progress: ProgressCallback | None = None,
    offline: bool = False,
    memory_bytes: int | None = None,
    encoders: bool = False,
) -> Source:
    """Finds a model, or downloads it after a look at what it is and whether it fits.

    Args: as `LLM`; `kv` as `kv_format` gives it.
        memory_bytes: what it may take; None: any size.
        encoders: an encoder will do as well as a language model.

    Raises: as `hub.resolve`; Unsupported, CorruptFile, NotEnoughMemory: it would be refused when it is here.
    """
    inspect = inspector(quant=quant, head=head, kv=kv, context=context, memory_bytes=memory_bytes, encoders=encoders)
    return resolve(name, offline=offline, progress=hub_progress(progress), inspect=inspect, memory_bytes=memory_bytes)


def check_fit(
    source: Source, *, quant: str | None, head: str | None, kv: str, context: int | None, memory_bytes: int | None
) -> None:
    """Refuses a model on this disk that is too large, before time goes into compiling it.

    Raises:
        NotEnoughMemory: as `fit.require_fit`. Unsupported, CorruptFile: it cannot be compiled.
    """
    checkpoint = open_checkpoint(source.path)
    model = load_family(checkpoint, context=context)

    def sizes(quant: str | None) -> ModelSize:
        def dtype_of(parameter: str) -> str:
            return checkpoint.tensors[model.sources[parameter].tensor].dtype

        return size_of(model.config, dtype_of, checkpoint.kind, quant=quant, head=head, kv=kv)

    require_fit(source.name, sizes, quant, memory_bytes)


def memory_of_source(source: Source, wanted: Mapping[str, object], *, beside: Sequence[Path] = ()) -> Memory:
    """What is remembered of a model and of what was asked for: the bundle that it led to.

    Args:
        beside: what else the model is made of, besides `source.path`.
    """
    watched = [source.path, *beside, tuning_dir(), *_compiler_files()]
    return memory_of({"path": str(source.path.absolute()), **wanted}, watched)


def start_loading(opened: Opened, *, mmap: bool = False) -> Loading:
    """Begins to load the weights, for `open_model` to wait for them.

    Args:
        mmap: as `LLM`.

    Raises:
        NotEnoughMemory: they do not fit.
    """
    facts = opened.bundle.manifest.facts
    if mmap:  # the system drops mapped pages where it needs the memory
        require(facts.arena_bytes, f"{opened.name} (workspace)", hint=_MEMORY_HINT)
    else:
        require(facts.weights_bytes + facts.arena_bytes, f"{opened.name} (weights and workspace)", hint=_MEMORY_HINT)
    return Loading(opened.bundle.path, use_mmap=mmap)


def open_model(opened: Opened, progress: ProgressCallback | None, loading: Loading | None = None) -> Model:
    """Loads the weights, or waits for a loading that was started.

    Raises:
        NotEnoughMemory: they do not fit.
    """
    report = None
    if progress is not None:

        def report(done: int, total: int) -> None:
            progress(Progress("load", opened.name, done, total))

    try:
        return (loading or start_loading(opened)).model(report)
    except NotEnoughMemory as error:
        raise NotEnoughMemory(error.what, why=error.why, hint=error.hint or _MEMORY_HINT) from error


_SPARE_SHARE = 8
"""This part of the free memory may hold keys and values of more requests than the one that must have room."""


def choose_pages(info: TextInfo, context: int, *, max_seqs: int | None, kv_bytes: int | None) -> int:
    """Pages of keys and values for `max_seqs` sequences of a full context; fewer, but enough for one of them, where
    `kv_bytes` do not hold so many.

    Args:
        max_seqs: None: as many as the model was compiled for, in `kv_bytes` or else a small part of the free memory.
    """
    if max_seqs is None and kv_bytes is None:
        kv_bytes = (available_bytes() or 0) // _SPARE_SHARE
    full = pages_for(context, info.max_seqs if max_seqs is None else max_seqs, page_tokens=info.page_tokens)
    if kv_bytes is None:
        return full
    return min(full, max(pages_for(context, page_tokens=info.page_tokens), kv_bytes // info.kv_bytes_per_page))


def choose_context(
    info: TextInfo, wanted: int | None, *, max_seqs: int, threads: int, name: str, kv_bytes: int | None = None
) -> int:
    """How many tokens of prompt and answer a sequence may have.

    Args:
        wanted: by the user; None: what the model has, up to `MAX_DEFAULT_CONTEXT` and what half of the free
            memory holds.
        kv_bytes: as `choose_pages`.

    Raises:
        UsageError: `wanted` or `max_seqs` is out of range.
        NotEnoughMemory: keys and values for it do not fit; the message says how many tokens would.
    """
    if not 1 <= max_seqs <= info.max_seqs:
        raise UsageError(f"max_seqs is {max_seqs}, but this model takes 1 to {info.max_seqs}.")
    if wanted is not None and not 2 <= wanted <= info.max_position:
        raise UsageError(
            f"A context of {wanted} tokens is asked for; {name} takes 2 to {info.max_position}.",
            hint="Choose one between, or leave the context out.",
        )

    def needed(tokens: int) -> int:
        return info.session_bytes(choose_pages(info, tokens, max_seqs=max_seqs, kv_bytes=kv_bytes), threads)

    def halved(tokens: int, limit_bytes: int) -> int:
        while tokens > LEAST_CONTEXT and needed(tokens) > limit_bytes:
            tokens //= 2
        return tokens

    free = available_bytes()
    context = wanted or min(info.max_position, MAX_DEFAULT_CONTEXT)
    if wanted is None and free is not None:
        context = halved(context, free // 2)
    if wanted is None and kv_bytes is not None:
        page_bytes, page_tokens = info.kv_bytes_per_page, info.page_tokens
        while context > LEAST_CONTEXT and pages_for(context, page_tokens=page_tokens) * page_bytes > kv_bytes:
            context //= 2
    fits = halved(context, free) if free is not None else context
    hint = f"About {fits} tokens would fit: context={fits}, or --context {fits}." if fits < context else ""
    require(needed(context), f"A context of {context} tokens", hint=hint)
    return context


def _from_bundle(name: str, path: Path, quant: str | None, head: str | None, precision: str, kv: str | None) -> Opened:
    """A bundle's formats are what they are; asking for others is told, not ignored."""
    bundle = open_bundle(path)
    made = bundle.manifest
    wanted = {"quant": quant, "head": head, "precision": "high" if precision == "high" else None, "kv": kv}
    notices = tuple(
        f"{name} is a compiled bundle with {key} {getattr(made, key)}; {key} {value} cannot be chosen any more."
        for key, value in wanted.items()
        if value is not None and value != getattr(made, key)
    )
    return Opened(name, bundle, load_sampling(path), notices)


def remembered(memory: Memory) -> Bundle | None:
    """The bundle that this model led to before, if it is still whole."""
    folder = memory.recall()
    try:
        return open_bundle(folder) if folder is not None else None
    except HearthError:  # removed, damaged, of another version: it is compiled again
        return None


def _compiler_files() -> list[Path]:
    """Whatever shapes a bundle besides the model: a change of these asks the compiler again, which knows best."""
    tools = [importlib.util.find_spec(name) for name in ("tvm", "ziglang")]
    return [Path(__file__).parent, *(Path(tool.origin) for tool in tools if tool is not None and tool.origin)]


def _compiled(
    source: Source,
    quant: str | None,
    head: str | None,
    precision: Literal["default", "high"],
    kv: KvFormat | None,
    context: int | None,
    progress: ProgressCallback | None,
) -> tuple[Bundle, tuple[str, ...]]:
    try:
        from hearth.compiler import compile_model

        folder = compile_model(
            source.path,
            name=source.name,
            quant=quant,
            head=head,
            precision=precision,
            kv=kv,
            context=context,
            progress=compile_progress(progress),
        )
    except ImportError as error:  # TVM or zig: a bundle of another version of the compiler may still do

        def fits(bundle: Bundle) -> bool:
            text = bundle.manifest.text
            load_tokenizer(bundle.path)
            return (
                text is not None
                and text.kv == kv_format(kv, precision)
                and head in (None, text.head)
                and asked_for(quant, bundle.manifest.quant)
            )

        return compiled_before(source, open_checkpoint(source.path).fingerprint(), precision, fits, error)
    return open_bundle(folder), ()


def asked_for(quant: str | None, made: str) -> bool:
    """Whether a bundle of the format `made` is what `--quant` asks for, or what none asks for."""
    return quant is None or format_name(quant) == made


def compiled_before(
    source: Source, fingerprint: str, precision: str, fits: Callable[[Bundle], bool], cause: ImportError
) -> tuple[Bundle, tuple[str, ...]]:
    """A bundle of this very model in the cache, made when the compiler was there, and what to tell of it.

    Args:
        fingerprint: of the model's checkpoint.
        fits: whether an opened bundle will do beside that; may raise as opening does.
        cause: what is missing of the compiler.

    Raises:
        CompileError: there is none.
    """
    activations = "high" if precision == "high" else "int8"
    for stored in list_bundles():
        made = stored.manifest
        if made is None or made.source_fingerprint != fingerprint or made.precision != activations:
            continue
        try:
            bundle = open_bundle(stored.path)
            if not fits(bundle):
                continue
        except HearthError:  # for another machine, of an older Hearth, or damaged: the next one may do
            continue
        require_trusted(bundle)
        return bundle, (f"The compiler is not installed: using {source.name} as compiled before ({made.quant}).",)
    raise CompileError(
        f"{source.name} is not compiled yet, and the compiler is not installed.", why=f"({cause})", hint=COMPILE_HINT
    ) from cause


def hub_progress(progress: ProgressCallback | None) -> Callable[[HubProgress], None] | None:
    """The hub's callback for ours."""
    if progress is None:
        return None
    return lambda p: progress(Progress("download", f"{p.repo_id}: {p.file}", p.done_bytes, p.total_bytes))


def compile_progress(progress: ProgressCallback | None) -> Callable[[str, int, int], None] | None:
    """The compiler's callback for ours."""
    if progress is None:
        return None
    return lambda label, done, total: progress(Progress("compile", label, done, total))
