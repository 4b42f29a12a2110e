"""Which files of a repository Hearth needs, out of all that its authors published."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hearth.errors import CorruptFile, ModelNotFound, Unsupported, UsageError
from hearth.hub import ggufs
from hearth.hub.foreign import refuse_foreign
from hearth.hub.weights import FORMS, QUANTISATION_FILES, SAFETENSORS, TORCH, WeightForm
from hearth.units import format_bytes

# Chat templates beside the default one, in a folder of their own.
_TEMPLATE = re.compile(r"additional_chat_templates/[^/]+\.jinja")
# Configuration and tokenizer: small, taken wherever they exist.
_CONFIG_FILES = frozenset(
    {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "tekken.json",
        "tiktoken.model",
        "vocab.json",
        "merges.txt",
        "rwkv_vocab_v20230424.txt",
        "chat_template.jinja",
        "chat_template.json",
        # How pictures are made ready for a model that sees.
        "preprocessor_config.json",
        "processor_config.json",
        *QUANTISATION_FILES,
        # How a folder of sentence-transformers makes one vector of a text; and see _MODULE.
        "modules.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
    }
)
# The folders of the modules that follow such a model: pooling, dense layers.
_MODULE = re.compile(r"\d+_[A-Za-z]+/(?:config\.json|model\.safetensors|pytorch_model\.bin)")
# One of these, as patterns, a folder must have to turn text into tokens.
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "tiktoken.model",
    "*.tiktoken", "vocab.json", "rwkv_vocab_v20230424.txt",
)  # fmt: skip
# The same weights again in the authors' own layout, adapters, or another precision than the config says.
_OTHER_WEIGHTS = ("consolidated*.safetensors", "adapter*.safetensors", "*.fp16.safetensors", "*.fp32.safetensors")


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


@dataclass(frozen=True)
class GgufModel:
    """A model in the GGUF format as the hub describes it: a file, or all parts of one that was split."""

    parts: tuple[RemoteFile, ...]

    @property
    def path(self) -> str:
        """Of the file; of the first part, which stands for all."""
        return self.parts[0].path

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True)
class Selection:
    """What of a repository is to be downloaded.

    Attributes:
        files: small ones first, so that trouble shows early.
        gguf: those of them that are the model; None: it is a folder of several files.
        choices: the GGUF models that could be chosen instead of `gguf`, itself among them.
        was_chosen: nobody named it: it is the one that fits best.
    """

    files: tuple[RemoteFile, ...]
    gguf: GgufModel | None = None
    choices: tuple[GgufModel, ...] = ()
    was_chosen: bool = False

    @property
    def weights(self) -> tuple[RemoteFile, ...]:
        """The large ones."""
        return tuple(f for f in self.files if ggufs.is_gguf(f.path) or any(form.is_weights(f.path) for form in FORMS))


def select(repo_id: str, files: Sequence[RemoteFile], wanted: str | None, memory_bytes: int | None = None) -> Selection:
    """The files to download.

    Args:
        repo_id: `owner/name`, for messages.
        files: all files of the repository.
        wanted: one GGUF file of it, as `HubName.file`, or None for the model as a whole.
        memory_bytes: where there are several GGUF files and none is named, one that fits in these is taken.

    Raises:
        ModelNotFound: `wanted` is not there.
        UsageError: `wanted` can mean several files.
        Unsupported: no weights in a form that Hearth reads.
        CorruptFile: a part of the model is not there.
    """
    choices = _gguf_models(files)
    if wanted is not None:
        named = _named_gguf(repo_id, choices, wanted)
        return Selection(_with_eyes(named, files), named, choices)
    top = [f for f in files if "/" not in f.path]
    weights = _pick(SAFETENSORS, top) or ([] if choices else _pick(TORCH, top))
    configs = [f for f in files if f.path in _CONFIG_FILES or _TEMPLATE.fullmatch(f.path)]
    configs += [f for f in top if f.path.endswith(".tiktoken")]
    if any(f.path == "modules.json" for f in configs):
        configs += _modules(files)
    if weights and any(f.path == "config.json" for f in configs):
        return Selection(tuple(sorted(configs + weights, key=lambda f: f.size_bytes)))
    if choices:
        chosen = _best_gguf(repo_id, choices, memory_bytes)
        return Selection(_with_eyes(chosen, files), chosen, choices, was_chosen=len(choices) > 1)
    refuse_foreign(repr(repo_id), [f.path for f in files])
    if weights:
        raise Unsupported(
            f"{repo_id!r} holds weights but no config.json.",
            why="It is a model in a layout of its authors' own.",
            hint="Hearth needs the full model in the Hugging Face layout, or a GGUF file.",
        )
    raise Unsupported(
        f"{repo_id!r} holds no weights that Hearth reads (*.safetensors, *.gguf or pytorch_model.bin).",
        hint="Look for a conversion of it to safetensors or GGUF.",
    )


def _gguf_models(files: Sequence[RemoteFile]) -> tuple[GgufModel, ...]:
    """By size. Of a split file whose parts are not all there, what there is of it."""
    by_path = {f.path: f for f in files}
    models = [
        GgufModel(tuple(by_path[part] for part in ggufs.parts_of(path) if part in by_path))
        for path in ggufs.models_among(by_path)
    ]
    return tuple(sorted(models, key=lambda model: (model.size_bytes, model.path)))


def _with_eyes(model: GgufModel, files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """A GGUF file, after the one that sees for it if there is one."""
    eyes = ggufs.eyes_for(model.path, [f.path for f in files])
    return (*(f for f in files if f.path == eyes), *model.parts)


def _modules(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The files of the modules that follow a model, weights in one form."""
    found = [f for f in files if _MODULE.fullmatch(f.path)]
    paths = {f.path for f in found}
    twice = {path.replace(SAFETENSORS.single, TORCH.single) for path in paths if path.endswith(SAFETENSORS.ending)}
    return [f for f in found if f.path not in twice]


