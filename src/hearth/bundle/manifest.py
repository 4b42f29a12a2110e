"""What a bundle says of itself: `manifest.json`, read strictly.

The classes below are the schema: a manifest has exactly their fields, of exactly their types. A manifest of another
format version is told apart before anything else is looked at, so an old bundle is called old and not damaged.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from hearth.errors import BundleMismatch, CorruptFile
from hearth.model.kinds import refuse_bundle

FORMAT_VERSION = 7
"""Of the bundle folder and its manifest."""
ABI_VERSION = 5
"""Of the C API in `hearth.h`, which a bundle's library carries."""

MANIFEST = "manifest.json"
PLAN = "plan.bin"
GPU_PLAN = "gpu_plan.bin"
GPU_KERNELS = "gpu_kernels.wgsl"
"""What a language model's bundle has for GPUs."""
WEIGHTS = "weights.bin"
TOKENIZER = "tokenizer.json"
KNOWN_ANSWERS = "known_answers.json"
"""Of bundles for pages: what the model computes on a processor; `web/runtime/src/manifest.ts` has the same."""
TOKENIZER_META = "tokenizer_meta.json"
LIBRARIES = ("libhearth.so", "libhearth.dylib", "libhearth.dll")
"""Names of the library of a bundle that runs natively, which has one of them."""
WASM_LIBRARY = "libhearth-{isa}.wasm"
"""Names of the modules of a bundle for WebAssembly: one for each of its instruction sets, since an engine refuses a
module with an instruction that it does not know."""

MAX_MANIFEST_BYTES = 1 << 20

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle: SHA-256 (hex) and size of its content."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class InstructionSet:
    """One that the bundle has kernels for.

    Attributes:
        name: such as `avx2`.
        features: what a processor must have to run them, spelled as Linux does in /proc/cpuinfo (`avx2`, `asimddp`).
    """

    name: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class ModelFacts:
    """Numbers about a model of any kind, for `hearth show` and for the check that it fits in memory.

    Attributes:
        parameters: how many numbers the source holds.
        weights_bytes: size of `weights.bin`.
        arena_bytes: of the plan's arena.
    """

    parameters: int
    weights_bytes: int
    arena_bytes: int


@dataclass(frozen=True)
class TextFacts:
    """What only a language model has.

    Attributes:
        head: number format of embedding and head.
        kv: number format of keys and values: `f16`, `q8` or `f32`.
        layers: of the decoder; 1 where they have to stay on one device.
        layer_bytes: weights of the largest of these.
        vocab_size: columns of the logits.
        context_max: tokens that it can hold at most, as compiled.
        kv_bytes_per_token: of the KV cache, all layers.
        state_bytes: of the recurrent state of one sequence, all layers; 0: it has none.
        sees: it takes pictures.
        predicts: tokens that a block of its own predicts further, one from the other's; 0: it has none.
    """

    head: str
    kv: str
    layers: int
    layer_bytes: int
    vocab_size: int
    context_max: int
    kv_bytes_per_token: int
    state_bytes: int
    sees: bool
    predicts: int


@dataclass(frozen=True)
class Manifest:
    """A bundle's manifest.

    Attributes:
        format_version: of the folder, `FORMAT_VERSION`.
        abi_version: of the C API in its library, `ABI_VERSION`.
        hearth_version: that made it.
        compilers: name to version: `tvm`, `zig`, ...
        target: triple of the machine that it is for, such as `x86_64-linux-gnu`.
        instruction_sets: that it was compiled for, best first; it uses the first that the processor has.
        source_name: the model as the user named it.
        source_fingerprint: `Checkpoint.fingerprint()`.
        kind: what it is for: `text` (language models), or what the room that made it says.
        family: of the model: `llama`, `bert`...
        quant: number format of the body, `q4`; of a mixed GGUF file such as `q4_k, q6_k`.
        precision: of activations: `int8`, `high`, or `fast`, where those of prompts have one scale a token.
        facts: numbers about the model.
        text: what only a language model has; None for others.
        files: every file but the manifest.
    """

    format_version: int
    abi_version: int
    hearth_version: str
    compilers: Mapping[str, str]
    target: str
    instruction_sets: tuple[InstructionSet, ...]
    source_name: str
    source_fingerprint: str
    kind: str
    family: str
    quant: str
    precision: str
    facts: ModelFacts
    text: TextFacts | None
    files: Mapping[str, FileEntry]

    @property
    def program(self) -> tuple[str, ...]:
        """The files that are run, so that whoever changes one changes what the bundle does."""
        return tuple(name for name in (PLAN, GPU_PLAN, GPU_KERNELS, *self.libraries) if name in self.files)

    @property
    def formats(self) -> str:
        """The number formats, for people."""
        return f"{self.quant}, head {self.text.head}, KV {self.text.kv}" if self.text else self.quant

    @property
    def language(self) -> TextFacts:
        """What only a language model has.

        Raises:
            Unsupported: it is none.
        """
        if self.text is None:
            refuse_bundle(self.source_name, self.kind, self.family)
        return self.text

    @property
    def libraries(self) -> tuple[str, ...]:
        """Names of the files that hold the runtime with the kernels: one, or for WebAssembly one for each instruction
        set, best first."""
        modules = [WASM_LIBRARY.format(isa=each.name) for each in self.instruction_sets]
        return tuple(name for name in (*LIBRARIES, *modules) if name in self.files)

    @property
    def library(self) -> str:
        """Name of the library file, of several the best one."""
        return self.libraries[0]

    @property
    def isas(self) -> str:
        """Names of the instruction sets, for people."""
        return ", ".join(each.name for each in self.instruction_sets)

    def to_json(self) -> str:
        """The text of manifest.json; `from_json` gives an equal manifest back."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        data["instruction_sets"] = [asdict(each) for each in self.instruction_sets]
        data["facts"] = asdict(self.facts)
        data["text"] = asdict(self.text) if self.text else None
        data["files"] = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        data["compilers"] = dict(self.compilers)
        return json.dumps(data, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read and check a manifest.

        Raises:
            BundleMismatch: it is of another format version.
            CorruptFile: it is no JSON, lacks a field, has one too many, or holds a value that cannot be.
        """
        data = _parse(text)
        version = data.get("format_version")
        if isinstance(version, int) and version != FORMAT_VERSION:
            raise BundleMismatch(
                f"This bundle has format {version}; this Hearth reads format {FORMAT_VERSION}.",
                why="It was made by another version of Hearth.",
                hint="Compile the model again: hearth compile MODEL.",
            )
        manifest: Manifest = _read(cls, data, "manifest")
        if not manifest.instruction_sets:
            _refuse("manifest.instruction_sets is empty")
        _check_files(manifest)
        return manifest


