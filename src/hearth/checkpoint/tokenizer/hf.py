"""The tokenizer of a Hugging Face folder: tokenizer.json as it is, or tokenizer.model converted to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import MAX_TOKENIZER_BYTES, PULL_AGAIN, cannot_read, read_json_object, read_text
from hearth.checkpoint.tokenizer.byte_level import LLAMA3_BOS, LLAMA3_EOS, llama3_document
from hearth.checkpoint.tokenizer.sentencepiece_model import read_sentencepiece
from hearth.checkpoint.tokenizer.spec import SPECIAL_NAMES, parse_tokenizer, to_json
from hearth.checkpoint.tokenizer.spm import spm_document
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile

_MAX_TEMPLATE_BYTES = 1 << 20


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
    return TokenizerSpec(
        json=text,
        bos_id=bos,
        eos_ids=tuple(dict.fromkeys([*ends, *([] if named_eos is None else [named_eos]), *defaults.ends])),
        add_bos=add_bos and bos is not None and not added_by_json,
        add_eos=_flag(settings, "add_eos_token", False) and named_eos is not None and not added_by_json,
        special=special,
        chat_template=_chat_template(folder, settings),
        added_by_json=added_by_json,
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
    sources = (settings, _optional_json(folder / "special_tokens_map.json"))
    result: dict[str, str] = {}
    for name in SPECIAL_NAMES:
        for source in sources:
            value = source.get(name)
            if isinstance(value, dict):  # a serialised AddedToken
                value = value.get("content")
            if isinstance(value, str):
                result[name] = value
                break
    return result


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    if (folder / "chat_template.jinja").is_file():
        return read_text(folder / "chat_template.jinja", _MAX_TEMPLATE_BYTES)
    template = settings.get("chat_template")
    if template is None:
        template = _optional_json(folder / "chat_template.json").get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


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
