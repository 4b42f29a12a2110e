"""A checkpoint as Hugging Face publishes it: a folder with config.json and files of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.folder_weights import file_of_each, open_weights
from hearth.checkpoint.mapped import PULL_AGAIN, fingerprint_files, map_file, read_json_object
from hearth.checkpoint.sentence_modules import identity_files
from hearth.checkpoint.tokenizer.hf import SENTENCEPIECE_FILES, hf_tokenizer, rank_files, template_files
from hearth.checkpoint.types import SourceKind, TensorInfo, TokenizerSpec
from hearth.errors import ModelNotFound, Unsupported
from hearth.hub.foreign import names_in, refuse_foreign
from hearth.hub.weights import FORMS, QUANTISATION_FILES, SAFETENSORS, form_in

TIMM = "timm"
"""What stands for `model_type` where the configuration is one of timm's, which names a model and no family."""

# Everything besides the weights that decides what a model says.
_IDENTITY_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    *SENTENCEPIECE_FILES,
    "tekken.json",
    "vocab.json",
    "merges.txt",
    "rwkv_vocab_v20230424.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    *QUANTISATION_FILES,
    *(form.index for form in FORMS),
)


class FolderCheckpoint:
    """A `Checkpoint` over a folder. Opening it reads config.json and what the files of weights say is in them.

    Raises:
        ModelNotFound: the folder has no config.json or no weights.
        CorruptFile: a file is damaged, truncated, hostile or missing.
        Unsupported: weights only in a form that Hearth does not read, or an unknown tensor type.
    """

    kind: SourceKind = "safetensors"  # whatever its form, which says how tensors are named

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
        form = form_in(path)
        if form is None:
            refuse_foreign(str(path), names_in(path), path)
            raise ModelNotFound(
                f"{path} has no weights.",
                why=f"Neither {SAFETENSORS.single} nor {SAFETENSORS.index} is there.",
                hint=PULL_AGAIN,
            )
        self._files = open_weights(path, form)
        self._file_of = file_of_each(self._files)
        self.tensors: Mapping[str, TensorInfo] = {name: file.tensors[name] for name, file in self._file_of.items()}

    def raw(self, name: str) -> NDArray[np.uint8]:
        """See `Checkpoint.raw`. Raises KeyError for an unknown name, Unsupported for a type Hearth cannot use."""
        return self._file_of[name].raw(name)

    def stored(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor of any type, mapped. Raises KeyError for an unknown name."""
        return self._file_of[name].stored(name)

    def fingerprint(self) -> str:
        """See `Checkpoint.fingerprint`."""
        present = [self.path / name for name in _IDENTITY_FILES if (self.path / name).is_file()]
        present += [file for file in template_files(self.path) if file.is_file()]
        present += rank_files(self.path)
        present += identity_files(self.path)
        whole: list[tuple[str, bytes | NDArray[np.uint8]]] = [
            (file.relative_to(self.path).as_posix(), map_file(file)) for file in present
        ]
        whole += [(f"{file.path.name}:header", file.identity) for file in self._files]
        return fingerprint_files(whole, [file.path for file in self._files])

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
