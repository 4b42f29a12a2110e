"""ViT as transformers has it: a classifier on the class token, or a pooled vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.settings import Settings
from hearth.model.tensors import Places, Rules
from hearth.model.vision.layers import Linear
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import (
    MAX_HEADS,
    MAX_LAYERS,
    activation,
    divided,
    labels_of,
    num_labels,
    pair,
    picture_size,
)
from hearth.model.vision.vit import Vit, VitConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph


def vit_config(source: Source, **differences: Any) -> VitConfig:
    """The trunk as ViT's reading of a configuration gives it."""
    s = source.settings
    patch = pair(s, "patch_size")
    trained = pair(s, "image_size")
    hidden, heads = s.count("hidden_size"), s.count("num_attention_heads", most=MAX_HEADS)
    divided(s, hidden, heads, "num_attention_heads")
    fields: dict[str, Any] = {
        "size": picture_size(source, patch),
        "patch": patch,
        "hidden": hidden,
        "heads": heads,
        "layers": s.count("num_hidden_layers", most=MAX_LAYERS),
        "trained": (trained[0] // patch[0], trained[1] // patch[1]),
        "eps": s.number("layer_norm_eps", high=1.0),
        "biases": "qkvo" if s.flag("qkv_bias") else "o",
    }
    fields |= differences
    if "inner" not in fields:
        fields["inner"] = s.count("intermediate_size")
    if "activation" not in fields:
        fields["activation"] = activation(s)
    return VitConfig(**fields)


def describe(source: Source) -> Described:
    config = vit_config(source)
    if not source.has("head.weight"):
        return embedder(config, pooled=source.has("pooler.weight"))
    return classifier(source.settings, config)


def classifier(settings: Settings, config: VitConfig) -> Described:
    """One linear layer on the class token."""
    labels = num_labels(settings)

    def make(scope: Scope) -> Write:
        vit, head = Vit(scope, config), Linear(scope / "head", config.hidden, labels, role="head")
        return lambda g, pixels: [head(g, g.row(vit(g, pixels), 0))]

    part = image_part(config.size, ("logits",), make)
    return Described("classify", config.size, (part,), labels=labels_of(settings, labels))


def embedder(config: VitConfig, *, pooled: bool) -> Described:
    """The class token, as it is or through a layer with tanh; and all tokens."""

    def make(scope: Scope) -> Write:
        vit = Vit(scope, config)
        pooler = Linear(scope / "pooler", config.hidden, config.hidden) if pooled else None

        def write(g: Graph, pixels: Any) -> list[Any]:
            tokens = vit(g, pixels)
            first = g.row(tokens, 0)
            return [first if pooler is None else g.activation(pooler(g, first), "tanh"), tokens]

        return write

    return Described("embed", config.size, (image_part(config.size, ("embedding", "hidden"), make),))


def projector(source: Source, config: VitConfig) -> Described:
    """The class token projected; and all tokens."""
    size, has_head = num_labels(source.settings), source.has("head.weight")

    def make(scope: Scope) -> Write:
        vit, head = Vit(scope, config), Linear(scope / "head", config.hidden, size, role="head") if has_head else None

        def write(g: Graph, pixels: Any) -> list[Any]:
            tokens = vit(g, pixels)
            first = g.row(tokens, 0)
            return [first if head is None else head(g, first), tokens]

        return write

    return Described("embed", config.size, (image_part(config.size, ("embedding", "hidden"), make),))


def bert_like(prefix: str) -> Rules:
    """Names that came to vision from BERT; transformers has kept them in files."""
    layer = prefix + "encoder.layer.{N}."
    return {
        "patches": prefix + "embeddings.patch_embeddings.projection",
        "cls_token": prefix + "embeddings.cls_token",
        "positions": prefix + "embeddings.position_embeddings",
        "layers.N.norm1": layer + "layernorm_before",
        "layers.N.q": layer + "attention.attention.query",
        "layers.N.k": layer + "attention.attention.key",
        "layers.N.v": layer + "attention.attention.value",
        "layers.N.o": layer + "attention.output.dense",
        "layers.N.norm2": layer + "layernorm_after",
        "layers.N.up": layer + "intermediate.dense",
        "layers.N.down": layer + "output.dense",
        "norm": prefix + "layernorm",
        "pooler": prefix + "pooler.dense",
        "head": "classifier",
    }


FAMILY = Family(
    name="vit",
    model_types=("vit",),
    describe=describe,
    namings=(
        Naming(
            bert_like("vit."),
            marker="vit.embeddings.position_embeddings",
            places=Places(
                base_prefix="vit.",
                outside_base=("classifier.",),
                # The pooler of a model whose classifier does not read it; what filled masked patches in training.
                ignored=("*pooler.dense.*", "*mask_token"),
            ),
        ),
    ),
    defaults={
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "image_size": 224,
        "patch_size": 16,
        "qkv_bias": True,
        "pooler_act": "tanh",
    },
    fixed={"pooler_act": ("tanh",)},
)
