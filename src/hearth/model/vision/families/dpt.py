"""DPT on a ViT and DepthAnything on DINOv2: how far away each pixel is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hearth.errors import Unsupported
from hearth.model.settings import Settings
from hearth.model.tensors import Places, Rules
from hearth.model.vision.dpt import DepthHead, Neck, NeckConfig
from hearth.model.vision.families import dinov2, vit
from hearth.model.vision.layers import LayerNorm
from hearth.model.vision.model import Described, Family, Head, Source, Write, image_part
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Scope
from hearth.model.vision.reading import activation, counts, wholes
from hearth.model.vision.vit import Vit, VitConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

_READOUTS = ("ignore", "add", "project")
_DPT_HEAD_SIZE = 32


def depth_model(
    config: VitConfig, neck: NeckConfig, layers: tuple[int, ...], *, inner: int, normed: bool, most: float | None
) -> Described:
    """A depth model over a ViT.

    Args:
        layers: whose tokens are read: 0 is what goes into the first layer.
        inner: channels before the last convolution; normed: the trunk's last norm is applied to each of them.
    """

    def make(scope: Scope) -> Write:
        trunk = Vit(scope, config, last_norm=False)
        norm = LayerNorm(scope / "norm", config.hidden, config.eps) if normed else None
        maps, head = Neck(scope / "neck", neck), DepthHead(scope / "head", neck.fusion, inner, most)

        def write(g: Graph, pixels: Any) -> list[Any]:
            states = trunk.layers(g, pixels)
            tokens = [states[i] if norm is None else norm(g, states[i]) for i in layers]
            size = (config.grid[0] * config.patch[0], config.grid[1] * config.patch[1])
            fused = maps(g, tokens, config.grid)
            # DPT's own head makes the map twice as fine, DepthAnything's as large as the picture.
            return [head(g, fused, size if normed else (2 * g.shape(fused)[1], 2 * g.shape(fused)[2]))]

        return write

    return Described("depth", config.size, (image_part(config.size, ("depth",), make),), Head(metric=most is not None))


def _neck(s: Settings, hidden: int, readout: str) -> NeckConfig:
    sizes = counts(s, "neck_hidden_sizes")
    factors = s.factors("reassemble_factors", length=len(sizes))
    if any(f not in (1, 2, 4, 8, 16, 0.5, 0.25, 0.125) for f in factors):
        raise s.unsupported("reassemble_factors", "Scales differ by powers of two.")
    act = activation(s) if readout == "project" else "none"
    return NeckConfig(hidden, sizes, tuple(factors), s.count("fusion_hidden_size"), readout, act)


def describe_depth_anything(source: Source) -> Described:
    s = source.settings
    values = s.table("backbone_config")
    if values.get("model_type") != "dinov2":
        raise s.unsupported("backbone_config", "The only backbone known for it is dinov2.")
    inner = Settings(values, where="config.json, backbone_config", defaults=dinov2.DEFAULTS)
    config = dinov2.dinov2_config(replace(source, settings=inner))
    metric = s.text("depth_estimation_type")
    if metric not in ("relative", "metric"):
        raise s.unsupported("depth_estimation_type", "Known: relative, metric.")
    return depth_model(
        config,
        _neck(s, config.hidden, "ignore"),
        _layers(inner, config.layers),
        inner=s.count("head_hidden_size"),
        normed=True,
        most=s.number("max_depth") if metric == "metric" else None,
    )


def _layers(s: Settings, count: int) -> tuple[int, ...]:
    """Which layers a backbone gives: by number, or by name ("stem", "stage1", ...)."""
    names = s.get("out_features")
    known = ["stem", *(f"stage{i + 1}" for i in range(count))]
    if isinstance(names, list) and names and all(name in known for name in names):
        return tuple(known.index(name) for name in names)
    given = wholes(s, "out_indices", least=-count, most=count)
    return tuple(i if i >= 0 else count + 1 + i for i in given)


def describe_dpt(source: Source) -> Described:
    s = source.settings
    if s.flag("is_hybrid") or s.get("backbone_config"):
        raise Unsupported(
            "This DPT stands on another network than its own ViT.",
            why="config.json: is_hybrid or backbone_config is set.",
            hint="DPT-Large and DepthAnything are known.",
        )
    if not source.has("head.0.weight") or "head.head.1.weight" in source.tensors:
        raise Unsupported("This DPT labels places; of DPT Hearth knows the one that tells depths.")
    config = vit.vit_config(source)
    readout = s.text("readout_type")
    if readout not in _READOUTS:
        raise s.unsupported("readout_type", f"Known: {', '.join(_READOUTS)}.")
    if source.size not in (None, (config.trained[0] * config.patch[0], config.trained[1] * config.patch[1])):
        raise Unsupported(f"A DPT is made for pictures of one size: {s.get('image_size')} pixels.")
    layers = tuple(i + 1 for i in wholes(s, "backbone_out_indices", most=config.layers - 1))
    return depth_model(config, _neck(s, config.hidden, readout), layers, inner=_DPT_HEAD_SIZE, normed=False, most=None)


_REASSEMBLE = "neck.reassemble_stage."
_FUSION = "neck.fusion_stage.layers.{N}."
NECK: Rules = {
    "neck.readouts.N": _REASSEMBLE + "readout_projects.{N}.0",
    "neck.reassemble.N.projection": _REASSEMBLE + "layers.{N}.projection",
    "neck.reassemble.N.resize": _REASSEMBLE + "layers.{N}.resize",
    "neck.convs.N": "neck.convs.{N}",
    "neck.fusion.N.residual1.M": _FUSION + "residual_layer1.convolution{M+1}",
    "neck.fusion.N.residual2.M": _FUSION + "residual_layer2.convolution{M+1}",
    "neck.fusion.N.projection": _FUSION + "projection",
}
# The coarsest map has none to join.
_UNUSED = ("neck.fusion_stage.layers.0.residual_layer1.*", "*mask_token", "*pooler.dense.*", "auxiliary_head.*")
_NECK_DEFAULTS = {
    "reassemble_factors": [4, 2, 1, 0.5],
    "fusion_hidden_size": 64,
    "neck_hidden_sizes": [48, 96, 192, 384],
}

FAMILY = Family(
    name="depth_anything",
    model_types=("depth_anything",),
    describe=describe_depth_anything,
    namings=(
        Naming(
            {**dinov2.rules("backbone."), **NECK, "head.N": "head.conv{N+1}"},
            marker="backbone.embeddings.position_embeddings",
            places=Places(ignored=_UNUSED),
        ),
    ),
    defaults={**_NECK_DEFAULTS, "head_hidden_size": 32, "depth_estimation_type": "relative", "max_depth": 1.0},
    fixed={"head_in_index": (-1, 3)},
)
DPT = Family(
    name="dpt",
    model_types=("dpt",),
    describe=describe_dpt,
    namings=(
        Naming(
            {
                **vit.bert_like("dpt."),
                **NECK,
                "head.0": "head.head.0",
                "head.1": "head.head.2",
                "head.2": "head.head.4",
            },
            marker="dpt.embeddings.position_embeddings",
            places=Places(ignored=(*_UNUSED, "dpt.layernorm.*")),
        ),
    ),
    defaults={
        **vit.FAMILY.defaults,
        **_NECK_DEFAULTS,
        "image_size": 384,
        "neck_hidden_sizes": [96, 192, 384, 768],
        "fusion_hidden_size": 256,
        "readout_type": "project",
        "backbone_out_indices": [2, 5, 8, 11],
    },
    fixed={
        "head_in_index": (-1, 3),
        "add_projection": (False,),
        "use_batch_norm_in_fusion_residual": (False,),
        "use_bias_in_fusion_residual": (True,),
        "neck_ignore_stages": ([], [0, 1]),
    },
)
