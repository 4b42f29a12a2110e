"""Makes the golden encoders and what is expected of them. Needs `pip install -e '.[reference]'`.

    cd tests && python -m golden.make_encoders [NAME...]

Weights are random (seeded by the name), drawn wide enough that results spread, and rounded to f16 so that the stored
file holds them exactly. What is expected are hidden states and logits of transformers' own classes in f64, each text
computed alone, and of these the vectors by sentence-transformers' formulas.
"""

from __future__ import annotations

import json
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from . import jina_v2
from .encoder_recipes import ENCODER_RECIPES, EncoderRecipe
from .encoder_twin import write_twin

HERE = Path(__file__).parent / "encoders"


def build_model(recipe: EncoderRecipe) -> torch.nn.Module:
    """The model of a recipe in f64, with its final weights."""
    model_class = getattr(transformers, recipe.model, None) or getattr(jina_v2, recipe.model)
    config = model_class.config_class(**recipe.config)
    config._attn_implementation = "eager"
    model = model_class(config).eval().double()
    rng = np.random.default_rng(zlib.crc32(recipe.name.encode()))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.from_numpy(_draw(rng, name, tuple(parameter.shape), config)))
    return model


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...], config: Any) -> NDArray[np.float64]:
    """Values that f16 holds exactly."""
    noise = rng.standard_normal(shape)
    if "norm" in name.lower() and len(shape) == 1 and not name.endswith("bias"):
        values = 0.3 * noise + (0.0 if config.model_type.startswith("gemma") else 1.0)
    elif len(shape) == 1:
        values = 0.3 * noise
    elif "embed" in name:
        values = 0.6 * noise
    else:
        values = 1.3 * noise / np.sqrt(shape[-1])
    return values.astype(np.float16).astype(np.float64)


def texts_of(recipe: EncoderRecipe) -> list[NDArray[np.int64]]:
    """Tokens of each text; none is padding."""
    rng = np.random.default_rng(zlib.crc32(recipe.name.encode()) + 1)
    return [rng.integers(4, recipe.config["vocab_size"], length) for length in recipe.lengths]


def types_of(recipe: EncoderRecipe, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The second half belongs to the second text of a pair."""
    return (np.arange(len(ids)) >= len(ids) / 2).astype(np.int64) * recipe.pairs


def outputs(model: torch.nn.Module, recipe: EncoderRecipe) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Hidden states of all tokens, and logits where the class has a head."""
    hidden, logits = [], []
    with torch.no_grad():
        for ids in texts_of(recipe):
            tokens = torch.from_numpy(ids)
            if isinstance(model, jina_v2.JinaBertModel):
                hidden.append(model(tokens).numpy())
                continue
            types = {"token_type_ids": torch.from_numpy(types_of(recipe, ids))[None]} if recipe.pairs else {}
            result = model(input_ids=tokens[None], output_hidden_states=True, **types)
            has_head = "logits" in result
            hidden.append((result.hidden_states[-1] if has_head else result.last_hidden_state)[0].numpy())
            if has_head:
                logits.append(result.logits.numpy().reshape(-1, result.logits.shape[-1]))
    return np.concatenate(hidden), np.concatenate(logits) if logits else None


def pooled(x: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    """As sentence-transformers' Pooling of one text without padding."""
    weights = np.arange(1, len(x) + 1)[:, None]
    return {
        "cls": x[0],
        "lasttoken": x[-1],
        "max": x.max(0),
        "mean": x.mean(0),
        "mean_sqrt_len_tokens": x.sum(0) / np.sqrt(len(x)),
        "weightedmean": (x * weights).sum(0) / weights.sum(),
    }[mode]


def write_modules(recipe: EncoderRecipe, folder: Path, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """The files of sentence-transformers; returns the weights of the layers after pooling."""
    kinds = ["Transformer", "Pooling", *("Dense" for _ in recipe.dense), *(["Normalize"] if recipe.normalize else [])]
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=1))
    size = recipe.config["hidden_size"]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    config = {"word_embedding_dimension": size, "pooling_mode": recipe.pooling}
    (folder / "1_Pooling/config.json").write_text(json.dumps(config))
    weights = []
    for index, out in enumerate(recipe.dense):
        inner = folder / f"{2 + index}_Dense"
        inner.mkdir(exist_ok=True)
        weight = (rng.standard_normal((out, size)) / np.sqrt(size)).astype(np.float16)
        identity = "torch.nn.modules.linear.Identity"
        config = {"in_features": size, "out_features": out, "bias": False, "activation_function": identity}
        (inner / "config.json").write_text(json.dumps(config))
        save_file({"linear.weight": weight}, inner / "model.safetensors", {"format": "pt"})
        weights.append(weight.astype(np.float64))
        size = out
    return weights


def make(recipe: EncoderRecipe) -> None:
    folder = HERE / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(recipe)
    hidden, result = outputs(model, recipe)
    dense = []
    if recipe.pooling:
        dense = write_modules(recipe, folder, np.random.default_rng(zlib.crc32(recipe.name.encode()) + 2))
        borders = np.cumsum([0, *recipe.lengths])
        result = np.stack([pooled(hidden[a:b], recipe.pooling) for a, b in pairwise(borders)])
        for weight in dense:
            result = result @ weight.T
        if recipe.normalize:
            result = result / np.linalg.norm(result, axis=-1, keepdims=True)
    _save(model, recipe, folder)
    types = np.concatenate([types_of(recipe, ids) for ids in texts_of(recipe)])
    np.savez_compressed(
        folder / "expected.npz",
        token_ids=np.concatenate(texts_of(recipe)).astype(np.int32),
        token_types=types.astype(np.int32),
        lengths=np.array(recipe.lengths, np.int32),
        hidden=hidden.astype(np.float32),
        result=result.astype(np.float32),
    )
    if recipe.gguf:
        write_twin(recipe, model.config, load_file(folder / "model.safetensors"), dense, folder / "twin.gguf")
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o644)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    sys.stdout.write(f"{recipe.name}: {size // 1024} KiB, spread {result.std():.2f}\n")


def _save(model: torch.nn.Module, recipe: EncoderRecipe, folder: Path) -> None:
    """As published: transformers writes the names that the authors gave."""
    if not isinstance(model, jina_v2.JinaBertModel):
        model.half().save_pretrained(folder)
        return
    save_file({k: v.numpy().astype(np.float16) for k, v in model.state_dict().items()}, folder / "model.safetensors",
              {"format": "pt"})  # fmt: skip
    config = {**model.config.to_dict(), "architectures": ["JinaBertForMaskedLM"], "position_embedding_type": "alibi",
              "feed_forward_type": "geglu"}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True))


if __name__ == "__main__":
    for recipe in ENCODER_RECIPES:
        if len(sys.argv) < 2 or recipe.name in sys.argv[1:]:
            make(recipe)
