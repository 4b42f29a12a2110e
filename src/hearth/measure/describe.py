"""What a model is and how much memory it will need, read from its headers: nothing is compiled or loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import prod
from typing import Any

from hearth.bundle import Bundle, open_bundle
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.task import Task, load_task
from hearth.checkpoint.types import Checkpoint
from hearth.errors import HearthError, UsageError
from hearth.hub import Source
from hearth.image import read_preprocess
from hearth.image.spec import load_spec
from hearth.measure.description import Description, EncoderDescription, TextDescription, VisionDescription
from hearth.model import load_family
from hearth.model.encoder.config import EncoderConfig, Linear
from hearth.model.encoder.load import load_encoder
from hearth.model.encoder.onnx_weights import open_encoder
from hearth.model.kinds import ENCODER, TEXT, VISION
from hearth.model.text.parameters import active_parameters
from hearth.model.vision import load_vision
from hearth.model.weights import tensor_type, tensors_of
from hearth.prepare import ANY_KIND, preparer_of
from hearth.sizes import encoder_size, kept_state_bytes, network_size, size_of


def describe(
    source: Source, *, context: int | None = None, quant: str | None = None, head: str | None = None
) -> Description:
    """Describes a model.

    Args:
        context: tokens that the memory of a language model is computed for; None: all that it was made for, up to 8192.
        quant, head: number formats to compute with; ignored for a bundle, which has its own.

    Raises:
        CorruptFile, Unsupported, UsageError: as opening and compiling it would. UsageError: something was said that
            does not concern this kind of model.
    """
    if source.kind == "bundle":
        return _bundle(source, context)
    preparer = preparer_of(source, ANY_KIND)
    wanted = {"context": context, "quant": quant, "head": head}
    preparer.refuse_foreign(source.name, wanted)
    own = {name: value for name, value in wanted.items() if name in preparer.options}
    described: Description = _DESCRIBE[preparer.kind](source, **own)
    return described


def _text(source: Source, *, context: int | None, quant: str | None, head: str | None) -> Description:
    checkpoint = open_checkpoint(source.path)
    loaded = load_family(checkpoint, context=context)
    config = loaded.config
    size = context_of(source.name, context, config.max_position)
    dtypes = {name: tensor_type(checkpoint, source) for name, source in loaded.sources.items()}
    needed = size_of(config, dtypes.__getitem__, checkpoint.kind, quant=quant, head=head)
    tokenizer = checkpoint.tokenizer()
    used = {tensor for made in loaded.sources.values() for tensor in tensors_of(made)}
    return TextDescription(
        **_of_source(source, TEXT, checkpoint, used),
        family=config.family,
        layers=len(config.layers),
        vocab_size=config.vocab_size,
        formats=needed.formats,
        context_max=config.max_position,
        context=size,
        weights_bytes=needed.weights_bytes,
        kv_bytes=size * needed.kv_bytes_per_token,
        state_bytes=needed.state_bytes,
        chat_template=None if tokenizer is None else bool(tokenizer.chat_template or tokenizer.named_templates),
        sees=loaded.sight is not None,
        predicts=int(config.predictor is not None),
        active_parameters=active_parameters(config),
    )


def _encoder(source: Source, *, quant: str | None, head: str | None) -> Description:
    checkpoint = open_encoder(source.path)
    loaded = load_encoder(checkpoint)
    task, config = loaded.task, loaded.config
    needed = encoder_size(
        config, lambda name: tensor_type(checkpoint, loaded.sources[name]), checkpoint.kind, quant=quant, head=head
    )
    return EncoderDescription(
        **_of_source(source, ENCODER, checkpoint, checkpoint.tensors.keys() - set(loaded.unused)),
        family=config.family,
        formats=needed.formats,
        weights_bytes=needed.weights_bytes,
        task=task.kind,
        size=_vector_size(config) if task.kind == "embed" else 0,
        **_of_task(task),
    )


def _vision(source: Source, *, quant: str | None) -> Description:
    from hearth.compiler.vision import DEFAULT_QUANT, vision_formats

    checkpoint = open_checkpoint(source.path)
    problem, preprocess = "", None
    try:
        preprocess = read_preprocess(source.path, checkpoint.config)
    except HearthError as error:
        problem = " ".join(part for part in (error.what, error.why) if part)
    loaded = load_vision(checkpoint, size=None if preprocess is None else preprocess.size)
    needed = network_size(loaded.network.shapes, vision_formats(loaded.network, quant or DEFAULT_QUANT, "default"))
    return VisionDescription(
        **_of_source(source, VISION, checkpoint, checkpoint.tensors.keys() - set(loaded.unused)),
        family=loaded.family,
        formats=needed.formats,
        weights_bytes=needed.weights_bytes,
        task=loaded.task,
        labels=loaded.labels,
        size=loaded.size,
        any_size=preprocess is not None and preprocess.size is None,
        problem=problem,
    )


_DESCRIBE: dict[str, Any] = {TEXT: _text, ENCODER: _encoder, VISION: _vision}


def _of_source(source: Source, made_for: str, checkpoint: Checkpoint, used: Iterable[str]) -> dict[str, Any]:
    """What is told of any model: of its tensors, those that are used."""
    counts: Counter[str] = Counter()
    read_as: dict[str, Counter[str]] = {}
    for name in sorted(used):
        info = checkpoint.tensors[name]
        counts[info.published or info.dtype] += prod(info.shape)
        if info.published:
            read_as.setdefault(info.published, Counter())[info.dtype] += prod(info.shape)
    parameters = sum(counts.values())
    return {
        "name": source.name,
        "path": source.path,
        "kind": source.kind,
        "made_for": made_for,
        "parameters": parameters,
        "source_formats": {dtype: count / parameters for dtype, count in counts.most_common()},
        "source_bytes": source.size_bytes,
        "quantised": {how: tuple(dtype for dtype, _ in types.most_common()) for how, types in read_as.items()},
    }


def _vector_size(config: EncoderConfig) -> int:
    """Numbers in a vector."""
    head = config.head
    if head is None:
        return 0
    sizes = [step.size for step in (*head.before, *head.after) if isinstance(step, Linear)]
    pooled = len(head.pooling) * config.hidden_size
    return sizes[-1] if sizes else pooled


def _of_task(task: Task) -> dict[str, Any]:
    return {
        "labels": task.labels,
        "max_tokens": task.max_tokens,
        "dimensions": task.dimensions,
        "prompts": dict(task.prompts),
        "refused": task.refused,
    }


def context_of(name: str, wanted: int | None, most: int) -> int:
    """Tokens to compute a model's memory for. Raises UsageError where it has not so many."""
    if wanted is None:
        return min(most, 8192)
    if not 1 <= wanted <= most:
        raise UsageError(
            f"A context of {wanted} tokens is asked for; {name} takes {most} at most.", hint="Leave --context out."
        )
    return wanted


