"""How timm names the tensors of the families that Hearth computes."""

from __future__ import annotations

from hearth.model.tensors import Fused, Places, Rules
from hearth.model.vision.families import resnet
from hearth.model.vision.families.efficientnet import Scaling
from hearth.model.vision.names import Naming

_QKV = ("q", "k", "v")
_GATE_UP = Fused("blocks.{N}.mlp.fc1", ("gate", "up"))
_COUNTERS = Places(ignored=resnet.COUNTERS)
VIT = Naming(
    {
        "patches": "patch_embed.proj",
        "cls_token": "cls_token",
        "distillation_token": "dist_token",
        "register_tokens": "reg_token",
        "positions": "pos_embed",
        "pre_norm": "norm_pre",
        **{f"layers.N.{part}": Fused("blocks.{N}.attn.qkv", _QKV) for part in _QKV},
        "layers.N.norm1": "blocks.{N}.norm1",
        "layers.N.o": "blocks.{N}.attn.proj",
        "layers.N.scale1": "blocks.{N}.ls1.gamma",
        "layers.N.norm2": "blocks.{N}.norm2",
        "layers.N.up": "blocks.{N}.mlp.fc1",
        "layers.N.down": "blocks.{N}.mlp.fc2",
        "layers.N.scale2": "blocks.{N}.ls2.gamma",
        "norm": "norm",
        "head": "head",
        "distilled": "head_dist",
    },
    "pos_embed",
)
GATED_VIT = Naming({**VIT.rules, "layers.N.gate": _GATE_UP, "layers.N.up": _GATE_UP}, VIT.marker)
_STAGE = "layers.{N}.blocks.{M}."
_SWIN: Rules = {
    "patches": "patch_embed.proj",
    "patch_norm": "patch_embed.norm",
    **{f"stages.N.blocks.M.{part}": Fused(_STAGE + "attn.qkv", _QKV) for part in _QKV},
    "stages.N.blocks.M.norm1": _STAGE + "norm1",
    "stages.N.blocks.M.bias_table": _STAGE + "attn.relative_position_bias_table",
    "stages.N.blocks.M.o": _STAGE + "attn.proj",
    "stages.N.blocks.M.norm2": _STAGE + "norm2",
    "stages.N.blocks.M.up": _STAGE + "mlp.fc1",
    "stages.N.blocks.M.down": _STAGE + "mlp.fc2",
    # A stage begins with what transformers has at the end of the one before.
    "stages.N.merge.norm": "layers.{N+1}.downsample.norm",
    "stages.N.merge.reduction": "layers.{N+1}.downsample.reduction",
    "norm": "norm",
    "head": "head.fc",
}
_SWIN_V2: Rules = {
    **_SWIN,
    # Its keys have no bias, so the others stand by themselves.
    "stages.N.blocks.M.q.bias": _STAGE + "attn.q_bias",
    "stages.N.blocks.M.v.bias": _STAGE + "attn.v_bias",
    "stages.N.blocks.M.logit_scale": _STAGE + "attn.logit_scale",
    "stages.N.blocks.M.bias_mlp.K": _STAGE + "attn.cpb_mlp.{K}",
}
_TABLES = Places(ignored=("*relative_position_index", "*relative_coords_table", "*attn_mask", "*k_bias"))
SWIN = Naming(_SWIN, "layers.0.blocks.0.attn.qkv.weight", _TABLES)
SWIN_V2 = Naming(_SWIN_V2, "layers.0.blocks.0.attn.logit_scale", _TABLES)
_BLOCK = "stages.{N}.blocks.{M}."
CONVNEXT = Naming(
    {
        "patches": "stem.0",
        "patch_norm": "stem.1",
        "stages.N.halve_norm": "stages.{N}.downsample.0",
        "stages.N.halve": "stages.{N}.downsample.1",
        "stages.N.blocks.M.depthwise": _BLOCK + "conv_dw",
        "stages.N.blocks.M.norm": _BLOCK + "norm",
        "stages.N.blocks.M.up": _BLOCK + "mlp.fc1",
        "stages.N.blocks.M.down": _BLOCK + "mlp.fc2",
        "stages.N.blocks.M.scale": _BLOCK + "gamma",
        "stages.N.blocks.M.response": _BLOCK + "mlp.grn",
        "norm": "head.norm",
        "head": "head.fc",
    },
    "stem.0.weight",
)
RESNET = Naming({**resnet.torchvision_rules(""), "head": "fc"}, "conv1.weight", _COUNTERS)
RESNET_D = Naming(
    {
        **RESNET.rules,
        "stem.0.conv": "conv1.0", "stem.0.norm": "conv1.1", "stem.1.conv": "conv1.3", "stem.1.norm": "conv1.4",
        "stem.2.conv": "conv1.6", "stem.2.norm": "bn1",
        # The first is the mean of four places, which has no tensors.
        "stages.N.M.around.conv": "layer{N+1}.{M}.downsample.1",
        "stages.N.M.around.norm": "layer{N+1}.{M}.downsample.2",
    },
    "conv1.0.weight",
    _COUNTERS,
)  # fmt: skip


