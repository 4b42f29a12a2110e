"""The tokenizer of a Hugging Face folder: tokenizer.json as it is, or made from older files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import MAX_TOKENIZER_BYTES, read_json_object, read_text
from hearth.checkpoint.tokenizer.guard import load_tokenizer
from hearth.checkpoint.tokenizer.rows import fit_to_rows
from hearth.checkpoint.tokenizer.spec import Added, Converted
from hearth.checkpoint.tokenizer.special_tokens import (
    additional_tokens,
    named_tokens,
    num_added,
    post_processor_decides,
)
from hearth.checkpoint.tokenizer.tekken import convert_tekken
from hearth.checkpoint.tokenizer.vocab_files import (
    convert_rank_file,
    convert_tokenizer_model,
    convert_vocab_and_merges,
)
from hearth.checkpoint.tokenizer.world import VOCABULARY_FILE, convert_world
from hearth.checkpoint.types import TokenizerSpec

DEFAULT_TEMPLATE = "default"
TEMPLATES_FOLDER = "additional_chat_templates"
SENTENCEPIECE_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
RANKS_FILE, RANKS_SUFFIX = "tiktoken.model", ".tiktoken"
_MAX_TEMPLATE_BYTES = 1 << 20
_MAX_TEMPLATES = 32


def hf_tokenizer(folder: Path, config: Mapping[str, Any], rows: int | None = None) -> TokenizerSpec | None:
    """The tokenizer of a model folder; None where it has none.

    Args:
        folder: holds tokenizer.json, or a SentencePiece model, tekken.json, tiktoken.model (or `*.tiktoken`),
            vocab.json and merges.txt, RWKV's vocabulary, and beside them what says how it is used.
        config: content of config.json.
        rows: of the model's embedding, where that is known.

    Raises:
        CorruptFile: one of the files is damaged, or they contradict each other.
        Unsupported: a tokenizer of a kind that Hearth does not run.
        StorageError: a file cannot be opened.
    """
    settings = _optional_json(folder / "tokenizer_config.json")
    made = _read(folder, config, settings)
    if made is None:
        return None
    source = str(folder)
    tokenizer = load_tokenizer(made.json, source)
    decided = post_processor_decides(tokenizer)
    added_by_json = decided and num_added(tokenizer, source) > 0
    tables = (settings, _optional_json(folder / "special_tokens_map.json"))
    assumed = {name: text for name, text in made.special.items() if name not in settings}
    special = assumed | named_tokens(*tables)
    generation = _optional_json(folder / "generation_config.json")
    ends = _ids(generation.get("eos_token_id")) or _ids(config.get("eos_token_id"))
    named_eos = tokenizer.token_to_id(special["eos_token"]) if "eos_token" in special else None
    bos = tokenizer.token_to_id(special["bos_token"]) if "bos_token" in special else _first_id(config, "bos_token_id")
    templates = _chat_templates(folder, settings)
    add_bos = not decided and bos is not None and _flag(settings, "add_bos_token", made.add_bos)
    add_eos = not decided and named_eos is not None and _flag(settings, "add_eos_token", False)
    named = [] if named_eos is None else [named_eos]
    # What `add_eos` appends stands first.
    ends = [*named, *ends] if add_eos else [*ends, *named]
    spec = TokenizerSpec(
        json=made.json,
        bos_id=bos,
        eos_ids=tuple(dict.fromkeys([*ends, *made.ends])),
        add_bos=add_bos,
        add_eos=add_eos,
        special=special,
        chat_template=templates.pop(DEFAULT_TEMPLATE, None),
        added_by_json=added_by_json,
        named_templates=templates,
        additional_special=additional_tokens(*tables),
        notices=made.notices,
    )
    return spec if rows is None else fit_to_rows(spec, tokenizer, rows, source)


def _read(folder: Path, config: Mapping[str, Any], settings: Mapping[str, Any]) -> Converted | None:
    if (folder / "tokenizer.json").is_file():
        return Converted(read_text(folder / "tokenizer.json", MAX_TOKENIZER_BYTES))
    model_type = str(config.get("model_type", ""))
    for path in (folder / name for name in SENTENCEPIECE_FILES):
        if path.is_file():
            return convert_tokenizer_model(path, model_type, settings, _added_tokens(folder, settings))
    if (folder / "tekken.json").is_file():
        return convert_tekken(folder / "tekken.json")
    if ranks := rank_files(folder):
        return convert_rank_file(ranks[0], model_type, settings, _added_tokens(folder, settings))
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    if vocab.is_file() and merges.is_file():
        return convert_vocab_and_merges(vocab, merges, model_type, settings, _added_tokens(folder, settings))
    if (folder / VOCABULARY_FILE).is_file():
        return convert_world(folder / VOCABULARY_FILE, settings, _added_tokens(folder, settings))
    return None


def _added_tokens(folder: Path, settings: Mapping[str, Any]) -> list[Added]:
    """Tokens that the authors added to the vocabulary, by id."""
    found: dict[int, Added] = {}
    for text, number in _optional_json(folder / "added_tokens.json").items():
        if type(number) is int and 0 <= number < 1 << 31:
            found[number] = (number, text, True)
    decoder = settings.get("added_tokens_decoder")
    for key, entry in decoder.items() if isinstance(decoder, dict) else ():
        if key.isdecimal() and len(key) < 10 and isinstance(entry, dict) and isinstance(entry.get("content"), str):
            found[int(key)] = (int(key), entry["content"], entry.get("special") is not False)
    return [found[number] for number in sorted(found)]


def rank_files(folder: Path) -> list[Path]:
    """The lists of ranks in a model folder."""
    found = [folder / RANKS_FILE, *sorted(folder.glob(f"*{RANKS_SUFFIX}"))]
    return [path for path in found if path.is_file()]


def template_files(folder: Path) -> list[Path]:
    """The files of a model folder that hold further chat templates; a file's stem is the template's name."""
    try:
        return sorted((folder / TEMPLATES_FOLDER).glob("*.jinja"))[:_MAX_TEMPLATES]
    except OSError:
        return []


def _chat_templates(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """All chat templates of a folder by name; the one that is meant where none is asked for is "default".

    Files of their own go before what tokenizer_config.json says.
    """
    files = {path.stem: path for path in template_files(folder) if path.is_file()}
    if (folder / "chat_template.jinja").is_file():
        files[DEFAULT_TEMPLATE] = folder / "chat_template.jinja"
    if files:
        return {name: read_text(path, _MAX_TEMPLATE_BYTES) for name, path in files.items()}
    template = settings.get("chat_template")
    if template is None:
        template = _optional_json(folder / "chat_template.json").get("chat_template")
    if isinstance(template, list):  # several, by name
        template = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
    if isinstance(template, dict):
        named = {name: text for name, text in template.items() if isinstance(name, str) and isinstance(text, str)}
        return dict(list(named.items())[:_MAX_TEMPLATES])
    return {DEFAULT_TEMPLATE: template} if isinstance(template, str) else {}


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json_object(path) if path.is_file() else {}


def _ids(value: Any) -> list[int]:
    """`eos_token_id` is a number, a list of numbers, or absent."""
    values = value if isinstance(value, list) else [value]
    return [number for number in values if type(number) is int and number >= 0]


def _first_id(config: Mapping[str, Any], name: str) -> int | None:
    return next(iter(_ids(config.get(name))), None)


def _flag(settings: Mapping[str, Any], name: str, default: bool) -> bool:
    value = settings.get(name)
    return value if isinstance(value, bool) else default
