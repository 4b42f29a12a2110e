"""The published folder of the starter model: weights, config, tokenizer, chat template, card.

The folder looks like any Llama on the Hugging Face hub, so that it goes down the ordinary path.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from tools.starter.model import Llama, Shape
from tools.starter.tokenizer import CHAT_TEMPLATE, END_OF_TEXT, SPECIAL_TOKENS, TURN_END, save_tokenizer

CARD = """\
---
license: apache-2.0
language: en
---

# The starter model

**A demonstration of the path, not an assistant.** It is here so that the first command of Hearth needs no download:
a Llama with {parameters:.1f} million parameters ({layers} layers, hidden size {hidden}, {heads} heads over {kv_heads}
key-value heads, context {context}), which goes the way every model goes.

It knows capitals and continents, chemical elements, sums and differences up to 99, the small multiplication table,
units, the calendar, opposites, and what Hearth and its commands are. It says so when it is asked something else, and it
is often wrong outside of these. Do not rely on it for anything.

It was trained from nothing on text that `tools/starter/` writes from tables of facts: {tokens:.1f} million tokens,
{steps} steps, {minutes:.0f} minutes on {threads} CPU threads, seed {seed}.

    python -m tools.starter --out src/hearth/hub/starter      # train it again, and measure it
    python -m tools.starter --evaluate src/hearth/hub/starter # measure it

Answers written exactly right, in percent, over {questions} questions in phrasings that training never uses (it has
seen the facts; q4: linear layers in 4 bits, embedding in 8, groups of 32):

| topic | f32 | q4 |
|---|---|---|
{rows}
"""


def config(shape: Shape, tokenizer: Tokenizer) -> dict[str, Any]:
    """config.json, with the names that transformers writes."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float16",
        **asdict(shape),
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "use_cache": True,
        "bos_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "eos_token_id": tokenizer.token_to_id(TURN_END),
        "pad_token_id": tokenizer.token_to_id(END_OF_TEXT),
    }


def tokenizer_config(shape: Shape, tokenizer: Tokenizer) -> dict[str, Any]:
    """tokenizer_config.json."""
    special = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {"content": token, **special} for token in SPECIAL_TOKENS
        },
        "add_bos_token": False,
        "bos_token": None,
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": shape.max_position_embeddings,
        "chat_template": CHAT_TEMPLATE,
    }


def save_folder(model: Llama, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes all that is needed to load and run the model. Weights in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value.half().contiguous() for name, value in model.state_dict().items()}
    weights = folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    save_tokenizer(tokenizer, folder)
    generation = {
        "bos_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "eos_token_id": [tokenizer.token_to_id(TURN_END), tokenizer.token_to_id(END_OF_TEXT)],
        "pad_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "do_sample": False,
    }
    write_json(folder / "config.json", config(model.shape, tokenizer))
    write_json(folder / "tokenizer_config.json", tokenizer_config(model.shape, tokenizer))
    write_json(folder / "generation_config.json", generation)


def load_folder(folder: Path) -> tuple[Llama, Tokenizer]:
    """The model and the tokenizer of a folder that `save_folder` wrote."""
    values = json.loads((folder / "config.json").read_text())
    shape = Shape(**{name: values[name] for name in Shape.__dataclass_fields__})
    model = Llama(shape)
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): value.to(torch.float32) for name, value in tensors.items()})
    return model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))


def save_record(folder: Path, shape: Shape, record: dict[str, Any]) -> None:
    """Writes training.json (how the weights came about, what they score) and the card that says the same."""
    write_json(folder / "training.json", record)
    f32, q4 = record["accuracy_f32"], record["accuracy_q4"]
    topics = [name for name in f32 if name != "all"]
    rows = "\n".join(f"| {name} | {f32[name]:.1f} | {q4[name]:.1f} |" for name in topics)
    card = CARD.format(
        parameters=record["parameters"] / 1e6, layers=shape.num_hidden_layers, hidden=shape.hidden_size,
        heads=shape.num_attention_heads, kv_heads=shape.num_key_value_heads, context=shape.max_position_embeddings,
        tokens=record["tokens"] / 1e6, steps=record["recipe"]["steps"], minutes=record["training_s"] / 60,
        threads=record["threads"], seed=record["recipe"]["seed"], questions=record["questions"],
        rows=f"{rows}\n| **all** | **{f32['all']:.1f}** | **{q4['all']:.1f}** |",
    )  # fmt: skip
    (folder / "README.md").write_text(card)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Indented JSON with a line end."""
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
