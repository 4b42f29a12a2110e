"""What a model is and how much memory it will need, read from its headers: nothing is compiled or loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from hearth.bundle import open_bundle
from hearth.checkpoint import Checkpoint, open_checkpoint
from hearth.hub import Source
from hearth.model.config import DecoderConfig
from hearth.model.load import load_family
from hearth.model.weights import WeightSource, parameter_shapes
from hearth.quant import choose_format, packed_size

KV_BYTES = 2  # keys and values are kept in f16


@dataclass(frozen=True)
class Description:
    """A model, described.

    Attributes:
        kind: `folder`, `gguf`, `starter` or `bundle`.
        parameters: numbers in the source's tensors.
        source_formats: element type -> share of the parameters, largest first.
        formats: the number formats that compiling with these settings gives: body, embedding and head.
        context_max: tokens that its authors made it for.
        context: tokens that the memory below is for.
        weights_bytes, kv_bytes: memory of the packed weights; of keys and values of `context` tokens.
        chat_template: whether it has one of its own; None where it has no tokenizer.
    """

    name: str
    path: Path
    kind: str
    family: str
    parameters: int
    layers: int
    vocab_size: int
    source_formats: Mapping[str, float]
    formats: str
    source_bytes: int
    context_max: int
    context: int
    weights_bytes: int
    kv_bytes: int
    chat_template: bool | None

    @property
    def memory_bytes(self) -> int:
        """Weights, keys and values; the workspace adds some ten MB."""
        return self.weights_bytes + self.kv_bytes


def describe(
    source: Source, *, context: int | None = None, quant: str | None = None, head: str | None = None
) -> Description:
    """Describes a model.

    Args:
        context: tokens that memory is computed for; None: all that it was made for, up to 8192.
        quant, head: number formats to compute with; ignored for a bundle, which has its own.

    Raises:
        CorruptFile, Unsupported, UsageError: as opening and compiling it would.
    """
    if source.kind == "bundle":
        return _bundle(source, context)
    checkpoint = open_checkpoint(source.path)
    loaded = load_family(checkpoint, context=context)
    config = loaded.config
    size = context or min(config.max_position, 8192)
    used = [checkpoint.tensors[name] for name in {s.tensor for s in loaded.sources.values()}]
    counts = Counter({t.dtype: 0 for t in used})
    for tensor in used:
        counts[tensor.dtype] += prod(tensor.shape)
    parameters = sum(counts.values())
    weights_bytes, formats = _packed(checkpoint, loaded.sources, config, quant, head)
    tokenizer = checkpoint.tokenizer()
    return Description(
        name=source.name,
        path=source.path,
        kind=source.kind,
        family=config.family,
        parameters=parameters,
        layers=len(config.layers),
        vocab_size=config.vocab_size,
        source_formats={dtype: count / parameters for dtype, count in counts.most_common()},
        formats=formats,
        source_bytes=source.size_bytes,
        context_max=config.max_position,
        context=size,
        weights_bytes=weights_bytes,
        kv_bytes=size * kv_bytes_per_token(config),
        chat_template=None if tokenizer is None else bool(tokenizer.chat_template or tokenizer.named_templates),
    )


def kv_bytes_per_token(config: DecoderConfig) -> int:
    """Memory for keys and values of one token, all layers together."""
    return 2 * KV_BYTES * config.num_kv_heads * config.head_dim * len(config.layers)


def _packed(
    checkpoint: Checkpoint,
    sources: Mapping[str, WeightSource],
    config: DecoderConfig,
    quant: str | None,
    head: str | None,
) -> tuple[int, str]:
    """Bytes of all packed weights, and the formats of the body and of embedding and head."""
    total = 0
    body: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for name, shape in parameter_shapes(config).items():
        tensor = checkpoint.tensors[sources[name].tensor]
        fmt = choose_format(name, tensor.dtype, checkpoint.kind, quant, head)
        if len(shape) < 2:
            total += 4 * prod(shape)
            continue
        total += packed_size(fmt, shape[0], shape[1])
        (ends if name in ("embed", "head") else body)[fmt.name] += prod(shape)
    names = ", ".join(name for name, _ in body.most_common())
    return total, f"{names}; embedding and head {', '.join(name for name, _ in ends.most_common())}"


def _bundle(source: Source, context: int | None) -> Description:
    bundle = open_bundle(source.path, for_this_machine=False)
    made, facts = bundle.manifest, bundle.manifest.facts
    size = context or min(made.context, 8192)
    return Description(
        name=source.name,
        path=source.path,
        kind="bundle",
        family=made.family,
        parameters=facts.parameters,
        layers=facts.layers,
        vocab_size=facts.vocab_size,
        source_formats={},
        formats=f"{made.quant}; embedding and head {made.head}; keys and values {made.kv};"
        f" for {made.target} ({made.isas})",
        source_bytes=bundle.size_bytes,
        context_max=facts.context_max,
        context=size,
        weights_bytes=facts.weights_bytes,
        kv_bytes=size * facts.kv_bytes_per_token,
        chat_template=None if bundle.tokenizer is None else True,
    )