def is_file_name(name: str) -> bool:
    """True for a plain name that may stand in a bundle: no folders, no leading dot, not the manifest itself."""
    return _FILE_NAME.fullmatch(name) is not None and name != MANIFEST


def _check_files(manifest: Manifest) -> None:
    for name, entry in manifest.files.items():
        if not is_file_name(name):
            _refuse(f"file name {name[:100]!r} is not allowed")
        if _SHA256.fullmatch(entry.sha256) is None:
            _refuse(f"files.{name}.sha256 is no SHA-256")
    for name in (PLAN, WEIGHTS):
        if name not in manifest.files:
            _refuse(f"{name} is missing from its files")
    modules = [WASM_LIBRARY.format(isa=each.name) for each in manifest.instruction_sets]
    if len(manifest.libraries) != 1 and list(manifest.libraries) != modules:
        _refuse(f"exactly one of {', '.join(LIBRARIES)} must be among its files, or all of {', '.join(modules)[:200]}")


def _refuse(why: str) -> NoReturn:
    raise CorruptFile(
        f"{MANIFEST} of a bundle is damaged: {why}.", hint="Compile the model again: hearth compile MODEL."
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        _refuse("a key stands there twice")
    return data


def _parse(text: str | bytes) -> dict[str, Any]:
    if len(text) > MAX_MANIFEST_BYTES:
        _refuse(f"it is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=lambda name: _refuse(f"{name} is no number"))
    # RecursionError: deep nesting. ValueError covers bad JSON, bad UTF-8 and integers of thousands of digits.
    except (ValueError, RecursionError) as error:
        _refuse(f"it is no JSON ({error})")
    if not isinstance(data, dict):
        _refuse("it is no JSON object")
    return data


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value`, as it came from JSON, as the type `kind`; the types that occur above are all it knows."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        table = _expect(dict, value, where)
        if missing := sorted(hints.keys() - table.keys()):
            _refuse(f"{where} lacks {', '.join(missing)}")
        if extra := sorted(table.keys() - hints.keys()):
            _refuse(f"{where} has {', '.join(repr(name[:50]) for name in extra[:5])}, which is not known")
        assert isinstance(kind, type)
        return kind(**{name: _read(hint, table[name], f"{where}.{name}") for name, hint in hints.items()})
    if get_origin(kind) is types.UnionType:  # ... | None
        return None if value is None else _read(get_args(kind)[0], value, where)
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], item, where) for item in _expect(list, value, where))
    if get_origin(kind) is not None:  # Mapping[str, ...]
        item_kind = get_args(kind)[1]
        table = _expect(dict, value, where)
        # Read-only, as the manifest is frozen.
        return types.MappingProxyType(
            {key: _read(item_kind, item, f"{where}.{key[:50]}") for key, item in table.items()}
        )
    if kind is int:
        # bool is an int to Python, not to JSON; sizes are 64-bit in the runtime.
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            _refuse(f"{where} is no whole number from 0 to 2^63")
        return value
    return _expect(kind, value, where)


def _expect(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
        _refuse(f"{where} is not {names[kind]}")
    return value
