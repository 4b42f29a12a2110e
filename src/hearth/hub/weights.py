"""How the files of weights in a Hugging Face folder are called, in each form that Hearth reads."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from hearth.hub.ggufs import models_among


@dataclass(frozen=True)
class WeightForm:
    """One form of weights.

    Attributes:
        single: the name of the file that has all of them.
        ending: of all files of the form.
        by_ending: any file with that ending has weights; else only those whose names begin as `single` does.
    """

    single: str
    ending: str
    by_ending: bool

    @property
    def index(self) -> str:
        """The file that says which tensor is in which shard."""
        return f"{self.single}.index.json"

    def is_weights(self, name: str) -> bool:
        """Whether a file has weights, by its name."""
        return name == self.single or (name.endswith(self.ending) and (self.by_ending or self.is_shard(name)))

    def is_shard(self, name: str) -> bool:
        """Whether a file is one of those that the weights were cut into."""
        found = SHARD.fullmatch(name)
        return found is not None and self.single == f"{found['stem']}{found['suffix']}"

    def is_plain_name(self, name: Any) -> bool:
        """Whether an index may name such a file: it stays in its folder."""
        return (
            isinstance(name, str)
            and name.endswith(self.ending)
            and "\0" not in name
            and PurePosixPath(name).name == name
            and PureWindowsPath(name).name == name  # no backslash, no drive letter
        )


SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.safetensors|\.bin)")
SAFETENSORS = WeightForm("model.safetensors", ".safetensors", by_ending=True)
TORCH = WeightForm("pytorch_model.bin", ".bin", by_ending=False)
"""What torch.save wrote: most models from before 2023 have nothing else. Other files of the ending are of training."""
FORMS = (SAFETENSORS, TORCH)
QUANTISATION_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
"""What says how weights were quantised where config.json does not: files of AutoGPTQ, AutoAWQ and Model Optimizer."""


def form_among(names: Collection[str]) -> WeightForm | None:
    """The form in which a folder with these files is read: safetensors where there are any; what torch.save wrote only
    where there is no GGUF file either."""
    for form in FORMS:
        if form is TORCH and models_among(names):
            continue
        if any(name == form.index or form.is_weights(name) for name in names):
            return form
    return None


def form_in(folder: Path) -> WeightForm | None:
    """`form_among` the files of a folder."""
    return form_among([path.name for path in folder.iterdir()])
