"""From a checkpoint to a described model: its family, its `DecoderConfig`, and the source of every parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.quantised import refuse_unreadable
from hearth.checkpoint.ranking import published_ranking
from hearth.checkpoint.sentence_modules import MODULES_FILE
from hearth.checkpoint.types import Checkpoint
from hearth.errors import Unsupported, UsageError
from hearth.model.kinds import TEXT, refuse_other_kinds
from hearth.model.other_kinds import kind_of_architecture, refuse_other_heads
from hearth.model.settings import Settings, shown
from hearth.model.tensors import Places, Rule, found, map_tensors, names_of
from hearth.model.text.config import DecoderConfig, PredictorConfig
from hearth.model.text.families import FAMILIES, Family
from hearth.model.text.families.base import MAX_LAYERS, num_layers
from hearth.model.text.metadata import gguf_settings
from hearth.model.text.missing import missing
from hearth.model.text.mixers.delta_net import DeltaNet
from hearth.model.text.names import ALWAYS_IGNORED, HF_MODEL, READ_WITH_CONFIG, ROTATED, uninterleave
from hearth.model.text.parameters import is_predictors, parameter_shapes
from hearth.model.weights import Source, times

if TYPE_CHECKING:
    from hearth.model.vlm.model import LoadedSight


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint as Hearth understands it.

    Attributes:
        config: shape and arithmetic.
        sources: for every parameter of `parameter_shapes(config)`, the rows of the tensor that it is.
        unused: tensors of the checkpoint that a rule leaves out, by name: a vision tower, a head that is a copy of the
            embedding, frequencies that follow from the configuration.
        no_head: the file has no head and needs none: the model makes vectors, and what comes out as logits means
            nothing.
        sight: what sees, of a model that does.
        family: that it was read by.
    """

    config: DecoderConfig
    sources: Mapping[str, Source]
    unused: tuple[str, ...]
    no_head: bool = False
    sight: LoadedSight | None = None
    family: Family | None = None


def load_decoder(checkpoint: Checkpoint, *, context: int | None = None) -> LoadedModel:
    """Says what decoder a checkpoint holds.

    Args:
        checkpoint: an opened model; only its header is read, and small tables of rope factors.
        context: the context length to prepare for, in tokens. It matters for models with LongRoPE, which have one set
            of frequencies for texts within their original context and one for longer ones; None: within.

    Raises:
        Unsupported: an architecture, a setting or a tensor that Hearth does not know, by name.
        CorruptFile: a setting out of range, a tensor missing or of the wrong shape.
        UsageError: `context` is not positive.
    """
    if context is not None and context < 1:
        raise UsageError(f"A context of {context} tokens is not possible.")
    refuse_other_kinds(checkpoint.path.name, TEXT, checkpoint.architecture, checkpoint.kind, checkpoint.config)
    family = family_of(checkpoint.architecture, checkpoint.kind)
    ranking = published_ranking(checkpoint)
    ranks_by = frozenset({ranking.tensor} if ranking and ranking.tensor else ())
    refuse_other_heads(
        checkpoint.path.name, checkpoint.config, [name for name in checkpoint.tensors if name not in ranks_by]
    )
    if checkpoint.kind == "gguf":
        read_elsewhere = {"classifier.output_labels"} if ranks_by else ()
        settings = gguf_settings(checkpoint, defaults=family.assumed("gguf"), context=context, harmless=read_elsewhere)
        config = replace(
            family.read(settings),
            qkv_bias=settings.flag("qkv_bias"),
            output_bias=settings.flag("output_bias"),
            mlp_bias=settings.flag("mlp_bias"),
            norm_bias=settings.flag("norm_bias"),
            head_bias=settings.flag("head_bias"),
        )
        config = _with_predictor(config, family, checkpoint, {name: name for name in checkpoint.tensors})
        said = family.from_metadata(settings)
        shapes = {name: shape for name, shape in parameter_shapes(config).items() if name not in said}
        # Of the layers that are counted, those behind the model's own predict further tokens.
        beyond = (f"blk.{layer}.*" for layer in range(config.num_layers, num_layers(settings)))
        places = Places(ignored=(*ALWAYS_IGNORED, *family.ignored, *beyond), elsewhere=READ_WITH_CONFIG | ranks_by)
        order = stored_order(family, "gguf", config)
        rules = family.gguf_tensors
        sources, unused = map_tensors(checkpoint, config.family, shapes, rules, places, order, counts_of(config))
        return LoadedModel(config, {**sources, **said}, unused, family=family)

    refuse_unreadable(str(checkpoint.path), checkpoint.config, checkpoint.tensors)
    config = load_decoder_config(checkpoint.config, checkpoint.architecture, context=context)
    if config.tied_embeddings and not _head_is_embedding(checkpoint):
        config = replace(config, tied_embeddings=False)
    no_head = not config.tied_embeddings and _is_published_without_head(checkpoint)
    if no_head:  # what is computed of the embedding is not used
        config = replace(config, tied_embeddings=True)
    rules, ignored = family.hf_tensors, family.ignored
    if config.tied_embeddings:
        # A file may keep the one matrix under the one name, the other, or both.
        rules = {**rules, "embed": (_only(rules["embed"]), _only(rules["head"]))}
        ignored = (*ignored, "lm_head.weight", "*.lm_head.weight")
    block = f"{HF_MODEL}layers.{config.num_layers}."
    names_of_block = family.predictor.hf_names if family.predictor else ()
    places = Places(
        prefixes=(*family.hf_prefixes, *((own, block + usual) for own, usual in names_of_block)),
        base_prefix=HF_MODEL,
        outside_base=("lm_head.", block),
        ignored=(*ALWAYS_IGNORED, *ignored, *_beyond(config, family, checkpoint.config)),
    )
    config = _with_predictor(config, family, checkpoint, names_of(checkpoint, places))
    order = stored_order(family, "safetensors", config)
    shapes = parameter_shapes(config)
    sources, unused = map_tensors(checkpoint, config.family, shapes, rules, places, order, counts_of(config))
    if family.factors:
        factors = family.factors(json_settings(checkpoint.config, family, context))
        for name in sources:
            if (last := name.rpartition(".")[2]) in factors:
                sources[name] = times(sources[name], factors[last])
    return LoadedModel(config, sources, unused, no_head, family=family)