def efficientnet(scaling: Scaling) -> Naming:
    """Of one model of that line, whose blocks are numbered by stage."""
    rules: dict[str, str] = {
        "stem.conv": "conv_stem", "stem.norm": "bn1", "top.conv": "conv_head", "top.norm": "bn2", "head": "classifier",
    }  # fmt: skip
    for number, (stage, j, expands) in enumerate(scaling.blocks()):
        own, theirs = f"blocks.{number}.", f"blocks.{stage}.{j}."
        convs = ("conv_pw", "conv_dw", "conv_pwl") if expands else ("conv_dw", "conv_pw")
        parts = ("expand", "depthwise", "reduce") if expands else ("depthwise", "reduce")
        for k, (part, conv) in enumerate(zip(parts, convs, strict=True), 1):
            rules |= {f"{own}{part}.conv": theirs + conv, f"{own}{part}.norm": f"{theirs}bn{k}"}
        rules |= {f"{own}squeeze.{part}": f"{theirs}se.conv_{part}" for part in ("reduce", "expand")}
    return Naming(rules, "conv_stem.weight", _COUNTERS)


def _convs(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.conv": f"{theirs}.conv", f"{ours}.norm": f"{theirs}.bn"}


_MIXER = "stages.{N}.1."
_LAYER = _MIXER + "transformer.{M}."
MOBILEVIT = Naming(
    {
        **_convs("stem", "stem"),
        **{
            part: name
            for ours, theirs in (("expand", "conv1_1x1"), ("depthwise", "conv2_kxk"), ("reduce", "conv3_1x1"))
            for at, of in (("stages.N.M.", "stages.{N}.{M}."), ("stages.N.halve.", "stages.{N}.0."))
            for part, name in _convs(at + ours, of + theirs).items()
        },
        **_convs("stages.N.local", _MIXER + "conv_kxk"),
        "stages.N.widen": _MIXER + "conv_1x1",
        **_convs("stages.N.narrow", _MIXER + "conv_proj"),
        **_convs("stages.N.fuse", _MIXER + "conv_fusion"),
        "stages.N.norm": _MIXER + "norm",
        "stages.N.layers.M.norm1": _LAYER + "norm1",
        **{f"stages.N.layers.M.{part}": Fused(_LAYER + "attn.qkv", _QKV) for part in _QKV},
        "stages.N.layers.M.o": _LAYER + "attn.proj",
        "stages.N.layers.M.norm2": _LAYER + "norm2",
        "stages.N.layers.M.up": _LAYER + "mlp.fc1",
        "stages.N.layers.M.down": _LAYER + "mlp.fc2",
        **_convs("top", "final_conv"),
        "head": "head.fc",
    },
    "final_conv.conv.weight",
    _COUNTERS,
)
