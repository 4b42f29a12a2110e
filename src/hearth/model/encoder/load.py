"""From a checkpoint to a described encoder: its family, its `EncoderConfig`, and the source of every parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hearth.checkpoint.embedding import Dense, EmbeddingSpec, Pooling
from hearth.checkpoint.quantised import refuse_unreadable
from hearth.checkpoint.sentence_modules import published_embedding
from hearth.checkpoint.task import Task, published_task
from hearth.checkpoint.types import Checkpoint
from hearth.errors import Unsupported
from hearth.model.encoder.config import EncoderConfig, Head, Linear, Step
from hearth.model.encoder.families import FAMILIES, Family
from hearth.model.encoder.names import BERT_IGNORED
from hearth.model.encoder.parameters import parameter_shapes, rope_parameter
from hearth.model.kinds import ENCODER, refuse_other_kinds
from hearth.model.settings import Settings
from hearth.model.tensors import Fused, Places, map_tensors
from hearth.model.text.metadata import gguf_settings
from hearth.model.weights import ComputedWeight, Source, constant, plus

_GGUF_SAME = {"attention.layer_norm_epsilon": "layer_norm_eps", "attention.causal": "causal"}
# Read as the task's, or as the head's from its tensors.
_GGUF_ELSEWHERE = ("classifier.output_labels", "dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in",
                   "dense_3_feat_out", "pooling_type")  # fmt: skip


@dataclass(frozen=True)
class LoadedEncoder:
    """A checkpoint as Hearth understands it.

    Attributes:
        config: shape and arithmetic.
        sources: where every parameter of `parameter_shapes(config)` is.
        task: what the model is for, and how texts are put to it.
        unused: tensors of the checkpoint that are left out, by name.
    """

    config: EncoderConfig
    sources: Mapping[str, Source]
    task: Task
    unused: tuple[str, ...]


def encoder_family(checkpoint: Checkpoint) -> Family | None:
    """The family of encoders that a checkpoint belongs to; None: it is something else."""
    found = (f for f in FAMILIES if f.answers_to(checkpoint.architecture, checkpoint.kind, checkpoint.config))
    return next(found, None)


def load_encoder(checkpoint: Checkpoint, *, pooling: Pooling | None = None) -> LoadedEncoder:
    """Says what encoder a checkpoint holds; only its header is read, and the modules beside it.

    Args:
        pooling: how one vector is made of a text, where the model does not say.

    Raises:
        Unsupported: an architecture, a setting, a head or a tensor that Hearth does not know, by name.
        CorruptFile: a setting out of range, a tensor missing or of the wrong shape.
    """
    family = encoder_family(checkpoint)
    if family is None:
        refuse_other_kinds("The model", ENCODER, checkpoint.architecture, checkpoint.kind, checkpoint.config)
        raise Unsupported(
            f"The architecture {checkpoint.architecture!r} is no encoder that Hearth knows.",
            hint=f"Known: {', '.join(sorted(name for f in FAMILIES for name in f.model_types))}.",
        )
    if checkpoint.kind == "safetensors":
        refuse_unreadable(str(checkpoint.path), checkpoint.config, checkpoint.tensors)
        settings = _json_settings(checkpoint.config, family)
    else:
        settings = _gguf_settings(checkpoint, family)
    family.refuse_unknown(settings)
    config = family.configure(settings)
    if checkpoint.kind == "gguf":
        config = _as_in_file(config, checkpoint)
    spec = published_embedding(checkpoint)
    if spec is None and pooling is not None:
        spec = EmbeddingSpec((pooling,))
    task = published_task(checkpoint, spec)
    task = replace(task, max_tokens=min(task.max_tokens or config.max_position, config.max_position))
    head, dense = _head(checkpoint, family, settings, config, task, spec)
    config = replace(config, head=head)
    sources, unused = _sources(checkpoint, family, settings, config, dense)
    return LoadedEncoder(config, sources, task, unused)


def load_encoder_config(config: Mapping[str, Any], model_type: str) -> EncoderConfig | None:
    """What a config.json says of an encoder, without its head and its weights: for a look at it before they are here.
    None: it is something else.

    Raises: as `load_encoder`, as far as the configuration goes.
    """
    family = next((f for f in FAMILIES if f.answers_to(model_type, "safetensors", config)), None)
    if family is None:
        return None
    refuse_unreadable("The model", config)
    settings = _json_settings(config, family)
    family.refuse_unknown(settings)
    return family.configure(settings)


def _json_settings(config: Mapping[str, Any], family: Family) -> Settings:
    settings = Settings(config, where="config.json", defaults=family.assumed("safetensors"))
    return _renamed(settings, family.aliases)


def _gguf_settings(checkpoint: Checkpoint, family: Family) -> Settings:
    settings = gguf_settings(
        checkpoint, defaults=family.assumed("gguf"), context=None, same=_GGUF_SAME, harmless=_GGUF_ELSEWHERE
    )
    types = checkpoint.tensors.get("token_types.weight")
    return _renamed(settings, family.gguf_aliases, type_vocab_size=types.shape[0] if types is not None else 0)


def _renamed(settings: Settings, aliases: Mapping[str, str], **more: Any) -> Settings:
    """The configuration with the names that a family reads."""
    values, spelled = {**settings.values, **more}, dict(settings.spelled)
    for key, meaning in aliases.items():
        if values.get(key) is not None and meaning not in values:
            values[meaning] = values[key]
            spelled[meaning] = spelled.get(key, key)
    return Settings(values, where=settings.where, kind=settings.kind, defaults=settings.defaults, spelled=spelled)


def _as_in_file(config: EncoderConfig, checkpoint: Checkpoint) -> EncoderConfig:
    """What config.json says in words and a GGUF file by having a tensor or not."""

    def has(*names: str) -> bool:
        return any(name in checkpoint.tensors for name in names)

    return replace(
        config,
        qkv_bias=has("blk.0.attn_q.bias", "blk.0.attn_qkv.bias"),
        output_bias=has("blk.0.attn_output.bias"),
        up_bias=has("blk.0.ffn_up.bias"),
        down_bias=has("blk.0.ffn_down.bias"),
        qk_norm=config.qk_norm if has("blk.0.attn_q_norm.weight") else None,
    )


def _head(
    checkpoint: Checkpoint,
    family: Family,
    settings: Settings,
    config: EncoderConfig,
    task: Task,
    spec: EmbeddingSpec | None,
) -> tuple[Head | None, dict[str, Source]]:
    """What is made of the hidden states, and the parameters of it that stand outside of the model's own files."""
    if task.kind == "classify" and checkpoint.kind == "gguf":
        return _gguf_classifier(checkpoint, family, config, len(task.labels)), {}
    if task.kind == "classify":
        return family.sequence_head(settings, config.hidden_size, len(task.labels)), {}
    if task.kind == "tag":
        return family.token_head(settings, config.hidden_size, len(task.labels)), {}
    if spec is None or spec.refused:
        return None, {}
    steps: list[Step] = []
    sources: dict[str, Source] = {}
    for number, step in enumerate(spec.steps):
        if not isinstance(step, Dense):
            steps.append(step)
            continue
        name = f"module_{number}"
        steps.append(Linear(name, len(step.weight), step.bias is not None, step.activation))
        sources[f"head.{name}"] = constant(step.weight)
        if step.bias is not None:
            sources[f"head.{name}_bias"] = constant(step.bias)
    if checkpoint.kind == "gguf":
        # EmbeddingGemma's layers come after pooling and before the length is made 1.
        layers = [(n, checkpoint.tensors.get(f"{n}.weight")) for n in ("dense_2", "dense_3")]
        steps = [Linear(name, info.shape[0], bias=False) for name, info in layers if info is not None] + steps
    return Head("embedding", spec.pooling, after=tuple(steps), skips=not spec.include_prompt), sources


