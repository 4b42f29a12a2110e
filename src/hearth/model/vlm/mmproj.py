"""What llama.cpp's converter writes of what sees (a GGUF file of the architecture `clip`), restated in the words of
config.json and preprocessor_config.json, so that families read it as they read a folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hearth.checkpoint.joined import JoinedCheckpoint
from hearth.checkpoint.tokenizer.vocabulary import Kind
from hearth.errors import Unsupported
from hearth.model.settings import Settings, shown
from hearth.model.tensors import Rules
from hearth.model.vision.names import Naming
from hearth.model.vlm.families import gemma3, idefics3, llava, qwen2_5_vl, qwen2_vl
from hearth.model.vlm.mmproj_patches import PATCH_RULES, whole, whole_squares, windowed
from hearth.model.vlm.model import Family

_VISION: Mapping[str, str] = {
    "image_size": "image_size", "patch_size": "patch_size", "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size", "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads", "attention.layer_norm_epsilon": "layer_norm_eps",
}  # fmt: skip
_KIND = "clip.projector_type"
_SCALE = "clip.vision.projector.scale_factor"
_LAYERS_READ = "clip.vision.feature_layer"
_RESERVED = re.compile("reserved|unused|placeholder")
_Read = Callable[[Settings, Settings], dict[str, Any]]
_LAYER = "v.blk.{N}."
_TOWER: Rules = {
    "image.patches": "v.patch_embd",
    "image.positions": "v.position_embd.weight",
    "image.layers.N.norm1": _LAYER + "ln1",
    **{f"image.layers.N.{part}": f"{_LAYER}attn_{part}" for part in "qkv"},
    "image.layers.N.o": _LAYER + "attn_out",
    "image.layers.N.norm2": _LAYER + "ln2",
    "image.layers.N.up": _LAYER + "ffn_up",
    "image.layers.N.down": _LAYER + "ffn_down",
    "image.norm": "v.post_ln",
}
_CLIP_TOWER: Rules = {"image.cls_token": "v.class_embd", "image.pre_norm": "v.pre_ln"}
# Older converters gave the two layers of the MLP each other's name.
_SWAPPED: Rules = {"image.layers.N.up": _LAYER + "ffn_down", "image.layers.N.down": _LAYER + "ffn_up"}


@dataclass(frozen=True)
class _Projector:
    """One value of `clip.projector_type`.

    Attributes:
        rules: where its tensors are.
        token: text of the placeholder, whose number config.json would say under `token_key`; None: the model has none,
            and a token that nothing else writes takes its place.
        config: further keys of config.json, of the metadata and of `vision_config`, which it may say anew.
        processor: `preprocessor_config.json`, of the same, without colours.
        gelu: the activation that `clip.use_gelu` means.
        fixed: keys that change what a model computes, with the only values that Hearth computes.
    """

    family: Family
    rules: Rules
    token: str | None
    token_key: str
    config: _Read
    processor: _Read
    gelu: str = "gelu_pytorch_tanh"
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def _squares(given: Settings, vision: Settings) -> dict[str, Any]:
    edge = vision.count("image_size")
    longest = given.optional_count("clip.vision.preproc_image_size") or edge
    return {
        "image_processor_type": "Idefics3ImageProcessor",
        "size": {"longest_edge": longest},
        "max_image_size": {"longest_edge": edge},
    }


def _square(given: Settings, vision: Settings) -> dict[str, Any]:
    edge = vision.count("image_size")
    return {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": edge, "width": edge}}


def _padded(given: Settings, vision: Settings) -> dict[str, Any]:
    """LLaVA's authors make pictures square with borders, where the folders of transformers cut their ends off."""
    edge = vision.count("image_size")
    return {
        "image_processor_type": "LlavaImageProcessor",
        "do_pad": True,
        "size": {"shortest_edge": edge},
        "crop_size": {"height": edge, "width": edge},
    }


def _last_layer(given: Settings, vision: Settings) -> dict[str, Any]:
    """The converter leaves out the layers behind the one that is read, so that one is the last (llama.cpp before 2026
    leaves out one more)."""
    layers = given.get(_LAYERS_READ)
    if isinstance(layers, list) and len(layers) == 1:
        return {"vision_feature_layer": layers[0]}
    if layers is not None:
        raise given.unsupported(_LAYERS_READ, "Hearth reads one layer of the tower.")
    return {"vision_feature_layer": vision.count("num_hidden_layers")}


def _scale(given: Settings, vision: Settings) -> dict[str, Any]:
    factor = given.optional_count(_SCALE)
    return {} if factor is None else {"scale_factor": factor}


