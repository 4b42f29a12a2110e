"""Which files of a repository Hearth needs, out of all that its authors published."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hearth.errors import ModelNotFound, Unsupported, UsageError

# Chat templates beside the default one, in a folder of their own.
_TEMPLATE = re.compile(r"additional_chat_templates/[^/]+\.jinja")
# Configuration and tokenizer: small, taken wherever they exist. They stand at the top of a repository.
_CONFIG_FILES = frozenset(
    {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
        "chat_template.json",
    }
)
INDEX_FILE = "model.safetensors.index.json"
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.safetensors|\.gguf)", re.IGNORECASE)
# The same weights again in the authors' own layout, adapters, or another precision than the config says.
_OTHER_WEIGHTS = ("consolidated*.safetensors", "adapter*.safetensors", "*.fp16.safetensors", "*.fp32.safetensors")
_PICKLE_WEIGHTS = ("*.bin", "*.pth", "*.pt", "*.ckpt")


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub describes it.

    Attributes:
        path: inside the repository, with `/`.
        size_bytes: of its content.
        oid: hash of its content, and the name of its blob in the cache: SHA-256 of a large (LFS) file,
            git's SHA-1 of a small one.
        is_lfs: whether `oid` is a SHA-256.
    """

    path: str
    size_bytes: int
    oid: str
    is_lfs: bool


def select(repo_id: str, files: Sequence[RemoteFile], wanted: str | None) -> list[RemoteFile]:
    """The files to download, small ones first so that trouble shows early.

    Args:
        repo_id: `owner/name`, for messages.
        files: all files of the repository.
        wanted: one GGUF file of it, or None for the model as a whole.

    Raises:
        ModelNotFound: `wanted` is not there.
        UsageError: there are several GGUF files and nothing else to choose.
        Unsupported: no weights in a form that Hearth reads.
    """
    ggufs = [f for f in files if f.path.lower().endswith(".gguf")]
    if wanted is not None:
        return [_pick_gguf(repo_id, ggufs, wanted)]
    top = [f for f in files if "/" not in f.path]
    weights = _pick_safetensors(top)
    configs = [f for f in top if f.path in _CONFIG_FILES]
    configs += [f for f in files if _TEMPLATE.fullmatch(f.path)]
    if weights and any(f.path == "config.json" for f in configs):
        return sorted(configs + weights, key=lambda f: f.size_bytes)
    if ggufs:
        return [_only_gguf(repo_id, ggufs)]
    if weights:
        raise Unsupported(
            f"{repo_id!r} holds weights but no config.json.",
            why="It is an adapter, or a model in a layout of its authors' own.",
            hint="Hearth needs the full model in the Hugging Face layout, or a GGUF file.",
        )
    pickles = [f.path for f in files if any(fnmatch.fnmatch(f.path, p) for p in _PICKLE_WEIGHTS)]
    raise Unsupported(
        f"{repo_id!r} holds no weights that Hearth reads (*.safetensors or *.gguf).",
        why=f"Its weights are Python pickles ({pickles[0]}), which can run code when opened." if pickles else "",
        hint="Look for a conversion of it to safetensors or GGUF.",
    )


def _pick_safetensors(top: Sequence[RemoteFile]) -> list[RemoteFile]:
    weights = [
        f
        for f in top
        if f.path.endswith(".safetensors") and not any(fnmatch.fnmatch(f.path, p) for p in _OTHER_WEIGHTS)
    ]
    index = [f for f in top if f.path == INDEX_FILE]
    shards = [f for f in weights if SHARD.fullmatch(f.path) and f.path.startswith("model-")]
    whole = [f for f in weights if f.path == "model.safetensors"]
    # An index rules where there is one; beside it a whole file would be the same weights twice.
    if index:
        return index + (shards or weights)
    return whole or weights


def _pick_gguf(repo_id: str, ggufs: Sequence[RemoteFile], wanted: str) -> RemoteFile:
    for file in ggufs:
        if file.path == wanted:
            refuse_split(wanted)
            return file
    raise ModelNotFound(f"{repo_id!r} has no file {wanted!r}.", hint=_choices(repo_id, ggufs))


def refuse_split(path: str) -> None:
    """Raises Unsupported for one part of a GGUF that was split over several files."""
    match = SHARD.fullmatch(path)
    if match is not None and int(match["count"]) > 1:
        raise Unsupported(
            f"{path!r} is one of {int(match['count'])} parts of a split GGUF file, which Hearth does not read.",
            hint="Take a GGUF that is one file, or merge the parts (llama.cpp: llama-gguf-split --merge).",
        )


def _only_gguf(repo_id: str, ggufs: Sequence[RemoteFile]) -> RemoteFile:
    # `mmproj` files are vision towers that go with a language model, never one themselves.
    whole = [f for f in ggufs if "mmproj" not in f.path.lower()]
    if len(whole) == 1:
        refuse_split(whole[0].path)
        return whole[0]
    raise UsageError(f"{repo_id!r} holds {len(whole)} GGUF files: say which.", hint=_choices(repo_id, whole))


def _choices(repo_id: str, ggufs: Sequence[RemoteFile]) -> str:
    single = [f for f in ggufs if not SHARD.fullmatch(f.path)]
    if not single:
        return "It has no GGUF that is a single file."
    lines = [
        f"  hearth pull hf:{repo_id}:{f.path}   ({format_size(f.size_bytes)})"
        for f in sorted(single, key=lambda f: f.size_bytes)
    ]
    return "One of:\n" + "\n".join(lines)


def format_size(size_bytes: int) -> str:
    """Bytes for people, in powers of 1000 as the hub's pages show them."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
