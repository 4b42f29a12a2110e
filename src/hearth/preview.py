"""A model on the hub, looked into before its weights come: what it is and how large it will be.

A folder says it in config.json. A GGUF file says it in its header, of which a few MiB are fetched; the rest is a hole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from hearth.checkpoint.folder import model_type_of
from hearth.checkpoint.gguf import GgufCheckpoint
from hearth.checkpoint.gguf_file import header_size
from hearth.checkpoint.mapped import parse_json_object
from hearth.checkpoint.quantised import expected_type, refuse_unreadable
from hearth.checkpoint.safetensors import MAX_HEADER_BYTES
from hearth.checkpoint.types import Checkpoint, SourceKind
from hearth.hub import Remote
from hearth.hub.files import GgufModel, RemoteFile
from hearth.hub.weights import FORMS, SAFETENSORS
from hearth.model import DecoderConfig, load_family, parameter_shapes
from hearth.model.encoder import parameters as encoder_parameters
from hearth.model.encoder.config import EncoderConfig
from hearth.model.encoder.load import encoder_family, load_encoder, load_encoder_config
from hearth.model.kinds import VISION, KindName, kind_by_config, refuse_other_kinds
from hearth.model.other_kinds import refuse_other_heads
from hearth.model.text.parameters import parameter_role
from hearth.model.vision.part import Part
from hearth.model.vlm.load import load_config, sight_of_config
from hearth.model.weights import tensor_type
from hearth.sizes import ModelSize, encoder_size, size_of

T = TypeVar("T")

# Headers hold the vocabulary, which decides their length: half a MiB to some ten.
_HEADER_STEPS = (1 << 20, 4 << 20, 16 << 20, 64 << 20)


@dataclass(frozen=True)
class Preview:
    """What a model is, as far as that can be known without its weights.

    Attributes:
        dtypes: the tensor type of each parameter.
        sight: what sees, of a model that does.
    """

    config: DecoderConfig
    kind: SourceKind
    dtypes: Mapping[str, str]
    sight: Part | None = None

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return sum(prod(shape) for shape in parameter_shapes(self.config).values())

    def size(self, *, quant: str | None = None, head: str | None = None, kv: str = "f16") -> ModelSize:
        """How large it is when it is compiled, as `sizes.size_of`."""
        return size_of(self.config, self.dtypes.__getitem__, self.kind, quant=quant, head=head, kv=kv, sight=self.sight)


def look_into(remote: Remote, *, context: int | None = None) -> Preview | None:
    """Reads a model's configuration.

    Args:
        context: tokens to prepare for, as `load_family`.

    Returns:
        None where the server sends only whole files, so that a GGUF file has to be downloaded to be read.

    Raises:
        Unsupported, CorruptFile: it is of a kind that Hearth does not run, or damaged. NetworkError: it does not come.
    """
    if remote.selection.gguf is not None:
        return _gguf(remote, remote.selection.gguf, lambda checkpoint: _of_decoder(checkpoint, context))
    config = parse_json_object(remote.text("config.json") or b"{}", "config.json")
    decoder = load_config(config, model_type_of(config), context=context)
    sight = sight_of_config(config, model_type_of(config), decoder)
    part = None if sight is None else sight.part
    body = expected_type(config, _beside(remote))
    dtypes = {
        name: body if parameter_role(name) in ("body", "experts") else "bf16" for name in parameter_shapes(decoder)
    }
    return Preview(decoder, "safetensors", dtypes, part)


def refuse_by_tensors(remote: Remote) -> None:
    """Refuses a folder whose tensors tell what its configuration does not: numbers of a kind that Hearth does not read,
    a head of another task.

    Raises:
        Unsupported: it is such a model. NetworkError: the names do not come.
    """
    if remote.selection.gguf is None:
        config = parse_json_object(remote.text("config.json") or b"{}", "config.json")
        names = _tensor_names(remote)
        refuse_other_heads("The model", config, names)
        refuse_unreadable("The model", config, names, _beside(remote))


def _beside(remote: Remote) -> Callable[[str], Mapping[str, Any] | None]:
    """The small files of a folder on the hub."""

    def read(name: str) -> Mapping[str, Any] | None:
        text = remote.text(name)
        return None if text is None else parse_json_object(text, name)

    return read


def _tensor_names(remote: Remote) -> list[str]:
    """Of the index, or of the header of the one file; none where neither can be had."""
    for form in FORMS:
        index = remote.text(form.index)
        if index is not None:
            named = parse_json_object(index, form.index).get("weight_map")
            return list(named) if isinstance(named, dict) else []
    weights = (file.path for file in remote.selection.weights if "/" not in file.path)
    files = [path for path in weights if SAFETENSORS.is_weights(path)]
    length = remote.read(files[0], 0, 8) if len(files) == 1 else None
    if length is None or int.from_bytes(length, "little") > MAX_HEADER_BYTES:
        return []  # what is damaged is told when it is here
    header = remote.read(files[0], 8, 8 + int.from_bytes(length, "little"))
    return list(parse_json_object(header, f"The header of {files[0]}")) if header is not None else []


@dataclass(frozen=True)
class EncoderPreview:
    """What an encoder is, as far as that can be known without its weights; see `Preview`."""

    config: EncoderConfig
    kind: SourceKind
    dtypes: Mapping[str, str]

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return sum(prod(shape) for shape in encoder_parameters.parameter_shapes(self.config).values())

    def size(self, *, quant: str | None = None, head: str | None = None) -> ModelSize:
        """How large it is when it is compiled, as `sizes.encoder_size`."""
        return encoder_size(self.config, self.dtypes.__getitem__, self.kind, quant=quant, head=head)


def look_into_encoder(remote: Remote) -> EncoderPreview | None:
    """Reads an encoder's configuration.

    Returns:
        None where it is no encoder, or where the server sends only whole files.

    Raises: as `look_into`.
    """
    if remote.selection.gguf is not None:
        return _gguf(remote, remote.selection.gguf, _of_encoder)
    config = parse_json_object(remote.text("config.json") or b"{}", "config.json")
    encoder = load_encoder_config(config, model_type_of(config))
    if encoder is None:
        return None
    return EncoderPreview(encoder, "safetensors", dict.fromkeys(encoder_parameters.parameter_shapes(encoder), "bf16"))


def refuse_remote(remote: Remote, wanted: KindName) -> None:
    """Refuses a folder on the hub whose configuration says that it is of another kind than `wanted`. Raises: as
    `look_into`."""
    if remote.selection.gguf is None:
        config = parse_json_object(remote.text("config.json") or b"{}", "config.json")
        refuse_other_kinds("The model", wanted, model_type_of(config), "safetensors", config)


def vision_architecture(remote: Remote) -> str | None:
    """What a model that looks at pictures says that it is; None where it is something else. Raises: as `look_into`."""
    if remote.selection.gguf is not None:
        return None
    config = parse_json_object(remote.text("config.json") or b"{}", "config.json")
    found = kind_by_config(config)
    return model_type_of(config) if found is not None and found.name == VISION else None


def _of_decoder(checkpoint: Checkpoint, context: int | None) -> Preview:
    model = load_family(checkpoint, context=context)
    dtypes = {name: tensor_type(checkpoint, source) for name, source in model.sources.items()}
    return Preview(model.config, "gguf", dtypes)


def _of_encoder(checkpoint: Checkpoint) -> EncoderPreview | None:
    if encoder_family(checkpoint) is None:
        return None
    model = load_encoder(checkpoint)
    dtypes = {name: tensor_type(checkpoint, source) for name, source in model.sources.items()}
    return EncoderPreview(model.config, "gguf", dtypes)


def _gguf(remote: Remote, model: GgufModel, read: Callable[[Checkpoint], T]) -> T | None:
    """What `read` makes of a model in the GGUF format of whose files the beginnings are here.

    Returns:
        None where the server sends only whole files.
    """
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        paths = {Path(folder) / PurePosixPath(part.path).name: part for part in model.parts}
        known = {path: _beginning(remote, part, path) for path, part in paths.items()}
        if not all(known.values()):
            return None
        checkpoint = GgufCheckpoint(next(iter(paths)))
        # Factors of the rotation are tensors in this format, and a part of what the model is.
        for name in (name for name in checkpoint.tensors if name.startswith("rope_")):
            path, begin, end = checkpoint.span(name)
            values = remote.read(paths[path].path, begin, end) if end > known[path] else None
            if values is not None:
                with path.open("r+b") as stream:
                    stream.seek(begin)
                    stream.write(values)
        return read(checkpoint)


def _beginning(remote: Remote, file: RemoteFile, path: Path) -> int:
    """Writes a file with its header, the rest being a hole.

    Returns:
        Bytes that came; 0 where the server sends only whole files.
    """
    beginning = b""
    for step in _HEADER_STEPS:
        more = remote.read(file.path, len(beginning), step)
        if more is None:
            return 0
        beginning += more
        if header_size(beginning) is not None or len(beginning) == file.size_bytes:
            break
    with path.open("wb") as stream:
        stream.write(beginning)
        stream.truncate(file.size_bytes)
    return len(beginning)
