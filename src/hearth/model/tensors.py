"""Which tensors of a checkpoint the parameters of a decoder are: rule tables, and their application.

A rule gives for a parameter (`N` is the layer) the tensor that holds it, or `Fused` where several parameters share
one, or a tuple of alternatives of which the first that exists is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile, Unsupported
from hearth.model.config import DecoderConfig
from hearth.model.settings import shown
from hearth.model.weights import WeightSource, parameter_shapes


@dataclass(frozen=True)
class Fused:
    """A tensor whose rows are those of several parameters of the same layer, one after another."""

    tensor: str
    parts: tuple[str, ...]


Rule = str | Fused | tuple[str | Fused, ...]
Rules = Mapping[str, Rule]

_HF_MODEL = "model."
_HF_LAYER = _HF_MODEL + "layers.N."
LLAMA_HF: Rules = {
    "embed": "model.embed_tokens.weight",
    "layers.N.attn_norm": _HF_LAYER + "input_layernorm.weight",
    **{f"layers.N.{x}": f"{_HF_LAYER}self_attn.{x}_proj.weight" for x in "qkvo"},
    **{f"layers.N.{x}_bias": f"{_HF_LAYER}self_attn.{x}_proj.bias" for x in "qkvo"},
    "layers.N.q_norm": _HF_LAYER + "self_attn.q_norm.weight",
    "layers.N.k_norm": _HF_LAYER + "self_attn.k_norm.weight",
    "layers.N.mlp_norm": _HF_LAYER + "post_attention_layernorm.weight",
    **{f"layers.N.{x}": f"{_HF_LAYER}mlp.{x}_proj.weight" for x in ("gate", "up", "down")},
    **{f"layers.N.{x}_bias": f"{_HF_LAYER}mlp.{x}_proj.bias" for x in ("gate", "up", "down")},
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
}
LLAMA_GGUF: Rules = {
    "embed": "token_embd.weight",
    "layers.N.attn_norm": "blk.N.attn_norm.weight",
    **{f"layers.N.{x}": f"blk.N.attn_{x}.weight" for x in "qkv"},
    **{f"layers.N.{x}_bias": f"blk.N.attn_{x}.bias" for x in "qkv"},
    "layers.N.o": "blk.N.attn_output.weight",
    "layers.N.o_bias": "blk.N.attn_output.bias",
    "layers.N.q_norm": "blk.N.attn_q_norm.weight",
    "layers.N.k_norm": "blk.N.attn_k_norm.weight",
    "layers.N.attn_post_norm": "blk.N.post_attention_norm.weight",
    "layers.N.mlp_norm": "blk.N.ffn_norm.weight",
    **{f"layers.N.{x}": f"blk.N.ffn_{x}.weight" for x in ("gate", "up", "down")},
    **{f"layers.N.{x}_bias": f"blk.N.ffn_{x}.bias" for x in ("gate", "up", "down")},
    "layers.N.mlp_post_norm": "blk.N.post_ffw_norm.weight",
    "norm": "output_norm.weight",
    "head": "output.weight",
}
# Frequencies that follow from the configuration; old versions of transformers saved them.
ALWAYS_IGNORED = ("*.rotary_emb.inv_freq",)
# Rope factors, which `metadata.py` reads with the configuration.
READ_WITH_CONFIG = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}


def map_tensors(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    rules: Rules,
    *,
    prefixes: tuple[tuple[str, str], ...] = (),
    ignored: Iterable[str] = (),
    interleaved: bool = False,
) -> tuple[dict[str, WeightSource], tuple[str, ...]]:
    """Finds each parameter's tensor and accounts for every tensor of the file.

    Args:
        rules: the family's table for this file format.
        prefixes: beginnings of tensor names and what they stand for in the table.
        ignored: patterns of tensors that may be left out.
        interleaved: q and k heads are stored as llama.cpp interleaves them.

    Returns:
        The source of every parameter of `parameter_shapes(config)`, and the names of the tensors left out.

    Raises:
        CorruptFile: a tensor is missing or has another shape than the configuration says.
        Unsupported: the file has a tensor that no rule knows, or one of a type that Hearth cannot use.
    """
    names = {_renamed(name, prefixes): name for name in checkpoint.tensors}
    if checkpoint.kind == "safetensors" and not any(name.startswith(_HF_MODEL) for name in names):
        # Saved from the base model, whose tensors lack the name that it has inside of the whole.
        names = {n if n.startswith("lm_head.") else _HF_MODEL + n: name for n, name in names.items()}
    shapes = parameter_shapes(config)
    sources: dict[str, WeightSource] = {}
    for parameter, shape in shapes.items():
        rule = _find(parameter, rules, names)
        rows, stored = _rows(parameter, rule, shapes)
        tensor = rule.tensor if isinstance(rule, Fused) else rule
        if tensor not in names:
            raise CorruptFile(f"The tensor {tensor!r} is missing.", why=f"The {config.family} model needs it.")
        info = checkpoint.tensors[names[tensor]]
        if info.shape != stored:
            raise CorruptFile(
                f"The tensor {info.name!r} has the shape {list(info.shape)}.",
                why=f"The configuration of this {config.family} model says {list(stored)}.",
            )
        require_readable(info, checkpoint.kind)
        permutation = None
        if interleaved and parameter.rpartition(".")[2] in ("q", "k", "q_bias", "k_bias"):
            permutation = uninterleave(shape[0], config.head_dim)
        sources[parameter] = WeightSource(info.name, rows, permutation)

    used = {source.tensor for source in sources.values()}
    if checkpoint.kind == "gguf":
        used |= READ_WITH_CONFIG
    patterns = (*ALWAYS_IGNORED, *ignored)
    unused = tuple(name for name in checkpoint.tensors if name not in used)
    for name in unused:
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            raise Unsupported(
                f"The tensor {shown(name)} has no place in a {config.family} model.",
                why="Leaving it out could change what the model computes.",
            )
    return sources, unused


def uninterleave(rows: int, head_dim: int) -> NDArray[np.int64]:
    """For q and k of llama.cpp's interleaved architectures: row i of the parameter is row `result[i]` of the file.

    The file has pair i of a head in its rows 2i and 2i + 1; Hearth has it in rows i and i + head_dim / 2.
    """
    heads = np.arange(rows, dtype=np.int64).reshape(rows // head_dim, head_dim // 2, 2)
    return heads.swapaxes(1, 2).reshape(rows)


def _find(parameter: str, rules: Rules, names: Mapping[str, str]) -> str | Fused:
    """The rule for one parameter, with its layer filled in; the first alternative that exists, or else the first."""
    scope, _, rest = parameter.partition(".")
    index, _, field = rest.partition(".")
    rule = rules[f"layers.N.{field}" if scope == "layers" else parameter]
    alternatives = rule if isinstance(rule, tuple) else (rule,)
    filled = [
        Fused(a.tensor.replace("N", index), a.parts) if isinstance(a, Fused) else a.replace("N", index)
        for a in alternatives
    ]
    return next((f for f in filled if (f.tensor if isinstance(f, Fused) else f) in names), filled[0])


def _rows(
    parameter: str, rule: str | Fused, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[int, int] | None, tuple[int, ...]]:
    """Which rows of its tensor a parameter is, and the shape that the whole tensor must have."""
    shape = shapes[parameter]
    if not isinstance(rule, Fused):
        return None, shape
    layer, _, field = parameter.rpartition(".")
    sizes = [shapes[f"{layer}.{part}"][0] for part in rule.parts]
    begin = sum(sizes[: rule.parts.index(field)])
    return (begin, begin + shape[0]), (sum(sizes), *shape[1:])


def _renamed(name: str, prefixes: tuple[tuple[str, str], ...]) -> str:
    for prefix, meaning in prefixes:
        if name.startswith(prefix):
            return meaning + name.removeprefix(prefix)
    return name
