"""The golden models: one line of shapes for each thing that a family can do. `make_golden.py` builds them.

Shapes are odd on purpose: sizes of hidden state, heads and vocabulary that no vector length divides, one KV head,
remainders of groups, a prompt that is longer than the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """One golden model.

    Attributes:
        name: its folder.
        model: class of transformers that computes the expected logits, or of its configuration.
        config: what differs from the class's defaults.
        tokens: length of the prompt.
        context: what `load_family` is asked for, in tokens.
        gguf: architecture of the GGUF twin; None where the format has no way to say what the model does.
    """

    name: str
    model: str
    config: dict[str, Any]
    tokens: int = 34
    context: int | None = None
    gguf: str | None = None


def _shape(vocab: int, hidden: int, inner: int, layers: int, heads: int, kv_heads: int, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 128,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
        **more,
    }


def _rope(theta: float, **more: Any) -> dict[str, Any]:
    return {"rope_theta": theta, "rope_type": "default", **more}


_LONGROPE = _rope(
    700.0,
    rope_type="longrope",
    partial_rotary_factor=0.8,
    short_factor=[1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0],
    long_factor=[1.0, 1.3, 1.9, 2.7, 4.1, 6.0, 9.5, 13.0],
)


def _gpt(vocab: int, hidden: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    """In the names of GPT-2 and its kin."""
    return {
        "vocab_size": vocab,
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": heads,
        "n_positions": 128,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **more,
    }


RECIPES = [
    Recipe("llama1", "LlamaForCausalLM", _shape(131, 60, 68, 2, 3, 3, rope_parameters=_rope(10000.0)), gguf="llama"),
    Recipe(
        "llama3",
        "LlamaForCausalLM",
        _shape(
            139,
            52,
            60,
            3,
            4,
            1,
            head_dim=24,
            tie_word_embeddings=True,
            rope_parameters=_rope(
                500.0,
                rope_type="llama3",
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        gguf="llama",
    ),
    Recipe(
        "llama-bias",
        "LlamaForCausalLM",
        _shape(133, 44, 52, 2, 2, 1, attention_bias=True, mlp_bias=True, rope_parameters=_rope(300.0)),
        gguf="llama",
    ),
    Recipe(
        "llama-yarn",
        "LlamaForCausalLM",
        _shape(
            137,
            60,
            52,
            2,
            3,
            1,
            rope_parameters=_rope(1000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
        ),
        gguf="llama",
    ),
    Recipe(
        "llama-linear",
        "LlamaForCausalLM",
        _shape(131, 40, 52, 2, 5, 5, rope_parameters=_rope(100.0, rope_type="linear", factor=2.5)),
        gguf="llama",
    ),
    Recipe(
        "mistral-window",
        "MistralForCausalLM",
        _shape(149, 44, 60, 2, 4, 2, head_dim=20, sliding_window=7, rope_parameters=_rope(1000.0)),
        gguf="llama",
    ),
    Recipe(
        "qwen2",
        "Qwen2ForCausalLM",
        _shape(151, 42, 60, 3, 3, 1, tie_word_embeddings=True, rope_parameters=_rope(5000.0)),
        gguf="qwen2",
    ),
    Recipe(
        "qwen2-window",
        "Qwen2ForCausalLM",
        _shape(
            131,
            40,
            44,
            3,
            2,
            2,
            use_sliding_window=True,
            sliding_window=5,
            max_window_layers=1,
            rope_parameters=_rope(200.0),
        ),
    ),
    Recipe(
        "qwen3",
        "Qwen3ForCausalLM",
        _shape(157, 48, 52, 2, 6, 2, head_dim=12, rope_parameters=_rope(20000.0)),
        gguf="qwen3",
    ),
    Recipe(
        "gemma2",
        "Gemma2ForCausalLM",
        _shape(
            163,
            44,
            52,
            3,
            4,
            2,
            head_dim=20,
            query_pre_attn_scalar=20,
            sliding_window=6,
            attn_logit_softcapping=2.5,
            final_logit_softcapping=6.0,
            rope_parameters=_rope(500.0),
        ),
        gguf="gemma2",
    ),
    Recipe(
        "gemma3",
        "Gemma3ForCausalLM",
        _shape(
            167,
            36,
            44,
            7,
            2,
            1,
            head_dim=20,
            query_pre_attn_scalar=20,
            sliding_window=5,
            rope_parameters={
                "full_attention": _rope(3000.0, rope_type="linear", factor=8.0),
                "sliding_attention": _rope(100.0),
            },
        ),
        gguf="gemma3",
    ),
    Recipe(
        "gemma3-vision",
        "Gemma3ForConditionalGeneration",
        {
            "text_config": _shape(
                131,
                36,
                44,
                3,
                3,
                3,
                head_dim=12,
                query_pre_attn_scalar=19,
                sliding_window=5,
                sliding_window_pattern=2,
                final_logit_softcapping=None,
                rope_parameters={"full_attention": _rope(3000.0), "sliding_attention": _rope(100.0)},
            ),
            "vision_config": {
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 8,
                "patch_size": 4,
            },
            "mm_tokens_per_image": 4,
            "image_token_index": 130,
            "boi_token_index": 129,
            "eoi_token_index": 128,
        },
    ),
    Recipe(
        "phi3-short",
        "Phi3ForCausalLM",
        _shape(137, 60, 44, 2, 3, 1, sliding_window=11, original_max_position_embeddings=40, rope_parameters=_LONGROPE),
        gguf="phi3",
    ),
    Recipe(
        "phi3-long",
        "Phi3ForCausalLM",
        _shape(149, 40, 52, 2, 2, 2, original_max_position_embeddings=24, rope_parameters=_LONGROPE),
        tokens=40,
        context=128,
        gguf="phi3",
    ),
    Recipe(
        "smollm3",
        "SmolLM3ForCausalLM",
        _shape(139, 44, 36, 4, 2, 1, rope_parameters=_rope(50000.0)),
        gguf="smollm3",
    ),
    Recipe(
        "smollm3-window",
        "SmolLM3ForCausalLM",
        _shape(
            131,
            40,
            36,
            3,
            4,
            1,
            tie_word_embeddings=False,
            attention_bias=True,
            no_rope_layers=[1, 0, 1],
            use_sliding_window=True,
            sliding_window=8,
            rope_parameters=_rope(400.0),
        ),
    ),
    Recipe(
        "gemma",
        "GemmaForCausalLM",
        _shape(101, 28, 36, 2, 3, 1, head_dim=12, rope_parameters=_rope(1000.0)),
        gguf="gemma",
    ),
    Recipe(
        "vaultgemma",
        "VaultGemmaForCausalLM",
        _shape(
            101, 30, 28, 3, 3, 1, head_dim=12, query_pre_attn_scalar=20, sliding_window=6, rope_parameters=_rope(800.0)
        ),
    ),
    Recipe(
        "ministral",
        "MinistralForCausalLM",
        _shape(
            103,
            28,
            36,
            3,
            4,
            2,
            head_dim=12,
            sliding_window=7,
            rope_parameters=_rope(1000.0),
        ),
    ),
    Recipe("iquestcoder", "IQuestCoderConfig", _shape(101, 36, 28, 2, 3, 1, head_dim=20, rope_parameters=_rope(9e3))),
    Recipe(
        "glm",
        "GlmForCausalLM",
        _shape(101, 36, 36, 2, 3, 1, head_dim=12, rope_parameters=_rope(700.0, partial_rotary_factor=0.5)),
        gguf="chatglm",
    ),
    Recipe(
        "glm4",
        "Glm4ForCausalLM",
        _shape(
            103,
            28,
            36,
            2,
            2,
            1,
            head_dim=20,
            attention_bias=False,
            rope_parameters=_rope(900.0, partial_rotary_factor=0.6),
        ),
        gguf="glm4",
    ),
    Recipe("exaone", "ExaoneConfig", _shape(101, 36, 28, 2, 3, 1, rope_parameters=_rope(4000.0)), gguf="exaone"),
    Recipe(
        "exaone4",
        "Exaone4ForCausalLM",
        _shape(
            71,
            24,
            16,
            5,
            2,
            1,
            sliding_window=7,
            sliding_window_pattern=4,
            rope_parameters=_rope(
                600.0,
                rope_type="llama3",
                factor=4.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        gguf="exaone4",
    ),
    Recipe(
        "seed_oss",
        "SeedOssForCausalLM",
        _shape(101, 28, 36, 2, 2, 1, head_dim=20, rope_parameters=_rope(3000.0)),
        gguf="seed_oss",
    ),
    Recipe(
        "ernie4_5",
        "Ernie4_5ForCausalLM",
        _shape(101, 36, 28, 2, 3, 1, head_dim=12, rope_parameters=_rope(2000.0)),
        gguf="ernie4_5",
    ),
    Recipe(
        "helium",
        "HeliumForCausalLM",
        _shape(101, 36, 28, 2, 3, 1, head_dim=12, attention_bias=True, rope_parameters=_rope(500.0)),
    ),
    Recipe(
        "internlm3",
        "InternLM3Config",
        _shape(79, 28, 36, 2, 2, 1, head_dim=20, rope_parameters=_rope(5000.0)),
        gguf="llama",
    ),
    Recipe(
        "hyperclovax",
        "HyperCLOVAXForCausalLM",
        _shape(
            103,
            36,
            28,
            2,
            3,
            1,
            embedding_multiplier=3.0,
            attention_multiplier=0.15,
            residual_multiplier=0.6,
            logits_scaling=0.4,
            rope_parameters=_rope(900.0),
        ),
    ),
    Recipe(
        "olmo3",
        "Olmo3ForCausalLM",
        _shape(
            71,
            24,
            16,
            5,
            2,
            1,
            sliding_window=7,
            rope_parameters={
                "sliding_attention": _rope(800.0),
                "full_attention": _rope(800.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
            },
        ),
        gguf="olmo2",
    ),
    Recipe(
        "olmo2",
        "Olmo2ForCausalLM",
        _shape(151, 60, 52, 2, 5, 1, rope_parameters=_rope(2000.0)),
        gguf="olmo2",
    ),
    Recipe("gpt2", "GPT2LMHeadModel", _gpt(101, 28, 2, 2, n_inner=44), gguf="gpt2"),
    Recipe("gpt_bigcode", "GPTBigCodeForCausalLM", _gpt(101, 36, 2, 3, n_inner=44), gguf="starcoder"),
    Recipe("gpt_bigcode-heads", "GPTBigCodeForCausalLM", _gpt(71, 28, 2, 2, n_inner=20, multi_query=False)),
    Recipe(
        "gpt_neo",
        "GPTNeoForCausalLM",
        {
            "vocab_size": 101,
            "hidden_size": 36,
            "num_layers": 3,
            "num_heads": 3,
            "intermediate_size": 44,
            "max_position_embeddings": 128,
            "attention_types": [[["global", "local"], 1], [["local"], 1]],
            "window_size": 7,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    Recipe("gptj", "GPTJForCausalLM", _gpt(101, 36, 2, 3, n_inner=28, rotary_dim=8)),
    Recipe("codegen", "CodeGenForCausalLM", _gpt(101, 48, 2, 4, n_inner=28, rotary_dim=6)),
    Recipe(
        "gpt_neox",
        "GPTNeoXForCausalLM",
        _shape(97, 36, 28, 2, 3, 3, rope_parameters=_rope(900.0, partial_rotary_factor=0.5)),
        gguf="gptneox",
    ),
    Recipe(
        "gpt_neox-serial",
        "GPTNeoXForCausalLM",
        _shape(
            71,
            28,
            20,
            2,
            2,
            2,
            use_parallel_residual=False,
            attention_bias=False,
            rope_parameters=_rope(900.0, partial_rotary_factor=0.3),
        ),
    ),
    Recipe(
        "phi",
        "PhiForCausalLM",
        _shape(97, 36, 28, 2, 3, 1, rope_parameters=_rope(700.0, partial_rotary_factor=0.5)),
        gguf="phi2",
    ),
    Recipe(
        "starcoder2",
        "Starcoder2ForCausalLM",
        _shape(97, 36, 28, 2, 3, 1, sliding_window=7, rope_parameters=_rope(700.0)),
    ),
    Recipe(
        "starcoder2-full",
        "Starcoder2ForCausalLM",
        _shape(71, 28, 20, 2, 2, 1, tie_word_embeddings=False, rope_parameters=_rope(700.0)),
        gguf="starcoder2",
    ),
    Recipe(
        "opt",
        "OPTForCausalLM",
        {
            "vocab_size": 97,
            "hidden_size": 36,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "ffn_dim": 28,
            "word_embed_proj_dim": 36,
            "max_position_embeddings": 128,
        },
    ),
    Recipe(
        "falcon",
        "FalconForCausalLM",
        {
            "vocab_size": 97,
            "hidden_size": 36,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "ffn_hidden_size": 44,
            "max_position_embeddings": 128,
            "rope_parameters": _rope(700.0),
        },
        gguf="falcon",
    ),
    Recipe(
        "falcon-groups",
        "FalconForCausalLM",
        {
            "vocab_size": 61,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "ffn_hidden_size": 28,
            "new_decoder_architecture": True,
            "tie_word_embeddings": False,
            "max_position_embeddings": 128,
            "rope_parameters": _rope(700.0),
        },
        gguf="falcon",
    ),
    Recipe(
        "stablelm",
        "StableLmForCausalLM",
        _shape(97, 36, 28, 2, 3, 1, use_qkv_bias=True, rope_parameters=_rope(700.0, partial_rotary_factor=0.34)),
        gguf="stablelm",
    ),
    Recipe(
        "stablelm-parallel",
        "StableLmForCausalLM",
        _shape(
            71, 36, 20, 2, 3, 3, use_parallel_residual=True, rope_parameters=_rope(700.0, partial_rotary_factor=0.5)
        ),
    ),
    Recipe(
        "nemotron",
        "NemotronForCausalLM",
        _shape(97, 36, 28, 2, 3, 1, rope_parameters=_rope(700.0, partial_rotary_factor=0.5)),
        gguf="nemotron",
    ),
    Recipe("arcee", "ArceeForCausalLM", _shape(97, 36, 28, 2, 3, 1, rope_parameters=_rope(700.0)), gguf="arcee"),
    Recipe("jais2", "Jais2ForCausalLM", _shape(97, 36, 28, 2, 3, 1, rope_parameters=_rope(700.0))),
    Recipe(
        "cohere",
        "CohereForCausalLM",
        _shape(97, 36, 28, 2, 3, 1, logit_scale=0.3, rope_parameters=_rope(700.0)),
        gguf="command-r",
    ),
    Recipe(
        "cohere2",
        "Cohere2ForCausalLM",
        _shape(71, 28, 20, 5, 2, 1, logit_scale=0.3, sliding_window=7, rope_parameters=_rope(700.0)),
        gguf="cohere2",
    ),
    Recipe(
        "olmo",
        "OlmoForCausalLM",
        _shape(97, 36, 28, 2, 3, 1, clip_qkv=1.5, rope_parameters=_rope(700.0)),
        gguf="olmo",
    ),
    Recipe(
        "granite",
        "GraniteForCausalLM",
        _shape(
            141,
            60,
            52,
            2,
            5,
            1,
            embedding_multiplier=3.5,
            attention_multiplier=0.15,
            residual_multiplier=0.6,
            logits_scaling=2.5,
            tie_word_embeddings=True,
            rope_parameters=_rope(900.0),
        ),
        gguf="granite",
    ),
]