def load_decoder_config(config: Mapping[str, Any], model_type: str, *, context: int | None = None) -> DecoderConfig:
    """What a config.json says of a model, without its weights: for a look at it before they are here.

    Raises: as `load_decoder`, as far as the configuration goes.
    """
    refuse_other_kinds("The model", TEXT, model_type, "safetensors", config)
    family = family_of(model_type, "safetensors")
    refuse_other_heads("The model", config)
    refuse_unreadable("The model", config)
    return family.read(json_settings(config, family, context))


def family_of(architecture: str, kind: str) -> Family:
    """The family that answers to an architecture in one kind of file. Raises Unsupported where none does."""

    def names(family: Family) -> tuple[str, ...]:
        return family.architectures if kind == "gguf" else family.model_types

    for family in FAMILIES:
        if architecture in names(family):
            return family
    key = "general.architecture" if kind == "gguf" else "config.json: model_type"
    said = f"The architecture {shown(architecture)} ({key}) is not supported."
    if lacking := missing(architecture):
        block, nearest = lacking
        raise Unsupported(
            said,
            why=f"It needs {block}, which Hearth does not compute yet.",
            hint=f"The family that comes nearest is {nearest}; docs/families.md says how one is added.",
        )
    known = sorted(name for family in FAMILIES for name in names(family))
    what = kind_of_architecture(architecture)
    raise Unsupported(
        said,
        why=f"It is {what}, which Hearth does not run yet." if what else "",
        hint=f"Known: {', '.join(known)}.",
    )


def _with_predictor(
    config: DecoderConfig, family: Family, checkpoint: Checkpoint, names: Mapping[str, str]
) -> DecoderConfig:
    """The configuration with the block that predicts further tokens, if the family knows it and the file has it: what a
    configuration says of it does not count, for many files are published without. Of several it is the first.

    Args:
        names: of the file's tensors, by what rules call them.
    """
    rules = family.gguf_tensors if checkpoint.kind == "gguf" else family.hf_tensors

    def tensor(parameter: str) -> str | None:
        return found(f"layers.{config.num_layers}.{parameter}", rules, names)

    layer = next((layer for layer in reversed(config.layers) if layer.attends), None)
    if family.predictor is None or layer is None:
        return config

    def own(parameter: str, model: str) -> bool:
        """Whether it has a matrix that is no copy of the model's."""
        of_block, of_model = tensor(parameter), found(model, rules, names)
        return of_block is not None and (of_model is None or not _are_equal(checkpoint, of_block, of_model))

    head = "embed" if config.tied_embeddings else "head"
    predictor = PredictorConfig(layer, family.predictor.chains, own("embed", "embed"), own("head", head))
    with_predictor = replace(config, predictor=predictor)
    wanted = (name for name in parameter_shapes(with_predictor) if is_predictors(name, config))
    return with_predictor if all(found(name, rules, names) for name in wanted) else config


