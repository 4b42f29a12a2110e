"""What architectures of text models need that Hearth does not compute yet, and which family comes nearest: for the
message that refuses one, and for docs/families.md.

Names are `model_type`s of config.json and `general.architecture`s of GGUF files. What a name needs is read in
transformers' and llama.cpp's sources. A name leaves this table when its family comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A part of a network that is not there.

    Attributes:
        what: as it is said of a model: "It needs ...".
        names: architectures, each with the `name` of the family that comes nearest.
    """

    what: str
    names: Mapping[str, str]


BLOCKS: tuple[Block, ...] = (
    Block("two blocks of attention to a layer, and experts that compute nothing", {"longcat_flash": "deepseek_v3"}),
    Block(
        "Kimi delta attention, which forgets by channel",
        {"bailing_hybrid": "kimi_linear", "bailingmoe3": "kimi_linear"},
    ),
    Block(
        "attention to tokens that an indexer picks",
        {"deepseek_v32": "deepseek_v3", "glm_moe_dsa": "glm4_moe_lite", "glm-dsa": "glm4_moe_lite",
         "qwen4exp": "qwen3_5", "qwen4_exp": "qwen3_5", "qwen4_exp_text": "qwen3_5", "axk2": "deepseek_v3",
         "deepseek_v4": "deepseek_v3", "hy_v4": "hy_v3", "minimax_m3_vl_text": "minimax_m2"},
    ),
    Block("one block of attention that many layers share", {"zamba": "jamba", "zamba2": "bamba"}),
    Block("Mamba 2 whose heads have steps from a product of low rank", {"plamo2": "bamba"}),
    Block(
        "layers whose heads or widths differ",
        {"deci": "openelm", "nemotron-nas": "openelm", "step3p5": "qwen3_moe",
         "step35": "qwen3_moe"},
    ),
    Block("lightning attention, whose state decays by head", {"minimax": "minimax_m2"}),
    Block("experts chosen one after another, each weighed among those near it", {"phimoe": "mixtral"}),
    Block("heads whose values are of another size than their keys", {"mimo_v2_flash": "gpt_oss", "mimo2": "gpt_oss"}),
    Block("LayerNorms with biases for the heads of q and k", {"persimmon": "gpt_neox"}),
    Block("a norm behind experts alone", {"axk1": "deepseek_v3"}),
    Block("experts whose correction is added before the sigmoids", {"kolibri1": "exaone_moe"}),
    Block("experts in attention", {"jetmoe": "granitemoe"}),
    Block("attention that another attention is subtracted from", {"diffllama": "llama"}),
    Block("a mask that is made of values", {"doge": "qwen3"}),
    Block("convolutions over compressed queries and keys", {"zaya": "qwen3_moe"}),
    Block("gated linear recurrent units", {"recurrent_gemma": "gemma2"}),
    Block("positions of sines and cosines that are added", {"xglm": "opt"}),
    Block("text that is written all at once, step by step less noisy", {"llada": "llama", "dream": "qwen2"}),
)  # fmt: skip


def missing(architecture: str) -> tuple[str, str] | None:
    """What an architecture needs that is not there, and the name of the nearest family; None: nobody knows of it."""
    for block in BLOCKS:
        if architecture in block.names:
            return block.what, block.names[architecture]
    return None
