"""How a published model makes one vector of a text: the modules of a folder, or the `pooling_type` of a GGUF file.

In a folder, `modules.json` lists what follows the model (pooling over the tokens, dense layers, scaling to length 1),
each with a folder of its own, and `config_sentence_transformers.json` has the prompts that are put before a text.
Source: sentence-transformers 6.2, which writes them; llama.cpp's `llama_pooling_type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.embedding import Activation, Dense, EmbeddingSpec, Pooling
from hearth.checkpoint.folder_weights import open_weights
from hearth.checkpoint.mapped import PULL_AGAIN, read_json_object, read_json_objects
from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile
from hearth.hub.weights import FORMS

MODULES_FILE = "modules.json"
PROMPTS_FILE, TEXT_FILE = "config_sentence_transformers.json", "sentence_bert_config.json"
# A flag for each, in the order in which several are joined, as versions before 5.5 wrote them.
_POOLING_FLAGS: Mapping[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# By the last part of the class that a configuration names.
_ACTIVATIONS: Mapping[str, Activation] = {
    "Identity": "identity",
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
}
_GGUF_POOLINGS: Mapping[int, Pooling] = {1: "mean", 2: "cls", 3: "lasttoken"}
_GGUF_REFUSED = {
    0: "its file says that each token keeps a vector of its own (pooling_type 0)",
    4: "it ranks documents: its file asks for a score and not for a vector (pooling_type 4)",
}
_MAX_DENSE_BYTES = 1 << 30


def published_embedding(checkpoint: Checkpoint) -> EmbeddingSpec | None:
    """What a checkpoint says; None where it says nothing.

    Raises:
        CorruptFile: a file of a module is damaged or missing.
        StorageError: one cannot be opened.
    """
    if checkpoint.kind == "gguf":
        return _of_gguf(checkpoint.config.get(f"{checkpoint.architecture}.pooling_type"))
    if not (checkpoint.path / MODULES_FILE).is_file():
        return None
    return _of_folder(checkpoint.path)


def _of_gguf(pooling_type: Any) -> EmbeddingSpec | None:
    if pooling_type is None:
        return None
    if pooling_type in _GGUF_POOLINGS:  # llama.cpp scales what it pools
        return EmbeddingSpec((_GGUF_POOLINGS[pooling_type],), ("normalize",))
    unknown = f"its file asks for the unknown pooling_type {str(pooling_type)[:40]}"
    return EmbeddingSpec(refused=_GGUF_REFUSED.get(pooling_type, unknown))


def identity_files(folder: Path) -> list[Path]:
    """The files of a folder that decide how vectors are made of texts."""
    if not (folder / MODULES_FILE).is_file():
        return []
    top = (folder / name for name in (MODULES_FILE, PROMPTS_FILE, TEXT_FILE))
    inside = (
        file for name in ("config.json", *(form.single for form in FORMS)) for file in folder.glob(f"[0-9]*_*/{name}")
    )
    return [file for file in (*top, *sorted(inside)) if file.is_file()]


def _of_folder(folder: Path) -> EmbeddingSpec:
    spec: dict[str, Any] = {"steps": ()}
    for number, module in enumerate(read_json_objects(folder / MODULES_FILE)):
        kind = str(module.get("type", "")).rpartition(".")[2]
        place = module.get("path", "")
        if not isinstance(place, str) or (place and PurePosixPath(place).name != place) or place == "..":
            raise CorruptFile(f"{MODULES_FILE} names the folder {str(place)[:80]!r}.", hint=PULL_AGAIN)
        config = folder / place / "config.json"
        if number == 0 and kind == "Transformer" and not place:
            continue
        if kind == "Pooling" and "pooling" not in spec and not spec["steps"]:
            spec |= _pooling(read_json_object(config))
        elif kind == "Normalize" and "pooling" in spec:
            spec["steps"] += ("normalize",)
        elif kind == "Dense" and "pooling" in spec:
            dense = _dense(folder / place, read_json_object(config))
            if isinstance(dense, str):
                return EmbeddingSpec(refused=dense)
            spec["steps"] += (dense,)
        elif kind != "Dropout":  # which does nothing but in training
            return EmbeddingSpec(refused=f"Hearth does not compute the module {kind[:40]!r} of its {MODULES_FILE}")
    if "pooling" not in spec:
        return EmbeddingSpec(refused=f"its {MODULES_FILE} has no pooling: it does not make one vector of a text")
    if spec["pooling"] is None:
        return EmbeddingSpec(refused="it pools in a way that Hearth does not know")
    return EmbeddingSpec(**spec, **published_prompts(folder), lowercase=_lowercase(folder))


def _pooling(config: Mapping[str, Any]) -> dict[str, Any]:
    given = config.get("pooling_mode")
    if given is None:
        modes = [mode for flag, mode in _POOLING_FLAGS.items() if config.get(flag)] or ["mean"]
    else:
        modes = given if isinstance(given, list) else [given]
    known = bool(modes) and all(mode in get_args(Pooling) for mode in modes)
    return {"pooling": tuple(modes) if known else None, "include_prompt": config.get("include_prompt") is not False}


def _dense(folder: Path, config: Mapping[str, Any]) -> Dense | str:
    """The layer, or why it cannot be computed."""
    name = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if name not in _ACTIVATIONS:
        return f"Hearth does not compute the activation {name[:40]!r} of its module {folder.name}"
    inner = {config.get(key) or "sentence_embedding" for key in ("module_input_name", "module_output_name")}
    if config.get("use_residual") or inner != {"sentence_embedding"}:
        return f"its module {folder.name} is more than a dense layer"
    form = next((form for form in FORMS if (folder / form.single).is_file()), None)
    if form is None:
        return f"the weights of its module {folder.name} are missing"
    (file,) = open_weights(folder, form)

    def tensor(key: str, dims: int) -> NDArray[np.float32] | None:
        info = file.tensors.get(key)
        if info is None:
            return None
        dtype = {"f32": "<f4", "f16": "<f2", "bf16": "<u2"}.get(info.dtype)
        if dtype is None or len(info.shape) != dims or info.size_bytes > _MAX_DENSE_BYTES:
            raise CorruptFile(f"{folder.name}: the tensor {key!r} is no layer's.", hint=PULL_AGAIN)
        values = np.frombuffer(file.raw(key).tobytes(), dtype).reshape(info.shape)
        if info.dtype == "bf16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32)

    weight, bias = tensor("linear.weight", 2), tensor("linear.bias", 1)
    if weight is None or (bias is not None and len(bias) != len(weight)):
        raise CorruptFile(f"{folder.name}: {form.single} holds no dense layer.", hint=PULL_AGAIN)
    return Dense(weight, bias, _ACTIVATIONS[name])


def published_prompts(folder: Path) -> dict[str, Any]:
    """What is put before texts, as arguments of `EmbeddingSpec`."""
    path = folder / PROMPTS_FILE
    config = read_json_object(path) if path.is_file() else {}
    given = config.get("prompts")
    prompts = {k: v for k, v in given.items() if isinstance(v, str)} if isinstance(given, dict) else {}
    default = config.get("default_prompt_name")
    if default is not None and (not isinstance(default, str) or default not in prompts):
        return {"refused": f"its default prompt {str(default)[:40]!r} is not among its prompts"}
    return {"prompts": prompts, "default_prompt": default}


def _lowercase(folder: Path) -> bool:
    path = folder / TEXT_FILE
    return path.is_file() and read_json_object(path).get("do_lower_case") is True