def _pooled(given: Settings, vision: Settings) -> dict[str, Any]:
    """Squares of 4 x 4 tokens, unless the file says otherwise."""
    side = vision.count("image_size") // vision.count("patch_size")
    return {"mm_tokens_per_image": (side // (given.optional_count(_SCALE) or 4)) ** 2}


_PROJECTORS: Mapping[str, _Projector] = {
    "mlp": _Projector(
        llava.FAMILY,
        {**_CLIP_TOWER, "image.projector.first": "mm.0", "image.projector.second": "mm.2"},
        None,
        "image_token_index",
        _last_layer,
        _padded,
        gelu="gelu",
        # LLaVA 1.6 looks at several parts of a picture.
        fixed={"clip.vision.image_grid_pinpoints": (), "clip.vision.mm_patch_merge_type": ("flat",)},
    ),
    "idefics3": _Projector(
        idefics3.FAMILY,
        {"image.projector.projection": "mm.model.fc"},
        "<image>",
        "image_token_id",
        _scale,
        _squares,
    ),
    "gemma3": _Projector(
        gemma3.FAMILY,
        {"image.projector.norm": "mm.soft_emb_norm", "image.projector.projection": "mm.input_projection.weight"},
        "<image_soft_token>",
        "image_token_index",
        _pooled,
        _square,
    ),
    "qwen2vl_merger": _Projector(qwen2_vl.FAMILY, PATCH_RULES, "<|image_pad|>", "image_token_id", whole, whole_squares),
    "qwen2.5vl_merger": _Projector(
        qwen2_5_vl.FAMILY, PATCH_RULES, "<|image_pad|>", "image_token_id", windowed, whole_squares
    ),
}


@dataclass(frozen=True)
class Restated:
    """A file that sees as a folder would say it.

    Attributes:
        settings: config.json.
        naming: of its tensors.
        processor: preprocessor_config.json.
    """

    family: Family
    settings: Settings
    naming: Naming
    processor: Mapping[str, Any]


def restate(checkpoint: JoinedCheckpoint) -> Restated | None:
    """What the file beside a language model says; None where it was only found there and Hearth does not know its kind.

    Raises:
        Unsupported: a file that was asked for is of a kind that Hearth does not know.
        CorruptFile: a setting is missing or out of range.
    """
    eyes, where = checkpoint.eyes, checkpoint.eyes.path.name
    given = {key: eyes.config[key] for key in eyes.config if key.startswith("clip.")}
    # The first files, all of them LLaVA's, name no kind.
    unnamed = "mlp" if given.get("clip.has_llava_projector") is True else None
    kind = given.get(_KIND, given.get("clip.vision.projector_type", unnamed))
    projector = _PROJECTORS.get(kind) if isinstance(kind, str) else None
    fixed = projector.fixed if projector else {}
    unknown = next((key for key, values in fixed.items() if key in given and given[key] not in values), None)
    if projector is None or unknown is not None:
        if not checkpoint.asked_for:
            return None
        key = unknown or _KIND
        raise Unsupported(
            f"{where}: {key} = {shown(given.get(key, kind))} is not supported.",
            hint=f"Known kinds ({_KIND}): {', '.join(_PROJECTORS)}; of LLaVA version 1.5.",
        )
    vision = {ours: given[f"clip.vision.{key}"] for key, ours in _VISION.items() if f"clip.vision.{key}" in given}
    flags = {"clip.use_gelu": projector.gelu, "clip.use_silu": "silu"}
    vision["hidden_act"] = next((name for flag, name in flags.items() if given.get(flag)), "quick_gelu")
    up = eyes.tensors.get("v.blk.0.ffn_up.weight")
    swapped = up is not None and len(up.shape) == 2 and up.shape[0] == vision.get("hidden_size") != up.shape[1]
    if up is not None and len(up.shape) == 2:  # of Qwen2-VL the converter writes another number
        vision["intermediate_size"] = up.shape[swapped]
    told = Settings(given, where=where), Settings(vision, where=where)
    token = projector.token or _spare_token(checkpoint, where)
    token_id = _token_id(checkpoint, token, where)
    config = {"vision_config": vision, **projector.config(*told), "image_token": token, projector.token_key: token_id}
    settings = Settings(config, where=where, kind="gguf", defaults=projector.family.defaults)
    rules = {**_TOWER, **projector.rules, **(_SWAPPED if swapped else {})}
    colours = {k: list(given[f"clip.vision.{k}"]) for k in ("image_mean", "image_std") if f"clip.vision.{k}" in given}
    processor = {**projector.processor(*told), **colours}
    return Restated(projector.family, settings, Naming(rules, marker=""), processor)


def _spare_token(checkpoint: JoinedCheckpoint, where: str) -> str:
    """A control token that neither texts nor templates write: the unknown token, or one that is kept in reserve.

    llama.cpp puts embeddings between the tokens of texts; here each takes the place of a token, which has to be told
    from all others. Raises Unsupported where there is none.
    """
    names = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
    tokens, kinds = (checkpoint.config.get(name, ()) for name in names)
    pairs = list(zip(tokens, kinds, strict=False))
    unknown = [token for token, kind in pairs if kind == Kind.UNKNOWN]
    reserved = (token for token, kind in pairs if kind == Kind.CONTROL and _RESERVED.search(token))
    for token in (*unknown, *reserved):
        return str(token)
    raise Unsupported(
        f"{checkpoint.path.name} does not go with {where}.",
        why="Its vocabulary has no token to spare that could stand for pictures.",
    )


def _token_id(checkpoint: JoinedCheckpoint, token: str, where: str) -> int:
    """The number of a token of the language model. Raises Unsupported where it has none such."""
    vocabulary = checkpoint.config.get("tokenizer.ggml.tokens", ())
    try:
        return list(vocabulary).index(token)
    except ValueError:
        raise Unsupported(
            f"{checkpoint.path.name} does not go with {where}.",
            why=f"Its vocabulary has no token {token!r} to stand for pictures.",
        ) from None
