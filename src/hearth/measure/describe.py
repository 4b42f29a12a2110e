"""What a model is and how much memory it will need, read from its headers: nothing is compiled or loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from hearth.bundle import open_bundle
from hearth.checkpoint import open_checkpoint
from hearth.errors import UsageError
from hearth.hub import Source
from hearth.model import load_family
from hearth.sizes import size_of


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
    size = context_of(source.name, context, config.max_position)
    used = [checkpoint.tensors[name] for name in {s.tensor for s in loaded.sources.values()}]
    counts = Counter({t.dtype: 0 for t in used})
    for tensor in used:
        counts[tensor.dtype] += prod(tensor.shape)
    parameters = sum(counts.values())
    dtypes = {name: checkpoint.tensors[source.tensor].dtype for name, source in loaded.sources.items()}
    needed = size_of(config, dtypes.__getitem__, checkpoint.kind, quant=quant, head=head)
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
        formats=needed.formats,
        source_bytes=source.size_bytes,
        context_max=config.max_position,
        context=size,
        weights_bytes=needed.weights_bytes,
        kv_bytes=size * needed.kv_bytes_per_token,
        chat_template=None if tokenizer is None else bool(tokenizer.chat_template or tokenizer.named_templates),
    )


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
    made, facts, text = bundle.manifest, bundle.manifest.facts, bundle.manifest.language
    size = context_of(source.name, context, text.context_max)
    return Description(
        name=source.name,
        path=source.path,
        kind="bundle",
        family=made.family,
        parameters=facts.parameters,
        layers=text.layers,
        vocab_size=text.vocab_size,
        source_formats={},
        formats=f"{made.quant}; embedding and head {text.head}; keys and values {text.kv};"
        f" for {made.target} ({made.isas})",
        source_bytes=bundle.size_bytes,
        context_max=text.context_max,
        context=size,
        weights_bytes=facts.weights_bytes,
        kv_bytes=size * text.kv_bytes_per_token,
        chat_template=None if bundle.tokenizer is None else True,
    )