def _pick(form: WeightForm, top: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The weights in one form, with their index."""
    weights = [
        f for f in top if form.is_weights(f.path) and not any(fnmatch.fnmatch(f.path, p) for p in _OTHER_WEIGHTS)
    ]
    index = [f for f in top if f.path == form.index]
    shards = [f for f in weights if form.is_shard(f.path)]
    whole = [f for f in weights if f.path == form.single]
    # An index rules where there is one; beside it a whole file would be the same weights twice.
    if index:
        return index + (shards or weights)
    return whole or weights


def _named_gguf(repo_id: str, choices: Sequence[GgufModel], wanted: str) -> GgufModel:
    found = ggufs.matching(repo_id, [f.path for f in choices], wanted)
    if not found:
        raise ModelNotFound(f"{repo_id!r} has no file {wanted!r}.", hint=_commands(repo_id, choices))
    if len(found) > 1:
        meant = [f for f in choices if f.path in found]
        raise UsageError(f"{wanted!r} can be {len(found)} files of {repo_id!r}.", hint=_commands(repo_id, meant))
    return _whole(repo_id, next(f for f in choices if f.path == found[0]))


def _best_gguf(repo_id: str, choices: Sequence[GgufModel], memory_bytes: int | None) -> GgufModel:
    whole = {f.path: f.size_bytes for f in choices if is_complete(f)} or {f.path: f.size_bytes for f in choices}
    path = ggufs.best(whole, memory_bytes)
    return _whole(repo_id, next(f for f in choices if f.path == path))


def is_complete(model: GgufModel) -> bool:
    """Whether all parts of it are there."""
    return len(model.parts) == len(ggufs.parts_of(model.path))


def _whole(repo_id: str, model: GgufModel) -> GgufModel:
    """Raises CorruptFile for a split file of which the repository does not have all parts."""
    if not is_complete(model):
        here = {part.path for part in model.parts}
        lacking = next(part for part in ggufs.parts_of(model.path) if part not in here)
        raise CorruptFile(
            f"{repo_id!r} has no file {lacking!r}, which {model.path!r} is split into.",
            hint="Its authors have to mend that; take another of its files, or another conversion of the model.",
        )
    return model


def _commands(repo_id: str, files: Sequence[GgufModel]) -> str:
    """What to type for each of some GGUF models."""
    lines = [
        f"  hearth pull {repo_id}:{ggufs.short_name(repo_id, f.path)}   ({format_bytes(f.size_bytes)})" for f in files
    ]
    return "One of:\n" + "\n".join(lines) if lines else ""
