"""The tokenizer of a Hugging Face folder: tokenizer.json as it is, or tokenizer.model converted to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import MAX_TOKENIZER_BYTES, PULL_AGAIN, cannot_read, read_json_object, read_text
from hearth.checkpoint.tokenizer.byte_level import LLAMA3_BOS, LLAMA3_EOS, llama3_document
from hearth.checkpoint.tokenizer.sentencepiece_model import read_sentencepiece
from hearth.checkpoint.tokenizer.spec import parse_tokenizer, to_json
from hearth.checkpoint.tokenizer.spm import spm_document
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile

DEFAULT_TEMPLATE = "default"
TEMPLATES_FOLDER = "additional_chat_templates"
_MAX_TEMPLATE_BYTES = 1 << 20
_MAX_TEMPLATES = 32
_MAX_SPECIAL = 1024


def hf_tokenizer(folder: Path, config: Mapping[str, Any]) -> TokenizerSpec | None:
    """The tokenizer of a model folder; None where it has none.

    Args:
        folder: holds tokenizer.json or tokenizer.model, and beside them what says how it is used.
        config: content of config.json.

    Raises:
        CorruptFile: one of the files is damaged, or they contradict each other.
        Unsupported: a tokenizer.model of a kind that Hearth does not run.
        StorageError: a file cannot be opened.
    """
    settings = _optional_json(folder / "tokenizer_config.json")
    if (folder / "tokenizer.json").is_file():
        text = read_text(folder / "tokenizer.json", MAX_TOKENIZER_BYTES)
        defaults = _Defaults()
        text, overruled = _without_overruled_post_processor(text, settings, folder)
    elif (folder / "tokenizer.model").is_file():
        text, defaults = _convert(folder / "tokenizer.model", folder, settings)
        overruled = True
    else:
        return None

    tokenizer = parse_tokenizer(text, str(folder))
    plain, whole = (tokenizer.encode("a", add_special_tokens=flag).ids for flag in (False, True))
    added_by_json = not overruled and len(whole) > len(plain)
    special = defaults.special | _special_tokens(folder, settings)
    generation = _optional_json(folder / "generation_config.json")
    ends = _ids(generation.get("eos_token_id")) or _ids(config.get("eos_token_id"))
    named_eos = tokenizer.token_to_id(special["eos_token"]) if "eos_token" in special else None
    bos = tokenizer.token_to_id(special["bos_token"]) if "bos_token" in special else _first_id(config, "bos_token_id")
    add_bos = _flag(settings, "add_bos_token", defaults.add_bos)
    templates = _chat_templates(folder, settings)
    return TokenizerSpec(
        json=text,
        bos_id=bos,
        eos_ids=tuple(dict.fromkeys([*ends, *([] if named_eos is None else [named_eos]), *defaults.ends])),
        add_bos=add_bos and bos is not None and not added_by_json,
        add_eos=_flag(settings, "add_eos_token", False) and named_eos is not None and not added_by_json,
        special=special,
        chat_template=templates.pop(DEFAULT_TEMPLATE, None),
        added_by_json=added_by_json,
        named_templates=templates,
        additional_special=_additional_special(folder, settings),
    )


class _Defaults:
    """What a tokenizer.model says where no tokenizer_config.json does."""

    def __init__(
        self, special: Mapping[str, str] | None = None, add_bos: bool = False, ends: tuple[int, ...] = ()
    ) -> None:
        self.special = dict(special or {})
        self.add_bos = add_bos
        self.ends = ends


def _convert(path: Path, folder: Path, settings: Mapping[str, Any]) -> tuple[str, _Defaults]:
    try:
        if path.stat().st_size > MAX_TOKENIZER_BYTES:
            raise CorruptFile(f"{path.name} is too large for a tokenizer.", hint=PULL_AGAIN)
        data = path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error
    added = _added_tokens(folder, settings)
    if _looks_like_ranks(data):
        named = {text: number for number, text, _ in added} or None
        document, special = llama3_document(data, named, path.name)
        bos = {"bos_token": LLAMA3_BOS} if LLAMA3_BOS in special else {}
        ends = [special[text] for text in LLAMA3_EOS if text in special]
        names = bos | ({"eos_token": LLAMA3_EOS[0]} if LLAMA3_EOS[0] in special else {})
        return to_json(document), _Defaults(names, add_bos=bool(bos), ends=tuple(ends))
    model, bos_id, eos_id = read_sentencepiece(data, path.name)
    known = len(model.pieces)
    model.extra.extend(entry for entry in added if entry[0] >= known)
    names = {}
    for name, number in (("bos_token", bos_id), ("eos_token", eos_id)):
        if number is not None:
            names[name] = model.pieces[number].text
    return to_json(spm_document(model, path.name)), _Defaults(names, add_bos=bos_id is not None)


def _looks_like_ranks(data: bytes) -> bool:
    """A list of `base64 rank` lines is text; a SentencePiece model begins with the byte 0x0A of its first piece."""
    first = data[:200].split(b"\n", 1)[0].split(b" ")
    return len(first) == 2 and first[1].strip() == b"0"


def _added_tokens(folder: Path, settings: Mapping[str, Any]) -> list[tuple[int, str, bool]]:
    """Tokens that the authors added to the vocabulary: id, text, special; by id."""
    found: dict[int, tuple[int, str, bool]] = {}
    for text, number in _optional_json(folder / "added_tokens.json").items():
        if type(number) is int and 0 <= number < 1 << 31:
            found[number] = (number, text, True)
    decoder = settings.get("added_tokens_decoder")
    for key, entry in decoder.items() if isinstance(decoder, dict) else ():
        if key.isdecimal() and len(key) < 10 and isinstance(entry, dict) and isinstance(entry.get("content"), str):
            found[int(key)] = (int(key), entry["content"], entry.get("special") is not False)
    return [found[number] for number in sorted(found)]


def _without_overruled_post_processor(text: str, settings: Mapping[str, Any], folder: Path) -> tuple[str, bool]:
    """The text of a tokenizer.json, and whether tokenizer_config.json decides if BOS and EOS are added.

    Where it does, the file's own way of adding them is taken out (transformers 5 does the same).
    """
    if isinstance(settings.get("add_bos_token"), bool) or isinstance(settings.get("add_eos_token"), bool):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorruptFile(
                f"{folder / 'tokenizer.json'} is not valid JSON.", why=f"{error}.", hint=PULL_AGAIN
            ) from error
        if isinstance(document, dict) and document.get("post_processor") is not None:
            document["post_processor"] = None
            return to_json(document), True
        return text, True
    return text, False


def _special_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens with a name: `bos_token` and its like, `image_token` and whatever else authors name so."""
    result: dict[str, str] = {}
    for source in (settings, _optional_json(folder / "special_tokens_map.json")):
        extra = source.get("extra_special_tokens")
        for name, value in {**(extra if isinstance(extra, dict) else {}), **source}.items():
            text = _token_text(value)
            if name.endswith("_token") and name.isidentifier() and text is not None and len(result) < _MAX_SPECIAL:
                result.setdefault(name, text)
    return result


def _additional_special(folder: Path, settings: Mapping[str, Any]) -> tuple[str, ...]:
    for source in (settings, _optional_json(folder / "special_tokens_map.json")):
        for name in ("additional_special_tokens", "extra_special_tokens"):
            values = source.get(name)
            if isinstance(values, list):
                texts = (_token_text(value) for value in values[:_MAX_SPECIAL])
                return tuple(text for text in texts if text is not None)
    return ()


def _token_text(value: Any) -> str | None:
    if isinstance(value, dict):  # a serialised AddedToken
        value = value.get("content")
    return value if isinstance(value, str) else None


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
