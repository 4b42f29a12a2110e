"""ResNet as transformers, torchvision and timm have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hearth.model.settings import Settings
from hearth.model.tensors import Places, Rules
from hearth.model.vision.layers import Linear
from hearth.model.vision.model import Described, Family, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import activation, counts, labels_of, num_labels, picture_size
from hearth.model.vision.resnet import ResNet, ResNetConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

LAYER_TYPES = ("basic", "bottleneck")


def resnet_config(s: Settings, *, deep_stem: bool = False) -> ResNetConfig:
    depths = counts(s, "depths", most=200)
    layer_type = s.text("layer_type")
    if layer_type not in LAYER_TYPES:
        raise s.unsupported("layer_type", f"Known: {', '.join(LAYER_TYPES)}.")
    return ResNetConfig(
        stem=s.count("embedding_size"),
        sizes=counts(s, "hidden_sizes", length=len(depths)),
        depths=depths,
        activation=activation(s),
        bottleneck=layer_type == "bottleneck",
        stride_first=s.flag("downsample_in_bottleneck"),
        halve_first=s.flag("downsample_in_first_stage"),
        deep_stem=deep_stem,
    )


def describe(source: Source, *, deep_stem: bool = False) -> Described:
    s, config = source.settings, resnet_config(source.settings, deep_stem=deep_stem)
    size = picture_size(source, (32, 32))
    classifies = source.has("head.weight")
    labels = num_labels(s)

    def make(scope: Scope) -> Write:
        trunk = ResNet(scope, config)
        head = Linear(scope / "head", config.sizes[-1], labels, role="head") if classifies else None

        def write(g: Graph, pixels: Any) -> list[Any]:
            x = trunk(g, pixels)[-1]
            mean = g.mean(x, [1, 2])
            return [mean, g.tokens(x)] if head is None else [head(g, mean)]

        return write

    if not classifies:
        return Described("embed", size, (image_part(size, ("embedding", "hidden"), make),))
    return Described("classify", size, (image_part(size, ("logits",), make),), labels=labels_of(s, labels))


def hf_rules(prefix: str, path: str = "") -> Rules:
    """The names of transformers' ResNet, for parts that begin with `path`."""
    block = prefix + "encoder.stages.{N}.layers.{M}."
    return {
        path + "stem.conv": prefix + "embedder.embedder.convolution",
        path + "stem.norm": prefix + "embedder.embedder.normalization",
        path + "stem.N.conv": prefix + "embedder.embedder.{N}.convolution",
        path + "stem.N.norm": prefix + "embedder.embedder.{N}.normalization",
        path + "stages.N.M.K.conv": block + "layer.{K}.convolution",
        path + "stages.N.M.K.norm": block + "layer.{K}.normalization",
        path + "stages.N.M.around.conv": (block + "shortcut.convolution", block + "shortcut.1.convolution"),
        path + "stages.N.M.around.norm": (block + "shortcut.normalization", block + "shortcut.1.normalization"),
    }


def torchvision_rules(prefix: str, path: str = "") -> Rules:
    """The names of torchvision's and timm's ResNet."""
    block = prefix + "layer{N+1}.{M}."
    return {
        path + "stem.conv": prefix + "conv1",
        path + "stem.norm": prefix + "bn1",
        path + "stages.N.M.K.conv": block + "conv{K+1}",
        path + "stages.N.M.K.norm": block + "bn{K+1}",
        path + "stages.N.M.around.conv": block + "downsample.0",
        path + "stages.N.M.around.norm": block + "downsample.1",
    }


COUNTERS = ("*num_batches_tracked",)
DEFAULTS: dict[str, Any] = {
    "embedding_size": 64,
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 6, 3],
    "layer_type": "bottleneck",
    "hidden_act": "relu",
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}

FAMILY = Family(
    name="resnet",
    model_types=("resnet",),
    describe=describe,
    namings=(
        Naming(
            {**hf_rules("resnet."), "head": "classifier.1"},
            marker="resnet.embedder.embedder.convolution.weight",
            places=Places(
                base_prefix="resnet.", outside_base=("classifier.", "conv1.", "bn1.", "layer", "fc."), ignored=COUNTERS
            ),
        ),
        Naming({**torchvision_rules(""), "head": "fc"}, marker="conv1.weight", places=Places(ignored=COUNTERS)),
    ),
    defaults={**DEFAULTS, "image_size": 224},
)
