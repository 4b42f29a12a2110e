"""`compile_model`: language models, from a model on disk to a bundle in the cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from hearth.bundle import TextFacts
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.adapter import open_adapter
from hearth.checkpoint.embedding import EmbeddingSpec, save_embedding
from hearth.checkpoint.generation import published_sampling, save_sampling
from hearth.checkpoint.ranking import published_ranking
from hearth.checkpoint.sentence_modules import published_embedding
from hearth.checkpoint.tokenizer_files import save_tokenizer
from hearth.checkpoint.types import Checkpoint, TokenizerSpec
from hearth.compiler.compile import CompileOptions, Job, compile_job
from hearth.compiler.ranking import ranking_spec
from hearth.compiler.vision import default_quant, vision_formats
from hearth.image.sight import SightSpec, read_cutting, save_sight
from hearth.model import LoadedModel, load_family
from hearth.model.kinds import TEXT
from hearth.model.text.adapter_places import adapter_places, targets_of
from hearth.model.text.adapters import AdapterDtype, AdapterRoom
from hearth.model.text.batch import SLOTS
from hearth.model.text.kv_cache import KV_DTYPES, PAGE_TOKENS, KvFormat, kv_format
from hearth.model.text.parameters import parameter_role
from hearth.model.vlm.model import LoadedSight
from hearth.model.vlm.network import language_network, sight_network
from hearth.model.weights import tensor_type
from hearth.quant.formats import Format
from hearth.quant.policy import Precision, choose_format

if TYPE_CHECKING:
    from hearth.compiler.plan import Plan

CallFormats = Mapping[str, str | None]
"""By the name of a chat template that of the format in which it has tools called; None: in none that has a name."""


def compile_model(
    source: Path,
    *,
    name: str,
    quant: str | None = None,
    head: str | None = None,
    precision: Precision = "default",
    kv: KvFormat | None = None,
    context: int | None = None,
    mmproj: str | None = None,
    adapters: Sequence[Path] = (),
    call_formats: Callable[[TokenizerSpec], CallFormats] | None = None,
    **options: Unpack[CompileOptions],
) -> Path:
    """Compiles a language model, or finds it compiled.

    Args:
        source: a Hugging Face folder or a GGUF file.
        name: the model as the user named it, for the manifest.
        quant, head: number formats of the body and of embedding and head; None: `quant.policy`.
        precision: `high` computes with f32 activations and keeps f32 keys and values; `fast` reads prompts with one
            scale for each token and weight row.
        kv: number format of keys and values; None: f16, or f32 with high precision.
        context: tokens to prepare for, where that changes the model (LongRoPE).
        mmproj: the file that sees for a GGUF file; None: what lies beside it; "none": none.
        adapters: folders or files of adapters (LoRA) that it is to have room for; none: it has no room for any.
        call_formats: for a page, which cannot tell it by itself: the formats in which the chat templates of a tokenizer
            have tools called, by their names.
        options: as `compile_job`.

    Returns:
        The bundle's folder.

    Raises:
        Unsupported, CorruptFile: the source cannot be compiled.
        CompileError: the compiler is not installed or fails.
        StorageError: the bundle cannot be written.
    """
    if progress := options.get("progress"):
        progress("reading", 0, 0)
    checkpoint = open_checkpoint(source, mmproj=mmproj)
    model = load_family(checkpoint, context=context)
    formats = model_formats(checkpoint, model, quant, head)
    if model.sight is not None:
        formats |= sight_formats(model.sight, quant, precision)
    room = adapter_room(model, adapters, precision, formats)
    tokenizer = checkpoint.tokenizer() if call_formats else None
    calls = call_formats(tokenizer) if call_formats and tokenizer else None
    job = text_job(checkpoint, model, formats, name, precision, kv_format(kv, precision), room, calls)
    return compile_job(job, **options)


def model_formats(checkpoint: Checkpoint, model: LoadedModel, quant: str | None, head: str | None) -> dict[str, Format]:
    """Format of every matrix; a parameter of some K keeps what its rows are."""
    formats = {}
    for parameter, where in model.sources.items():
        dtype = tensor_type(checkpoint, where)
        fmt = choose_format(parameter, parameter_role(parameter), dtype, checkpoint.kind, quant, head)
        formats[parameter] = fmt
    return formats


def sight_formats(sight: LoadedSight, quant: str | None, precision: Precision) -> dict[str, Format]:
    """Format of every matrix of what sees: as that of the decoder, but never of 4 bits, which towers are too small
    for."""
    whole = quant is None or quant.startswith("q4")
    return vision_formats(sight_network(sight), default_quant(precision) if whole else str(quant), precision)


def sight_spec(checkpoint: Checkpoint, sight: LoadedSight) -> SightSpec:
    """What a bundle says of how its model sees."""
    made = sight.sight
    return SightSpec(read_cutting(checkpoint.path, made.tile, sight.processor), made.tile, made.text)


def adapter_room(
    model: LoadedModel, adapters: Sequence[Path], precision: Precision, formats: Mapping[str, Format]
) -> AdapterRoom | None:
    """Room for some adapters, and for all that change the same parameters, in numbers as exact as the weights.

    Raises: as `open_adapter` and `AdapterPlaces.find`.
    """
    if not adapters:
        return None
    places = adapter_places(model)
    changed = set[str]().union(*(places.find(open_adapter(path)) for path in adapters))
    dtype: AdapterDtype = "float16" if any(formats[name].is_float for name in changed) else "int8"
    return AdapterRoom(tuple(sorted(targets_of(changed))), "float32" if precision == "high" else dtype)


def text_job(
    checkpoint: Checkpoint,
    model: LoadedModel,
    formats: dict[str, Format],
    name: str,
    precision: Precision,
    kv: str,
    room: AdapterRoom | None = None,
    calls: CallFormats | None = None,
) -> Job:
    """What there is to compile of a language model.

    Args:
        kv: number format of keys and values, a key of `KV_DTYPES`.
        room: for adapters; None: it has none.
        calls: in which formats its chat templates have tools called; None: the bundle does not say.
    """
    config = model.config
    body = [formats[p].name for p in model.sources if parameter_role(p) in ("body", "experts")]
    spec = None if model.sight is None else sight_spec(checkpoint, model.sight)

    def write(folder: Path) -> None:
        tokenizer = checkpoint.tokenizer()
        if tokenizer is not None:
            save_tokenizer(tokenizer, folder, calls)
        save_sampling(published_sampling(checkpoint), folder)
        ranking = published_ranking(checkpoint)
        embedding = ranking_spec(checkpoint, model, ranking) if ranking else published_embedding(checkpoint)
        if model.no_head:
            embedding = replace(embedding or EmbeddingSpec(), no_head=True)
        save_embedding(embedding, folder)
        if spec is not None:
            save_sight(spec, folder)
        if room is not None:
            adapter_places(model, room).save(folder)

    # Layers that do not divide stay on one device, as if they were one.
    together = 1 if config.divides else config.num_layers

    def facts(plan: Plan) -> TextFacts:
        return TextFacts(
            head=formats["embed" if config.tied_embeddings else "head"].name,
            kv=kv,
            layers=config.num_layers // together,
            layer_bytes=plan.layer_bytes("layers.") * together,
            vocab_size=config.vocab_size,
            context_max=config.max_position,
            kv_bytes_per_token=plan.state_bytes("pages") // PAGE_TOKENS,
            state_bytes=plan.state_bytes(SLOTS),
            sees=spec is not None,
            predicts=int(config.predictor is not None),
        )

    return Job(
        name=name,
        kind=TEXT,
        family=config.family,
        network=language_network(model, KV_DTYPES[kv], coarse_prompts=precision == "fast", adapters=room),
        checkpoint=checkpoint,
        formats=formats,
        quant=", ".join(fmt for fmt, _ in Counter(body).most_common()),
        precision=precision,
        identity=(config, kv, spec, *([room] if room else []), *([calls] if calls else [])),
        write=write,
        text=facts,
    )
