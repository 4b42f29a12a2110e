"""Folders and repositories that hold something else than a model Hearth reads, told by the names of their files.

The hub knows names only, and a folder that is refused is not opened: what a file holds is said by `checkpoint`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from hearth.errors import Unsupported

_BESIDE = "It goes with its model: hearth chat MODEL --lora ADAPTER."
_CONVERTED = "Look for the same model with *.safetensors weights and a config.json, or as a GGUF file."
_MAX_CONFIG_BYTES = 1 << 20
# What stands in a folder of a kind (as patterns), what it is, and what to do; the first that fits counts.
_KINDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("model_index.json",),
        "a diffusion pipeline, which makes pictures, video or sound",
        "Hearth runs language models; not yet others.",
    ),
    (("adapter_config.json", "adapter_model.*"), "an adapter (LoRA and the like): a change to another model", _BESIDE),
    (
        ("*.onnx", "onnx/*.onnx"),
        "a model in ONNX form",
        f"{_CONVERTED} The graph itself is compiled by `hearth compile FILE.onnx`, to be run with arrays; an encoder"
        " is opened by `hearth embed FILE.onnx`, with its config.json beside it.",
    ),
    (("openvino_model.xml", "openvino_*.xml"), "a model in OpenVINO form", _CONVERTED),
    (("*.mlmodelc/*", "*.mlpackage/*", "*.mlmodel"), "a Core ML model", _CONVERTED),
    (("*.tflite", "*.task", "*.litertlm"), "a LiteRT (TensorFlow Lite) model", _CONVERTED),
    (("tf_model.h5", "*.h5", "*.keras", "saved_model.pb"), "a TensorFlow model", _CONVERTED),
    (("flax_model.msgpack", "*.msgpack"), "a Flax model", _CONVERTED),
    (("rank*.engine", "*.engine", "*.plan"), "a TensorRT engine", _CONVERTED),
    (("mlc-chat-config.json", "ndarray-cache.json"), "a model compiled for MLC", _CONVERTED),
    (("params.json",), "a model in its authors' own layout (params.json, consolidated weights)", _CONVERTED),
    (
        ("*.bin", "*.pth", "*.pt", "*.ckpt", "*.pkl"),
        "a model whose weights are Python pickles in a layout of its authors' own",
        f"{_CONVERTED} Of what torch.save writes Hearth reads pytorch_model.bin beside a config.json, and some single"
        " files (`hearth vision FILE.pth`).",
    ),
)


def refuse_foreign(place: str, names: Collection[str], folder: Path | None = None) -> None:
    """Raises Unsupported, saying what it is, where the names tell of something that is no model for Hearth.

    Args:
        place: the folder or repository, as the error shall call it.
        names: paths of its files, with `/`. It has no weights that Hearth reads, so these say what it is instead.
        folder: where the files are, if they are on this disk.
    """
    for patterns, what, hint in _KINDS:
        shown = next((name for name in sorted(names) if any(fnmatchcase(name, p) for p in patterns)), None)
        if shown is not None:
            base = _base_model(folder) if "adapter_config.json" in patterns else ""
            why = f"It holds {shown}" + (f", made for {base}." if base else ".")
            raise Unsupported(f"{place} is {what}.", why=why, hint=hint)


def _base_model(folder: Path | None) -> str:
    """The model that an adapter changes, where it says so."""
    if folder is None:
        return ""
    path = folder / "adapter_config.json"
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        if path.stat().st_size <= _MAX_CONFIG_BYTES:
            base = json.loads(path.read_text("utf-8-sig")).get("base_model_name_or_path")
            if isinstance(base, str) and base.isprintable():
                return base[:200]
    return ""


def names_in(folder: Path) -> list[str]:
    """Paths of the files in a folder and one level below, links to folders aside."""
    found = []
    for entry in folder.iterdir():
        if entry.is_file():
            found.append(entry.name)
        elif entry.is_dir() and not entry.is_symlink():
            with suppress(OSError):
                found += [f"{entry.name}/{inner.name}" for inner in entry.iterdir()]
    return found
