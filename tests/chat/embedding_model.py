"""A tiny embedding model, or ranker, as sentence-transformers publishes it, and what that makes with it.

The weights are drawn by numpy from a seed, so that the model is the same everywhere. `VECTORS` and `SCORES` of the
tests were computed by sentence-transformers 6.2 with torch 2.13, f32; in an environment that has them, `cd tests &&
python -m chat.embedding_model` prints them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

HIDDEN = 8
WORDS = ("a", "the", "cat", "in", "query:", "hat")
TEXT = "the cat in a hat"
POOLING = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
PROMPTS = {"prompts": {"query": "query: the ", "document": ""}, "default_prompt_name": None}


def safetensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    header: dict[str, Any] = {}
    data = b""
    for name, values in tensors.items():
        raw = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write(
    folder: Path,
    modes: Sequence[str],
    *,
    normalize: bool = False,
    dense: bool = False,
    include_prompt: bool = True,
    prompts: Mapping[str, Any] | None = None,
) -> Path:
    """The model with one way of pooling, or several."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    vocab = {word: number for number, word in enumerate([*WORDS, "<end>", "<unk>"])}
    config = {
        "model_type": "llama", "architectures": ["LlamaModel"], "vocab_size": len(vocab), "hidden_size": HIDDEN,
        "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "eos_token_id": 6,
    }  # fmt: skip
    layer = "layers.0."
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (len(vocab), HIDDEN), "norm.weight": (HIDDEN,)}
    shapes |= {f"{layer}{name}_layernorm.weight": (HIDDEN,) for name in ("input", "post_attention")}
    shapes |= {f"{layer}self_attn.{name}_proj.weight": (HIDDEN, HIDDEN) for name in "qkvo"}
    shapes |= {f"{layer}mlp.{name}_proj.weight": (16, HIDDEN) for name in ("gate", "up")}
    shapes[f"{layer}mlp.down_proj.weight"] = (HIDDEN, 16)
    tensors = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    modules = ["Transformer", "Pooling"] + ["Dense"] * dense + ["Normalize"] * normalize
    pooling = {"word_embedding_dimension": HIDDEN, "include_prompt": include_prompt}
    pooling |= {flag: mode in modes for mode, flag in POOLING.items()}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<end>", "<unk>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 6)])
    files: dict[str, Any] = {
        "config.json": config,
        "model.safetensors": safetensors(tensors),
        "tokenizer.json": tokenizer.to_str(),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<end>",
            "pad_token": "<end>",
        },
        "modules.json": [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{name}" if i else "",
                "type": f"sentence_transformers.models.{name}",
            }
            for i, name in enumerate(modules)
        ],
        "1_Pooling/config.json": pooling,
    }
    if prompts is not None:
        files["config_sentence_transformers.json"] = prompts
    if dense:
        size = HIDDEN * len(modes)
        activation = "torch.nn.modules.activation.Tanh"
        files["2_Dense/config.json"] = {
            "in_features": size, "out_features": 4, "bias": True, "activation_function": activation
        }  # fmt: skip
        weights = {"linear.weight": rng.standard_normal((4, size)), "linear.bias": rng.standard_normal(4)}
        files["2_Dense/model.safetensors"] = safetensors(weights)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


TEMPLATE = """{% for role in ('system', 'query', 'document') %}\
{{ messages | selectattr('role', 'eq', role) | map(attribute='content') | first | default('') }} {% endfor %}\
{% if add_generation_prompt %}in <end>{% endif %}"""
RANKERS: Mapping[str, Mapping[str, Any]] = {
    "against": {"true_token_id": 2, "false_token_id": 5},
    "alone": {"true_token_id": 3, "false_token_id": None},
}
RANK_PROMPT = {"prompts": {"find": "a cat in"}, "default_prompt_name": "find"}
QUERY, DOCUMENTS = "the cat", ("in a hat", "a hat", "the cat in the hat the cat")


def write_ranker(folder: Path, tokens: Mapping[str, int | None], **prompts: Any) -> Path:
    """The same with a head, which ranks by its logits of those tokens."""
    write(folder, ["lasttoken"])
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["LlamaForCausalLM"]}
    kind = "sentence_transformers.{}".format
    files = {
        "config.json": config,
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": kind("base.modules.transformer.Transformer")},
            {"idx": 1, "name": "1", "path": "1_LogitScore", "type": kind("cross_encoder.modules.LogitScore")},
        ],
        "1_LogitScore/config.json": {**tokens, "module_input_name": "causal_logits"},
        "config_sentence_transformers.json": {"model_type": "CrossEncoder", **prompts},
        "sentence_bert_config.json": {
            "transformer_task": "text-generation",
            "modality_config": {
                "text": {"method": "forward", "method_output_name": "logits"},
                "message": {"method": "forward", "method_output_name": "logits", "format": "flat"},
            },
            "module_output_name": "causal_logits",
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
        },
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


CASES: Mapping[str, Mapping[str, Any]] = {
    "joined": {"modes": list(POOLING)},
    "dense": {"modes": ["lasttoken"], "dense": True, "normalize": True},
    "prompt": {"modes": ["mean"], "normalize": True, "prompts": PROMPTS},
    "skipped prompt": {"modes": list(POOLING), "include_prompt": False, "prompts": PROMPTS},
}


def _print_vectors() -> None:
    import tempfile

    from sentence_transformers import CrossEncoder, SentenceTransformer  # type: ignore[import-not-found]

    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            model = SentenceTransformer(str(write(Path(folder), **case)), device="cpu")
            prompt = "query" if "prompt" in name else None
            print(f"    {name!r}: {[round(float(x), 5) for x in model.encode(TEXT, prompt_name=prompt)]},")
    for name, tokens in RANKERS.items():
        with tempfile.TemporaryDirectory() as folder:
            model = CrossEncoder(str(write_ranker(Path(folder), tokens, **RANK_PROMPT)), device="cpu")
            print(f"    {name!r}: {model.predict([(QUERY, one) for one in DOCUMENTS]).tolist()},")


if __name__ == "__main__":
    _print_vectors()