def _beyond(config: DecoderConfig, family: Family, published: Mapping[str, Any]) -> tuple[str, ...]:
    """Tensors of safetensors that belong to layers behind the last one, which predict further tokens."""
    if family.predictor is None:
        return ()
    said = published.get("num_nextn_predict_layers")
    count = min(said, MAX_LAYERS) if isinstance(said, int) and said > 0 else 1
    return tuple(f"{HF_MODEL}layers.{config.num_layers + index}.*" for index in range(count))


def json_settings(config: Mapping[str, Any], family: Family, context: int | None) -> Settings:
    where, values = "config.json", dict(config)
    inner = Settings(config, where=where).table(family.text_config) if family.text_config else {}
    if inner:
        # Whether the head is the embedding is said outside, how the text model computes inside.
        where, values = f"config.json, {family.text_config}", dict(inner)
        if "tie_word_embeddings" in config:
            values["tie_word_embeddings"] = config["tie_word_embeddings"]
    renamed = {family.keys.get(key, key): value for key, value in values.items()}
    spelled = {usual: own for own, usual in family.keys.items() if own in values}
    defaults = family.assumed("safetensors")
    return Settings(renamed, where=where, defaults=defaults, context=context, spelled=spelled)


def stored_order(family: Family, kind: str, config: DecoderConfig) -> Callable[[str], NDArray[np.int64] | None]:
    """The order of a parameter's rows in a file that may have the q and k heads interleaved."""
    shapes = parameter_shapes(config)
    rotary_dims = {rope.rotary_dim for rope in config.ropes}

    def order(parameter: str) -> NDArray[np.int64] | None:
        name = parameter.rpartition(".")[2]
        if kind not in family.interleaved or not rotary_dims or name not in ROTATED:
            return None  # without rotation any order of q is right in which k is, too
        (rotary_dim,) = rotary_dims
        if latent := config.latent:
            turned = uninterleave(shapes[parameter][0] - (latent.rank if name == "kv_a" else 0), rotary_dim, rotary_dim)
            return np.concatenate([np.arange(latent.rank), latent.rank + turned]) if name == "kv_a" else turned
        # Norms that have weights for each head have the heads' dimensions in columns.
        matrix = parameter.endswith("_norm") and len(shapes[parameter]) == 2
        return uninterleave(config.head_dim if matrix else shapes[parameter][0], config.head_dim, rotary_dim)

    return order


def counts_of(config: DecoderConfig) -> dict[str, int]:
    """Numbers by which rules divide the rows of tensors."""
    counts = {"heads": config.num_heads, "kv_heads": config.num_kv_heads}
    mixers = (layer.mixer for layer in config.layers if isinstance(layer.mixer, DeltaNet))
    if mixer := next(mixers, None):
        counts |= {"key_heads": mixer.key_heads, "key_columns": mixer.key_heads * mixer.key_size}
    return counts


def _only(rule: Rule) -> str:
    """The name in a rule that is one name."""
    assert isinstance(rule, str)
    return rule


def _is_published_without_head(checkpoint: Checkpoint) -> bool:
    """Whether the authors left out the head on purpose: they saved the base model (`LlamaModel`), or an embedding
    model."""
    if any(name.endswith("lm_head.weight") for name in checkpoint.tensors):
        return False
    classes = checkpoint.config.get("architectures")
    is_base = isinstance(classes, list) and len(classes) == 1 and str(classes[0]).endswith("Model")
    return is_base or (checkpoint.path / MODULES_FILE).is_file()


def _head_is_embedding(checkpoint: Checkpoint) -> bool:
    """For a model that says its head is tied: false where the file nevertheless has a head of other values.

    Transformers then uses that head, so Hearth does too.
    """
    head = next((n for n in checkpoint.tensors if n.endswith("lm_head.weight")), None)
    embed = next((n for n in checkpoint.tensors if n.endswith("embed_tokens.weight")), None)
    if head is None or embed is None:
        return True
    return _are_equal(checkpoint, head, embed)


def _are_equal(checkpoint: Checkpoint, one: str, other: str) -> bool:
    """Whether two tensors are the same numbers."""
    a, b = checkpoint.tensors[one], checkpoint.tensors[other]
    if a.dtype != b.dtype or a.shape != b.shape or a.reader is not None or b.reader is not None:
        return False  # the bytes of what is quantised are not all of it
    return bool(np.array_equal(checkpoint.raw(one), checkpoint.raw(other)))
