"""A folder that any web server can host: a chat page, and the model that it finds by one small `model.json`.

    index.html, ...       the page, with the runtime: the same for every model
    later/                of the page what only some answers need
    site.webmanifest      under which name the page is installed
    model.json            what the model is; of each of its files the size and the SHA-256 of its chunks
    blobs/SHA256          the chunks

Chunks never change under their name, so that they may be cached for ever; all else is to be asked for anew.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from hearth.bundle import (
    COSTS,
    GPU_COSTS,
    GPU_KERNELS,
    GPU_PLAN,
    KNOWN_ANSWERS,
    PLAN,
    TOKENIZER,
    TOKENIZER_META,
    WEIGHTS,
    Bundle,
)
from hearth.bundle.failures import storage_errors
from hearth.bundle.manifest import MANIFEST
from hearth.bundle.unfinished import ClaimedFolder, clear_unfinished
from hearth.bundle.writer import discard
from hearth.errors import StorageError
from hearth.package.able import require_page_of
from hearth.package.chunks import CHUNK_BYTES, write_chunks

MODEL = "model.json"
BLOBS = "blobs"
LATER = "later"
"""Of the page, what only some answers need (colours of code, formulas). Loaded when the first of them comes."""
WEB_MANIFEST = "site.webmanifest"
FORMAT_VERSION = 1
"""Of model.json; `web/runtime/src/store/package.ts` has the same."""
PAGE = Path(__file__).parent / "page"

_NOT_READ = (COSTS, GPU_COSTS)
_NOT_SHIPPED = ("build.json",)
_HINT = "Free some space there, or name a folder on another disk."


@dataclass(frozen=True)
class Site:
    """A site that was written.

    Attributes:
        path: its folder.
        page_bytes: of the page with the runtime, without what only some answers need.
        file_bytes: name to size, of the bundle's files in it.
    """

    path: Path
    page_bytes: int
    file_bytes: Mapping[str, int]

    def loads(self, *, gpu: bool) -> list[tuple[str, int]]:
        """What a page loads, in this order: what it is, and bytes before compression. Of the modules for the
        processor that of the best instruction set."""
        plan = (GPU_PLAN, GPU_KERNELS, KNOWN_ANSWERS) if gpu else (PLAN,)
        module = next(name for name in self.file_bytes if name.endswith(".wasm"))
        steps = (
            ("page and runtime", ()),
            ("tokenizer", (MANIFEST, TOKENIZER, TOKENIZER_META)),
            ("module", (module,)),
            ("plan", plan),
            ("weights", (WEIGHTS,)),
        )
        return [(what, sum(self.file_bytes.get(name, 0) for name in names) or self.page_bytes) for what, names in steps]

    @property
    def has_gpu(self) -> bool:
        return GPU_PLAN in self.file_bytes


def write_site(bundle: Bundle, destination: Path, *, chunk_bytes: int = CHUNK_BYTES) -> Site:
    """Writes a bundle of a language model for WebAssembly as a site: whole, or not at all.

    Args:
        destination: a new folder, or an older site, which the new one takes the place of.
        chunk_bytes: of each chunk but the last of a file.

    Raises: as `able.require_page_of`.
        StorageError: `destination` is something else, or cannot be written.
    """
    require_page_of(bundle)
    with storage_errors("write", destination, hint=_HINT):
        _refuse_foreign(destination)
        destination.parent.mkdir(parents=True, exist_ok=True)
        clear_unfinished(destination.parent)
        claimed = ClaimedFolder(destination)
        try:
            site = _write(bundle, claimed.path, destination, chunk_bytes)
            _refuse_foreign(destination)
            if destination.exists():
                discard(destination)
            claimed.path.rename(destination)
        finally:
            shutil.rmtree(claimed.path, ignore_errors=True)
            claimed.release()
    return site


def published_name(source_name: str) -> str:
    """The name of a model for strangers: of a file or folder of this machine not where it lies."""
    is_path = Path(source_name).is_absolute() or source_name.startswith(".") or Path(source_name).exists()
    return Path(source_name).resolve().name if is_path else source_name


def _refuse_foreign(place: Path) -> None:
    """Never replace what is no site."""
    if not place.exists() or (place / MODEL).is_file() or (place.is_dir() and not any(place.iterdir())):
        return
    raise StorageError(
        f"{place} exists and is no packaged site; it is left as it is.",
        hint="Choose another folder, or remove it yourself.",
    )


def _write(bundle: Bundle, folder: Path, destination: Path, chunk_bytes: int) -> Site:
    manifest = replace(bundle.manifest, source_name=published_name(bundle.manifest.source_name))
    _copy_page(folder)
    _name_app(folder / WEB_MANIFEST, manifest.source_name)
    page = (file for file in folder.rglob("*") if file.is_file() and LATER not in file.relative_to(folder).parts)
    page_bytes = sum(file.stat().st_size for file in page)
    blobs = folder / BLOBS
    blobs.mkdir()
    text = manifest.to_json().encode()
    files: dict[str, dict[str, Any]] = {MANIFEST: _described(io.BytesIO(text), len(text), blobs, chunk_bytes)}
    for name in dict.fromkeys((*manifest.libraries, *sorted(manifest.files))):
        if name not in _NOT_READ:
            with (bundle.path / name).open("rb") as stream:
                files[name] = _described(stream, manifest.files[name].size_bytes, blobs, chunk_bytes)
    told = {
        "format": FORMAT_VERSION,
        "name": manifest.source_name,
        "parameters": manifest.facts.parameters,
        "formats": manifest.formats,
        "context": manifest.language.context_max,
        "weights_bytes": manifest.facts.weights_bytes,
        "arena_bytes": manifest.facts.arena_bytes,
        "kv_bytes_per_token": manifest.language.kv_bytes_per_token,
        "state_bytes": manifest.language.state_bytes,
        "chunk_bytes": chunk_bytes,
        "files": files,
    }
    (folder / MODEL).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Site(destination, page_bytes, {name: file["size_bytes"] for name, file in files.items()})


def _copy_page(folder: Path) -> None:
    """What is the same for every model. Each file is as new as its site: servers tell browsers so what has changed."""
    for file in PAGE.rglob("*"):
        if file.is_file() and file.name not in _NOT_SHIPPED:
            copy = folder / file.relative_to(PAGE)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)


def _described(source: BinaryIO, size_bytes: int, blobs: Path, chunk_bytes: int) -> dict[str, Any]:
    return {"size_bytes": size_bytes, "chunks": write_chunks(source, blobs, chunk_bytes=chunk_bytes)}


def _name_app(file: Path, model: str) -> None:
    """A home screen shows which model it is."""
    told = json.loads(file.read_text(encoding="utf-8"))
    told |= {"name": f"{model} - Hearth", "short_name": model.rsplit("/", 1)[-1]}
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
