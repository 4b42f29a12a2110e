"""RWKV 6 and 7, which transformers does not have: their weights by the names of published folders, computed by the
program of their authors (`pip install rwkv`), which reads files of its own names."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig

Shapes = dict[str, tuple[int, ...]]


class _Rwkv(nn.Module):
    """Weights of a model, and what its authors' program makes of them."""

    version: str
    config_class: type[PreTrainedConfig]

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self._names: dict[str, str] = {}
        for name, shape in self.shapes(config).items():
            self._names[name.replace(".", "/")] = name
            self.register_parameter(name.replace(".", "/"), nn.Parameter(torch.zeros(shape)))

    def shapes(self, config: Any) -> Shapes:
        raise NotImplementedError

    def published(self, name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
        """A weight as files of the authors have it."""
        raise NotImplementedError

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return ((self._names[name], value) for name, value in super().named_parameters(*args, **kwargs))

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return {self._names[name]: value for name, value in super().state_dict(*args, **kwargs).items()}

    def tie_weights(self) -> None:
        pass

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
        weights = dict(self.published(name, value.detach()) for name, value in self.named_parameters())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            torch.save(weights, f"{path}.pth")
            program = _program(self.version).RWKV(model=str(path), strategy="cpu fp32")
            logits, _ = program.forward(input_ids[0].tolist(), None, full_output=True)
        return SimpleNamespace(logits=logits.float()[None])


def _program(version: str) -> Any:
    """The package, as it is for one version of RWKV."""
    os.environ |= {"RWKV_V7_ON": "1" if version == "7" else "0", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
    sys.modules.pop("rwkv.model", None)
    return importlib.import_module("rwkv.model")


def _both(*modules: str, size: int) -> Shapes:
    return {f"{module}.{kind}": (size,) for module in modules for kind in ("weight", "bias")}


class Rwkv7Config(PreTrainedConfig):
    model_type = "rwkv7"


class Rwkv7ForCausalLM(_Rwkv):
    """By the names of flash-linear-attention."""

    version, config_class = "7", Rwkv7Config

    def shapes(self, config: Any) -> Shapes:
        hidden, size = config.hidden_size, config.head_dim
        ranks = {part: getattr(config, f"{name}_low_rank_dim") for part, name in zip(
            "wavg", ("decay", "a", "v", "gate"), strict=True
        )}  # fmt: skip
        made: Shapes = {
            "model.embeddings.weight": (config.vocab_size, hidden),
            "lm_head.weight": (config.vocab_size, hidden),
        }
        made |= _both("model.norm", "model.layers.0.pre_norm", size=hidden)
        for layer in (f"model.layers.{i}." for i in range(config.num_hidden_layers)):
            attn, ffn = layer + "attn.", layer + "ffn."
            made |= _both(layer + "attn_norm", layer + "ffn_norm", attn + "g_norm", size=hidden)
            made |= {f"{attn}x_{part}": (1, 1, hidden) for part in "rwkvag"}
            made |= {f"{attn}{part}_proj.weight": (hidden, hidden) for part in "rkvo"}
            made |= {attn + "k_k": (hidden,), attn + "k_a": (hidden,), attn + "r_k": (hidden // size, size)}
            for part, rank in ranks.items():
                if part == "v" and ".0." in layer:
                    continue
                made |= {f"{attn}{part}_lora.lora.0.weight": (rank, hidden)}
                made |= {f"{attn}{part}_lora.lora.2.weight": (hidden, rank)}
                made |= {f"{attn}{part}_lora.lora.2.bias": (hidden,)} if part != "g" else {}
            made |= {ffn + "x_k": (hidden,), ffn + "key.weight": (config.intermediate_size, hidden)}
            made |= {ffn + "value.weight": (hidden, config.intermediate_size)}
        return made

    def published(self, name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
        name = name.removeprefix("model.").replace("layers.", "blocks.").replace(".attn.", ".att.")
        for ours, theirs in (
            ("embeddings", "emb"), ("lm_head", "head"), ("pre_norm", "ln0"), ("attn_norm", "ln1"), ("ffn_norm", "ln2"),
            ("g_norm", "ln_x"), ("att.r_proj", "att.receptance"), ("att.k_proj", "att.key"),
            ("att.v_proj", "att.value"), ("att.o_proj", "att.output"), ("_lora.lora.0.weight", "1"),
            ("_lora.lora.2.weight", "2"), ("_lora.lora.2.bias", "0"),
        ):  # fmt: skip
            name = name.replace(ours, theirs)
        name = name.replace("norm.", "ln_out.") if name.startswith("norm.") else name
        return name, value.T.contiguous() if name[-2:] in {f"{part}{way}" for part in "wavg" for way in "12"} else value


class Rwkv6Config(PreTrainedConfig):
    model_type = "rwkv6"


class Rwkv6ForCausalLM(_Rwkv):
    """By the names of its authors' folders."""

    version, config_class = "6", Rwkv6Config

    def shapes(self, config: Any) -> Shapes:
        hidden, size, shift, decay = config.hidden_size, config.head_size, 32, 64
        made: Shapes = {
            "rwkv.embeddings.weight": (config.vocab_size, hidden),
            "head.weight": (config.vocab_size, hidden),
        }
        made |= _both("rwkv.ln_out", "rwkv.blocks.0.pre_ln", size=hidden)
        for layer in (f"rwkv.blocks.{i}." for i in range(config.num_hidden_layers)):
            attention, feed = layer + "attention.", layer + "feed_forward."
            made |= _both(layer + "ln1", layer + "ln2", attention + "ln_x", size=hidden)
            made |= {f"{attention}time_maa_{part}": (1, 1, hidden) for part in "xwkvrg"}
            made |= {attention + "time_maa_w1": (hidden, 5 * shift), attention + "time_maa_w2": (5, shift, hidden)}
            made |= {attention + "time_decay": (1, 1, hidden), attention + "time_faaaa": (hidden // size, size)}
            made |= {attention + "time_decay_w1": (hidden, decay), attention + "time_decay_w2": (decay, hidden)}
            products = ("receptance", "key", "value", "gate", "output")
            made |= {f"{attention}{name}.weight": (hidden, hidden) for name in products}
            made |= {f"{feed}time_maa_{part}": (1, 1, hidden) for part in "kr"}
            made |= {
                feed + "key.weight": (config.intermediate_size, hidden),
                feed + "receptance.weight": (hidden, hidden),
            }
            made |= {feed + "value.weight": (hidden, config.intermediate_size)}
        return made

    def published(self, name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
        name = name.removeprefix("rwkv.").replace("embeddings", "emb").replace("pre_ln", "ln0")
        return name.replace(".attention.", ".att.").replace(".feed_forward.", ".ffn."), value
