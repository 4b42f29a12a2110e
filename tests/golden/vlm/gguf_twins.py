"""Writes a golden language model that sees as the two GGUF files that llama.cpp's converter would make of it.

Independent of Hearth: names come from the `gguf` package's own map; what is done to values is from reading the
converter (norms of Gemma with their 1 added). Needs `pip install -e '.[reference]'`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from ..gguf_twin import write_file, write_twin

_ARCHITECTURES = {
    "llama": "llama", "gemma3_text": "gemma3", "qwen2_vl_text": "qwen2vl", "qwen2_5_vl_text": "qwen2vl",
}  # fmt: skip
_PROJECTORS = {
    "SmolVLMForConditionalGeneration": "idefics3",
    "Gemma3ForConditionalGeneration": "gemma3",
    "LlavaForConditionalGeneration": "mlp",
    "Qwen2VLForConditionalGeneration": "qwen2vl_merger",
    "Qwen2_5_VLForConditionalGeneration": "qwen2.5vl_merger",
}
# What LLaVA's own, older converter writes for parts of names.
_OLD_NAMES = (
    ("multi_modal_projector.linear_1", "mm.0"), ("multi_modal_projector.linear_2", "mm.2"), ("vision_tower", "v"),
    ("vision_model.", ""), ("encoder.layers", "blk"), ("embeddings.", ""), ("_proj", ""), ("self_attn.", "attn_"),
    ("layer_norm", "ln"), ("mlp.fc1", "ffn_down"), ("mlp.fc2", "ffn_up"), ("embedding", "embd"), ("layrnorm", "ln"),
)  # fmt: skip
_TEXT = {
    "model.text_model.": "model.", "language_model.model.": "model.", "model.language_model.": "model.",
    "language_model.": "model.", **{f"model.{part}.": f"model.{part}." for part in ("layers", "embed_tokens", "norm")},
}  # fmt: skip
TEXT_FILE, EYES_FILE = "tiny-F16.gguf", "mmproj-tiny-F16.gguf"


def write_twins(
    model: str, config: Any, tensors: dict[str, NDArray[np.float32]], tokens: list[str], processor: dict[str, Any],
    folder: Path,
) -> None:  # fmt: skip
    """Writes `TEXT_FILE` and `EYES_FILE`.

    Args:
        model: class of transformers.
        config: of the whole model.
        tensors: as transformers publishes them.
        tokens: the vocabulary.
        processor: its `preprocessor_config.json`.
    """
    text = {}
    for name, value in tensors.items():
        prefix = next((p for p in _TEXT if name.startswith(p)), None)
        if prefix is not None and not name.startswith("language_model.lm_head"):
            text[_TEXT[prefix] + name.removeprefix(prefix)] = value
        elif name.endswith("lm_head.weight"):
            text["lm_head.weight"] = value
    inner = config.text_config
    inner.tie_word_embeddings = "lm_head.weight" not in text
    _write_text(_ARCHITECTURES[inner.model_type], inner, text, tokens, folder / TEXT_FILE)
    projector = _PROJECTORS[model]
    seen = {n: v for n, v in tensors.items() if not n.startswith(tuple(_TEXT)) and not n.endswith("lm_head.weight")}
    (_write_old_eyes if projector == "mlp" else _write_eyes)(projector, config, seen, processor, folder / EYES_FILE)


def _write_old_eyes(
    projector: str, config: Any, tensors: dict[str, NDArray[np.float32]], processor: dict[str, Any], path: Path
) -> None:
    """As LLaVA's converter does: without the layers behind the one that is read, and without the tower's last norm."""
    vision, layer = config.vision_config, config.vision_feature_layer
    blocks = layer if layer >= 0 else vision.num_hidden_layers + 1 + layer
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_clip_projector_type(projector)
    writer.add_vision_image_size(vision.image_size)
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_projection_dim(vision.projection_dim)
    writer.add_vision_head_count(vision.num_attention_heads)
    writer.add_vision_attention_layernorm_eps(vision.layer_norm_eps)
    writer.add_vision_block_count(blocks)
    writer.add_vision_image_mean(processor.get("image_mean", [0.48145466, 0.4578275, 0.40821073]))
    writer.add_vision_image_std(processor.get("image_std", [0.26862954, 0.26130258, 0.27577711]))
    writer.add_vision_use_gelu(vision.hidden_act == "gelu")
    dropped = (*(f".layers.{i}." for i in range(blocks, vision.num_hidden_layers)), "post_layernorm", "position_ids")
    for name, value in tensors.items():
        if any(part in name for part in dropped):
            continue
        stored = name.removeprefix("model.")
        for ours, theirs in _OLD_NAMES:
            stored = stored.replace(ours, theirs)
        half = value.ndim == 4 or (value.ndim == 2 and name.endswith(".weight"))
        writer.add_tensor(stored, value.astype(np.float16 if half else np.float32))
    write_file(writer)


def _write_text(arch: str, config: Any, weights: dict[str, NDArray[np.float32]], tokens: list[str], path: Path) -> None:
    add = gguf.GGUFWriter.write_header_to_file

    def with_tokens(writer: gguf.GGUFWriter, *arguments: Any) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        kinds = {True: gguf.TokenType.CONTROL, False: gguf.TokenType.NORMAL}
        writer.add_token_types(
            [
                gguf.TokenType.UNKNOWN if token == "<unk>" else kinds[token.startswith("<") and len(token) > 1]
                for token in tokens
            ]
        )
        writer.add_token_merges([f"{tokens[3]} {tokens[4]}"])
        if hasattr(config, "layer_types"):
            writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
        writer.add_eos_token_id(2)
        writer.add_bos_token_id(1)
        add(writer, *arguments)

    gguf.GGUFWriter.write_header_to_file = with_tokens  # type: ignore[method-assign]
    try:
        write_twin(arch, config, weights, path)
    finally:
        gguf.GGUFWriter.write_header_to_file = add  # type: ignore[method-assign]


def _write_eyes(
    projector: str, config: Any, tensors: dict[str, NDArray[np.float32]], processor: dict[str, Any], path: Path
) -> None:
    vision = config.vision_config
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_clip_projector_type(projector)
    whole = hasattr(vision, "embed_dim")  # Qwen2-VL, of whose sizes the converter writes other names
    writer.add_vision_image_size(getattr(vision, "image_size", 560))
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_embedding_length(vision.embed_dim if whole else vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.hidden_size if whole else vision.intermediate_size)
    writer.add_vision_block_count(vision.num_hidden_layers)
    writer.add_vision_head_count(vision.num_attention_heads)
    writer.add_vision_projection_dim(config.text_config.hidden_size)
    writer.add_vision_attention_layernorm_eps(getattr(vision, "layer_norm_eps", 1e-6))
    if projector == "qwen2.5vl_merger":
        writer.add_vision_use_silu(True)
        writer.add_vision_n_wa_pattern(vision.fullatt_block_indexes[0] + 1)
        writer.add_vision_window_size(vision.window_size)
    elif projector in ("idefics3", "gemma3"):
        writer.add_vision_use_gelu(True)
    writer.add_vision_image_mean(processor.get("image_mean", [0.5] * 3))
    writer.add_vision_image_std(processor.get("image_std", [0.5] * 3))
    if projector == "idefics3":
        writer.add_vision_projector_scale_factor(config.scale_factor)
        writer.add_vision_preproc_image_size(processor["size"]["longest_edge"])
    elif projector == "gemma3":
        side = vision.image_size // vision.patch_size
        writer.add_vision_projector_scale_factor(side // int(config.mm_tokens_per_image**0.5))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, vision.num_hidden_layers)
    for name, value in _cut(tensors).items():
        # The name as transformers 4 had it, which the map knows.
        known = name.replace("vision_tower.", "vision_tower.vision_model.") if "vision_model" not in name else name
        known = known.replace("mm_input_projection_weight", "mm_input_projection.weight")
        known, frame = known.removesuffix(".1") if known.endswith("weight.1") else known, known.endswith("weight.1")
        stored = names.get_name(known, try_suffixes=(".weight", ".bias"))
        assert stored is not None, name
        if name.endswith("mm_soft_emb_norm.weight"):
            value = value + np.float32(1)
        stored += ".1" * frame
        wide = value.ndim > 1 and "position" not in name
        writer.add_tensor(stored, value.astype(np.float16 if wide else np.float32))
    write_file(writer)


def _cut(tensors: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Fused q, k and v one by one, and the weights of patches of a film one for each of its pictures."""
    cut = {}
    for name, value in tensors.items():
        if ".qkv." in name:
            cut |= {name.replace("qkv", part): rows for part, rows in zip("qkv", np.split(value, 3), strict=True)}
        elif value.ndim == 5:
            cut |= {name: value[:, :, 0], name + ".1": value[:, :, 1]}
        else:
            cut[name] = value
    return cut
