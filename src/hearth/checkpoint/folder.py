"""A checkpoint as Hugging Face publishes it: a folder with config.json and safetensors files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.mapped import PULL_AGAIN, fingerprint_files, map_file, read_json_object
from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.safetensors import Located, read_header
from hearth.checkpoint.sentence_modules import identity_files
from hearth.checkpoint.tokenizer.hf import hf_tokenizer, template_files
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import CorruptFile, ModelNotFound, Unsupported
from hearth.hub.foreign import names_in, refuse_foreign

TIMM = "timm"
"""What stands for `model_type` where the configuration is one of timm's, which names a model and no family."""

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")
# Everything besides the weights that decides what a model says.
_IDENTITY_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "tekken.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    _INDEX,
)


class SafetensorsCheckpoint:
    """A `Checkpoint` over a folder. Opening it reads config.json and the headers of the weight files, no weights.

    Raises:
        ModelNotFound: the folder has no config.json or no weights.
        CorruptFile: a file is damaged, truncated or missing.
        Unsupported: weights only in a form that Hearth does not read, or an unknown tensor type.
    """

    kind: SourceKind = "safetensors"

    def __init__(self, path: Path) -> None:
        self.path = path
        config_path = path / "config.json"
        if not config_path.is_file():
            if path.is_dir():
                refuse_foreign(str(path), names_in(path), path)
            raise ModelNotFound(
                f"{path} has no config.json.",
                why="A model folder holds config.json, model.safetensors (or its shards) and a tokenizer.",
                hint="Give the folder that the model was published as, or a .gguf file.",
            )
        self.config: Mapping[str, Any] = read_json_object(config_path)
        self.architecture: str = model_type_of(self.config)
        self._located: dict[str, Located] = {}
        self._headers: list[tuple[str, int]] = []
        self._files = _weight_files(path)
        for file in self._files:
            self._add(file)
        self.tensors: Mapping[str, TensorInfo] = {name: found.info for name, found in self._located.items()}
        self._maps: dict[Path, NDArray[np.uint8]] = {}

    def _add(self, file: Path) -> None:
        tensors, header_size = read_header(file)
        self._headers.append((file.name, header_size))
        for name, tensor in tensors.items():
            if name in self._located:
                raise CorruptFile(
                    f"Tensor {name[:200]!r} stands in {self._located[name].file.name} and in {file.name}.",
                    why="Shards of a sound model share no tensor.",
                    hint=PULL_AGAIN,
                )
            self._located[name] = tensor

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`. Raises KeyError for an unknown name, Unsupported for a type Hearth cannot use."""
        tensor = self._located[name]
        require_readable(tensor.info, self.kind)
        data = self._maps.get(tensor.file)
        if data is None:
            data = self._maps[tensor.file] = map_file(tensor.file)
        return data[tensor.begin : tensor.end]

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        present = [self.path / name for name in _IDENTITY_FILES if (self.path / name).is_file()]
        present += [file for file in template_files(self.path) if file.is_file()]
        present += identity_files(self.path)
        whole: list[tuple[str, bytes | NDArray[np.uint8]]] = [
            (file.relative_to(self.path).as_posix(), map_file(file)) for file in present
        ]
        whole += [(f"{name}:header", map_file(self.path / name)[:size]) for name, size in self._headers]
        return fingerprint_files(whole, self._files)

    def tokenizer(self) -> TokenizerSpec | None:
        """See `Checkpoint.tokenizer`. Raises CorruptFile, or Unsupported for an unknown kind of tokenizer."""
        return hf_tokenizer(self.path, self.config, self._num_rows())

    def _num_rows(self) -> int | None:
        """Rows of the embedding, or of the head where that is all there is of the two."""
        for ending in ("embed_tokens.weight", "lm_head.weight"):
            for name, info in self.tensors.items():
                if name.endswith(ending) and len(info.shape) == 2:
                    return info.shape[0]
        return None


def model_type_of(config: Mapping[str, Any]) -> str:
    """Which architecture a config.json says that its model has. Raises Unsupported where it does not say."""
    model_type = config.get("model_type")
    if model_type is None and isinstance(config.get("architecture"), str) and "pretrained_cfg" in config:
        return TIMM
    if not isinstance(model_type, str) or not model_type:
        raise Unsupported(
            "config.json does not say which architecture the model has.",
            why="`model_type` is missing or is not a string.",
            hint="Take config.json from the model's own repository.",
        )
    return model_type


def _weight_files(folder: Path) -> list[Path]:
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if (folder / _INDEX).is_file():
        return _shards(folder)
    if loose := _loose_shards(folder):
        return loose
    refuse_foreign(str(folder), names_in(folder), folder)
    raise ModelNotFound(
        f"{folder} has no weights.",
        why=f"Neither {_SINGLE} nor {_INDEX} is there.",
        hint=PULL_AGAIN,
    )


def _loose_shards(folder: Path) -> list[Path]:
    """All shards of a model whose index is not there; the numbers in their names say how many they are."""
    paths = sorted(path for path in folder.glob("model-*.safetensors") if _SHARD.search(path.name))
    parts = [match.groups() for path in paths if (match := _SHARD.search(path.name))]
    count = int(parts[0][1]) if parts else 0
    return paths if [int(number) for number, _ in parts] == list(range(1, count + 1)) else []


def _shards(folder: Path) -> list[Path]:
    index = read_json_object(folder / _INDEX)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CorruptFile(f"{_INDEX} names no tensors.", why="It has no `weight_map`.", hint=PULL_AGAIN)
    names: set[str] = set()
    for name in weight_map.values():
        if not _is_plain_file_name(name):
            raise CorruptFile(
                f"{_INDEX} names the shard {str(name)[:200]!r}.",
                why="A shard must be a .safetensors file inside the model's own folder.",
                hint="This file may be hostile: get the model from a source you trust.",
            )
        names.add(name)
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CorruptFile(f"{folder} lacks the shard {missing[0]}{more}.", why=f"{_INDEX} names it.", hint=PULL_AGAIN)
    return [folder / name for name in sorted(names)]


def _is_plain_file_name(name: Any) -> bool:
    return (
        isinstance(name, str)
        and name.endswith(".safetensors")
        and "\0" not in name
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name  # no backslash, no drive letter
    )
