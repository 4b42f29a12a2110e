"""The golden language models that see: for each family its smallest forms. `make_golden.py` makes their numbers.

Shapes are odd on purpose, as in `golden/recipes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """One golden model.

    Attributes:
        name: its folder.
        model: class of transformers that computes what is expected.
        config: what differs from the class's defaults.
        token_id: the token that stands for a row of embeddings.
        rows: embeddings of a tile, where all have as many.
        sizes: heights and widths of the tiles of the prompt, where these differ; `edge`: of a square of pixels that
            becomes an embedding.
        prompt: what stands in the prompt: numbers of text tokens, and "tile" for the tokens of one tile.
        processor: its `preprocessor_config.json`.
        ahead: the tokens of a tile see all of it.
        gguf: it is also there as the two files that llama.cpp's converter makes.
    """

    name: str
    model: str
    config: dict[str, Any]
    token_id: int
    rows: int
    prompt: tuple[int | str, ...]
    processor: Mapping[str, Any]
    ahead: bool = False
    gguf: bool = False
    sizes: tuple[tuple[int, int], ...] = ()
    edge: int = 0

    @property
    def counts(self) -> list[int]:
        """Embeddings of each tile of the prompt."""
        if self.sizes:
            return [(height // self.edge) * (width // self.edge) for height, width in self.sizes]
        return [self.rows] * sum(isinstance(part, str) for part in self.prompt)


def _llama(vocab: int, hidden: int, heads: int, kv_heads: int, **more: Any) -> dict[str, Any]:
    return {
        "model_type": "llama", "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": 52,
        "num_hidden_layers": 2, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, **more,
    }  # fmt: skip


def _tower(model_type: str, size: int, patch: int, layers: int, **more: Any) -> dict[str, Any]:
    return {
        "model_type": model_type, "image_size": size, "patch_size": patch, "hidden_size": 36, "intermediate_size": 44,
        "num_attention_heads": 3, "num_hidden_layers": layers, **more,
    }  # fmt: skip


_CLIP = {
    "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 21},
    "crop_size": {"height": 21, "width": 21},
}  # fmt: skip
_SIGLIP = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 20, "width": 20}}


def _qwen(tower: dict[str, Any], **more: Any) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 500.0, "mrope_section": [3, 3, 4]}
    return {
        "text_config": {
            "vocab_size": 157, "hidden_size": 60, "intermediate_size": 52, "num_hidden_layers": 2,
            "num_attention_heads": 3, "num_key_value_heads": 1, "max_position_embeddings": 256, "rms_norm_eps": 1e-6,
            "bos_token_id": 1, "eos_token_id": 2, "rope_parameters": rope, **more,
        },
        "vision_config": {"num_heads": 3, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2, **tower},
        "image_token_id": 140, "video_token_id": 141, "vision_start_token_id": 142, "vision_end_token_id": 143,
    }  # fmt: skip


_QWEN = {
    "image_processor_type": "Qwen2VLImageProcessor", "patch_size": 4, "merge_size": 2, "temporal_patch_size": 2,
    "min_pixels": 256, "max_pixels": 4096, "image_mean": [0.5, 0.4, 0.5], "image_std": [0.25, 0.3, 0.25],
}  # fmt: skip

RECIPES = [
    Recipe(
        "llava",
        "LlavaForConditionalGeneration",
        {
            "text_config": _llama(139, 44, 2, 1),
            "vision_config": _tower("clip_vision_model", 21, 7, 3, projection_dim=24),
            "image_token_index": 133,
        },
        token_id=133,
        rows=9,
        prompt=(5, "tile", 3, "tile", 4),
        processor=_CLIP,
        gguf=True,
    ),
    Recipe(
        "llava-siglip",
        "LlavaForConditionalGeneration",
        {
            "text_config": _llama(131, 40, 2, 2, tie_word_embeddings=True),
            "vision_config": _tower("siglip_vision_model", 20, 5, 2),
            "image_token_index": 130,
            "vision_feature_select_strategy": "full",
            "vision_feature_layer": -1,
            "projector_hidden_act": "gelu_pytorch_tanh",
            "multimodal_projector_bias": False,
        },
        token_id=130,
        rows=16,
        prompt=("tile", 7),
        processor=_SIGLIP,
    ),
    Recipe(
        "smolvlm",
        "SmolVLMForConditionalGeneration",
        {
            "text_config": _llama(149, 48, 3, 1, head_dim=20, max_position_embeddings=512),
            "vision_config": _tower("smolvlm_vision", 32, 8, 2),
            "image_token_id": 140,
            "scale_factor": 2,
        },
        token_id=140,
        rows=4,
        prompt=(3, "tile", 2, "tile", 2, "tile", 6),
        processor={
            "image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 96},
            "max_image_size": {"longest_edge": 32}, "do_image_splitting": True, "do_pad": True, "resample": 1,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        },
        gguf=True,
    ),
    Recipe(
        "gemma3",
        "Gemma3ForConditionalGeneration",
        {
            "text_config": {
                **_llama(151, 48, 3, 1, head_dim=20), "model_type": "gemma3_text", "query_pre_attn_scalar": 20,
                "sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"],
                "rope_parameters": {
                    "full_attention": {"rope_type": "default", "rope_theta": 3000.0},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                },
            },
            "vision_config": _tower("siglip_vision_model", 24, 4, 2, vision_use_head=False),
            "mm_tokens_per_image": 9,
            "image_token_index": 150,
            "boi_token_index": 149,
            "eoi_token_index": 148,
        },
        token_id=150,
        rows=9,
        prompt=(11, "tile", 4, "tile", 5),
        processor={"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 24, "width": 24}},
        ahead=True,
        gguf=True,
    ),
    Recipe(
        "qwen2.5-vl",
        "Qwen2_5_VLForConditionalGeneration",
        _qwen({
            "depth": 3, "hidden_size": 36, "intermediate_size": 44, "out_hidden_size": 60, "window_size": 16,
            "fullatt_block_indexes": [1],
        }),
        token_id=140,
        rows=0,
        prompt=(5, "tile", 3, "tile", 4),
        processor=_QWEN,
        sizes=((40, 24), (16, 56)),
        edge=8,
        gguf=True,
    ),
    Recipe(
        "qwen2-vl",
        "Qwen2VLForConditionalGeneration",
        _qwen({"depth": 3, "embed_dim": 36, "mlp_ratio": 2, "hidden_size": 60}, tie_word_embeddings=True),
        token_id=140,
        rows=0,
        prompt=("tile", 3, "tile", 4),
        processor=_QWEN,
        sizes=((16, 16), (24, 8)),
        edge=8,
        gguf=True,
    ),
]  # fmt: skip