def _gguf_classifier(checkpoint: Checkpoint, family: Family, config: EncoderConfig, labels: int) -> Head:
    """As llama.cpp ranks: the first token, through the layers that the file has."""
    tensors, steps = checkpoint.tensors, list[Step]()
    if "cls.weight" in tensors:
        # The file does not say by what; each family's heads have always had the one.
        steps.append(
            Linear(
                "dense",
                config.hidden_size,
                "cls.bias" in tensors,
                activation="gelu" if family.name == "modernbert" else "tanh",
            )
        )
    if "cls.norm.weight" in tensors:
        raise Unsupported(f"{checkpoint.path.name} has a norm in its head, which GGUF files of Hearth's test lack.")
    if "cls.output.weight" not in tensors:
        raise Unsupported(f"{checkpoint.path.name} ranks documents, but has no layer that gives a score.")
    return Head("logits", ("cls",), after=(*steps, Linear("classifier", labels, "cls.output.bias" in tensors)))


def _sources(
    checkpoint: Checkpoint, family: Family, settings: Settings, config: EncoderConfig, given: Mapping[str, Source]
) -> tuple[dict[str, Source], tuple[str, ...]]:
    """The source of every parameter, and the tensors that none of them needs."""
    is_gguf = checkpoint.kind == "gguf"
    rules = family.gguf_tensors if is_gguf else family.hf_tensors
    if is_gguf and "blk.0.ffn_gate.weight" in checkpoint.tensors:
        rules = {**rules, **family.gguf_split}
    rules = {**rules, "token_type": rules.get("token_type_embed", "")}
    prefixes = () if is_gguf else family.hf_prefixes
    sources: dict[str, Source] = dict(given)
    for index, rope in enumerate(config.ropes):
        sources[rope_parameter(index)] = constant(rope.inv_freq)
    for name, source in family.computed(config).items():
        sources[name] = replace(source, tensors=tuple(_in_file(checkpoint, t, prefixes) for t in source.tensors))
    shapes = {name: shape for name, shape in parameter_shapes(config).items() if name not in sources}
    offset = 0 if is_gguf else family.position_offset(settings)
    if offset:
        table = rules["position_embed"]
        assert isinstance(table, str), "positions are a table of their own"
        rules = {**rules, "position_embed": Fused(table, ("position_embed",), skip=offset)}
    computed = [source for source in sources.values() if isinstance(source, ComputedWeight)]
    beginnings = ("", *(prefix for prefix, meaning in prefixes if not meaning))
    places = Places(
        prefixes=prefixes,
        ignored=tuple(beginning + p for beginning in beginnings for p in (*BERT_IGNORED, *family.ignored)),
        elsewhere=frozenset(tensor for source in computed for tensor in source.tensors),
    )
    found, unused = map_tensors(checkpoint, config.family, shapes, rules, places)
    # Gemma publishes its norms without the 1 that is added to them when they are used.
    sources |= {n: plus(source, config.norm_offset) if n.endswith("norm") else source for n, source in found.items()}
    return sources, unused


def _in_file(checkpoint: Checkpoint, tensor: str, prefixes: tuple[tuple[str, str], ...]) -> str:
    """How the file spells a name of the rules."""
    spellings = [tensor, *(prefix + tensor for prefix, meaning in prefixes if not meaning)]
    return next((name for name in spellings if name in checkpoint.tensors), tensor)
