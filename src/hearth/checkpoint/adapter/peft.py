"""Adapters as peft writes them: a folder with adapter_config.json and adapter_model.safetensors.

Tensors are `base_model.model.MODULE.lora_A.weight` [rank, in] and `...lora_B.weight` [out, rank]. What is added is
multiplied by alpha over the rank, or over its root (`use_rslora`); a module may have a rank and an alpha of its own
(`rank_pattern`, `alpha_pattern`). What does more than that is refused by its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from hearth.checkpoint.adapter.types import MERGE, Adapter, low_rank, nothing_in
from hearth.checkpoint.mapped import PULL_AGAIN, read_json_object
from hearth.checkpoint.safetensors import SafetensorsFile
from hearth.errors import CorruptFile, ModelNotFound, Unsupported

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_MAX_CONFIG_BYTES = 4 << 20
_PREFIX = "base_model.model."

_READ = frozenset(
    {
        "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "init_lora_weights",
        "base_model_name_or_path",
    }
)  # fmt: skip
# What was of use when it was trained, or says which tensors there are, which the file of weights says too.
_HARMLESS = frozenset(
    {
        "task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "target_modules", "exclude_modules",
        "lora_dropout", "fan_in_fan_out", "layers_to_transform", "layers_pattern", "megatron_core", "loftq_config",
        "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "runtime_config", "ensure_weight_tying",
    }
)  # fmt: skip
_DOES_MORE: Mapping[str, str] = {
    "use_dora": "DoRA also rescales the rows of the matrices",
    "modules_to_save": "it brings modules of its own, trained as a whole",
    "bias": "it also changes biases",
    "lora_bias": "B has a bias",
    "layer_replication": "it repeats layers of its model",
    "target_parameters": "it changes parameters that are no products' (such as the matrices of experts)",
    "trainable_token_indices": "it changes embeddings of tokens",
    "alora_invocation_tokens": "it changes only what comes behind certain tokens",
    "use_qalora": "QALoRA pools what the matrices read",
    "arrow_config": "it routes tokens among several adapters",
    "megatron_config": "it is in parts, for Megatron",
}
# Ways to begin that leave the base model as it is; others take something out of it, which only peft puts there again.
_BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal")


def open_peft(folder: Path) -> Adapter:
    """Raises as `open_adapter`."""
    if not (folder / CONFIG_FILE).is_file():
        raise ModelNotFound(
            f"{folder} holds no adapter.", why=f"There is no {CONFIG_FILE}.", hint="Name the folder that peft wrote."
        )
    config = read_json_object(folder / CONFIG_FILE, _MAX_CONFIG_BYTES)
    _refuse_what_is_more(folder, config)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise Unsupported(
            f"{folder} has no {WEIGHTS_FILE}.",
            why="Its weights are a Python pickle (adapter_model.bin)." if pickled else "",
            hint="Save it again with peft: save_pretrained(..., safe_serialization=True)." if pickled else PULL_AGAIN,
        )
    file = SafetensorsFile(weights)
    pairs: dict[str, dict[str, str]] = {}
    for name in file.tensors:
        module, which = _parted(folder, name)
        pairs.setdefault(module, {})[which] = name
    matrices = {}
    for module, names in sorted(pairs.items()):
        if len(names) < 2:
            raise CorruptFile(f"{WEIGHTS_FILE} has only one of A and B beside {module[:200]!r}.", hint=PULL_AGAIN)
        a, b = file.tensors[names["A"]], file.tensors[names["B"]]
        rank = a.shape[0] if a.shape else 0
        said = _of_module(folder, config, "r", "rank_pattern", module)
        if rank != said:
            raise CorruptFile(
                f"{WEIGHTS_FILE}: the rank of {module[:200]!r} is {rank}, and {CONFIG_FILE} says {said:g}.",
                hint=PULL_AGAIN,
            )
        alpha = _of_module(folder, config, "lora_alpha", "alpha_pattern", module)
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank) if rank else 0.0
        matrices[f"{module}.weight"] = low_rank(weights, module, a, b, scale, file.stored)
    if not matrices:
        raise nothing_in(weights)
    base = config.get("base_model_name_or_path")
    return Adapter(weights, "safetensors", base[:200] if isinstance(base, str) else "", "", matrices)


def _refuse_what_is_more(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises Unsupported for a setting that changes what is computed, and is not known to."""

    def refuse(what: str, why: str) -> NoReturn:
        raise Unsupported(f"The adapter {folder.name!r} {what}, which is not supported.", why=why, hint=MERGE)

    tuner = config.get("peft_type")
    if tuner != "LORA":
        refuse(f"is of the type {str(tuner)[:40]!r} ({CONFIG_FILE}: peft_type)", "Known: LORA.")
    for key, value in config.items():
        if key in _READ or key in _HARMLESS or not value or (key == "bias" and value == "none"):
            continue
        why = _DOES_MORE.get(key, "Hearth does not know what it changes")
        refuse(f"has {key[:60]!r} ({CONFIG_FILE})", f"{why[0].upper()}{why[1:]}.")
    begun = config.get("init_lora_weights", True)
    if not isinstance(begun, bool | str | None) or begun not in _BEGINNINGS:
        refuse(
            f"was begun by {str(begun)[:40]!r} ({CONFIG_FILE}: init_lora_weights)",
            "Its model is not the published one: a part of its weights was taken out.",
        )


def _parted(folder: Path, name: str) -> tuple[str, str]:
    """A tensor's module in the base model, and which of "A" and "B" it is."""
    for which in "AB":
        if name.startswith(_PREFIX) and name.endswith(f".lora_{which}.weight"):
            return name.removeprefix(_PREFIX).removesuffix(f".lora_{which}.weight"), which
    what = "of an embedding" if ".lora_embedding_" in name else "no part of a plain LoRA adapter"
    raise Unsupported(
        f"The adapter {folder.name!r}: the tensor {name[:200]!r} is {what}, which is not supported.", hint=MERGE
    )


def _of_module(folder: Path, config: Mapping[str, Any], key: str, patterns: str, module: str) -> float:
    """The rank or alpha of a module: its own, or that of all."""
    own = config.get(patterns) or {}
    if not isinstance(own, dict):
        raise CorruptFile(f"{CONFIG_FILE}: {patterns} is no object.", hint=PULL_AGAIN)
    value = config.get(key, 8)
    for pattern, given in own.items():
        if _means(folder, patterns, pattern, module):
            value = given
            break
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise CorruptFile(f"{CONFIG_FILE}: {key} of {module[:200]!r} is {value!r:.40}.", hint=PULL_AGAIN)
    return value


_NAME = re.compile(r"\^?[\w.\\-]+\$?", re.ASCII)


def _means(folder: Path, key: str, pattern: str, module: str) -> bool:
    """Whether a pattern means a module: by its whole name, or by the end of it. Expressions are a stranger's program,
    so of them only names are understood."""
    if not _NAME.fullmatch(pattern) or "\\" in pattern.replace("\\.", ""):
        raise Unsupported(
            f"The adapter {folder.name!r} has an expression in {key} ({CONFIG_FILE}): {pattern[:100]!r}.",
            why="Names of modules are understood, and ends of them.",
            hint=MERGE,
        )
    whole, name = pattern.startswith("^"), pattern.strip("^$").replace("\\.", ".")
    return module == name or (not whole and module.endswith("." + name))