def _bundle(source: Source, context: int | None) -> Description:
    bundle = open_bundle(source.path, for_this_machine=False)
    made, facts = bundle.manifest, bundle.manifest.facts
    if context is not None and made.text is None:
        raise UsageError(
            f"context is of no use to {source.name}.", why="It is no language model.", hint="Leave it out."
        )
    common: dict[str, Any] = {
        "name": source.name,
        "path": source.path,
        "kind": "bundle",
        "made_for": made.kind,
        "family": made.family,
        "parameters": facts.parameters,
        "source_formats": {},
        "formats": f"{made.quant}; for {made.target} ({made.isas})",
        "source_bytes": bundle.size_bytes,
        "weights_bytes": facts.weights_bytes,
    }
    if made.text is not None:
        return _text_bundle(source, bundle, context, common)
    if made.kind == ENCODER:
        task = load_task(bundle.path)
        return EncoderDescription(**common, task=task.kind, size=0, **_of_task(task))
    if made.kind == VISION:
        spec = load_spec(bundle.path)
        return VisionDescription(
            **common, task=spec.task, labels=spec.labels, size=spec.size, any_size=False, problem=""
        )
    return Description(**common)


def _text_bundle(source: Source, bundle: Bundle, context: int | None, common: dict[str, Any]) -> Description:
    made, text = bundle.manifest, bundle.manifest.language
    size = context_of(source.name, context, text.context_max)
    return TextDescription(
        **common
        | {
            "formats": f"{made.quant}; embedding and head {text.head}; keys and values {text.kv};"
            f" for {made.target} ({made.isas})"
        },
        layers=text.layers,
        vocab_size=text.vocab_size,
        context_max=text.context_max,
        context=size,
        kv_bytes=size * text.kv_bytes_per_token,
        state_bytes=kept_state_bytes(text.state_bytes),
        chat_template=None if bundle.tokenizer is None else True,
        sees=text.sees,
        predicts=text.predicts,
    )
