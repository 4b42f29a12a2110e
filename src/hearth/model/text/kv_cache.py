"""Number formats of the KV pages: how keys and values of a page and KV head lie in memory (docs/architecture.md).

`float16` and `float32` are plain numbers. `int8` has scales: keys one for each token and `key_group` dimensions, since
some dimensions of keys are far larger than others; values one for each token.
"""

from __future__ import annotations

from typing import Literal

from hearth.model.text.config import DecoderConfig

KvDtype = Literal["float16", "float32", "int8"]
KvFormat = Literal["f16", "q8"]
"""As people choose it; with `precision="high"` f32 unless they do."""
KV_DTYPES: dict[str, KvDtype] = {"f16": "float16", "q8": "int8", "f32": "float32"}
PAGE_TOKENS = 16
ITEM_BYTES: dict[str, int] = {"float16": 2, "float32": 4, "int8": 1}
SCALE_BYTES = 2


def kv_format(kv: KvFormat | None, precision: str) -> str:
    """The format's name: a key of `KV_DTYPES`."""
    return kv or ("f32" if precision == "high" else "f16")


def key_group(hp: int) -> int:
    """Dimensions of a key that share a scale."""
    return 32 if hp % 32 == 0 else 16


def block_bytes(kind: str, kv_dtype: str, hp: int) -> int:
    """Bytes of the keys ("k") or values ("v") of one page and KV head; `hp` the padded head size."""
    size = hp * PAGE_TOKENS * ITEM_BYTES[kv_dtype]
    if kv_dtype == "int8":
        size += PAGE_TOKENS * SCALE_BYTES * (hp // key_group(hp) if kind == "k" else 1)
    return size


def padded_head(head_dim: int) -> int:
    """Head size in the KV pages and in rotated queries: a multiple of 16 lanes."""
    return -(-head_dim // 16) * 16


def page_kinds(config: DecoderConfig) -> str:
    """What layers keep of a token: keys "k" and values "v"; where values are a part of the keys, these alone."""
    return "k" if config.latent else "kv"


def attending(config: DecoderConfig) -> list[int]:
    """The layers that have keys and values of their own, that which predicts further tokens among them."""
    return [i for i, layer in enumerate(config.blocks) if layer.attends and layer.reads is None]


def slot_bytes(config: DecoderConfig) -> dict[str, int]:
    """Bytes of one slot (what all layers know of one sequence) of each region of recurrent state, by its name."""
    return {
        f"layers.{i}.{name}": 4 * numbers
        for i, layer in enumerate(config.layers)
        for mixer in layer.mixers
        for name, numbers in mixer.states().items()
    }


def kv_page_bytes(config: DecoderConfig, kv_dtype: str) -> dict[str, int]:
    """Bytes of one page (`PAGE_TOKENS` tokens) of each region of keys or values, by its name."""
    sizes: dict[str, int] = {}
    for i in attending(config):
        hp, heads = padded_head(config.head_dim_of(config.blocks[i])), config.num_kv_heads_of(config.blocks[i])
        kinds = page_kinds(config)
        sizes |= {f"layers.{i}.{kind}_pages": heads * block_bytes(kind, kv_dtype, hp) for kind in kinds}
    return sizes
