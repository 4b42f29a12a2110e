"""A tokenizer on disk, as a bundle holds it: `tokenizer.json` and beside it `tokenizer_meta.json`.

The first file is what the `tokenizers` library loads; the second is the rest of a `TokenizerSpec`: which tokens begin
and end a text, and the chat template. The compiler writes them, the chat room reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import CorruptFile

TOKENIZER_FILE = "tokenizer.json"
META_FILE = "tokenizer_meta.json"
META_VERSION = 2
MAX_TOKENIZER_BYTES = 256 << 20  # the largest published (Gemma 3) is 33 MB
MAX_META_BYTES = 8 << 20


def save_tokenizer(
    spec: TokenizerSpec, folder: Path, call_formats: Mapping[str, str | None] | None = None
) -> list[Path]:
    """Writes both files into `folder` (which exists) and returns their paths.

    Args:
        call_formats: the format in which each chat template has tools called, for pages, which cannot find it out.
    """
    meta = {
        "version": META_VERSION,
        "bos_id": spec.bos_id,
        "eos_ids": list(spec.eos_ids),
        "add_bos": spec.add_bos,
        "add_eos": spec.add_eos,
        "added_by_json": spec.added_by_json,
        "special": dict(spec.special),
        "chat_template": spec.chat_template,
        "named_templates": dict(spec.named_templates),
        "additional_special": list(spec.additional_special),
        "notices": list(spec.notices),
        **({} if call_formats is None else {"call_formats": dict(call_formats)}),
    }
    tokenizer_path, meta_path = folder / TOKENIZER_FILE, folder / META_FILE
    tokenizer_path.write_text(spec.json, encoding="utf-8")
    meta_path.write_text(json.dumps(meta, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return [tokenizer_path, meta_path]


def load_tokenizer(folder: Path) -> TokenizerSpec | None:
    """The tokenizer that `save_tokenizer` wrote into `folder`; None where there is none.

    Raises:
        CorruptFile: one of the two files is missing, too large, not JSON, or of another shape.
    """
    tokenizer_path, meta_path = folder / TOKENIZER_FILE, folder / META_FILE
    if not tokenizer_path.exists() and not meta_path.exists():
        return None
    meta = _read_meta(meta_path)
    return TokenizerSpec(
        json=_read_text(tokenizer_path, MAX_TOKENIZER_BYTES),
        bos_id=_field(meta, "bos_id", int, meta_path, optional=True),
        eos_ids=tuple(_ids(meta, "eos_ids", meta_path)),
        add_bos=_field(meta, "add_bos", bool, meta_path),
        add_eos=_field(meta, "add_eos", bool, meta_path),
        special=_strings(meta, "special", meta_path),
        chat_template=_field(meta, "chat_template", str, meta_path, optional=True),
        added_by_json=_field(meta, "added_by_json", bool, meta_path),
        named_templates=_strings(meta, "named_templates", meta_path),
        additional_special=tuple(_texts(meta, "additional_special", meta_path)),
        notices=tuple(_texts(meta, "notices", meta_path)),
    )


def _read_text(path: Path, limit: int) -> str:
    try:
        size = path.stat().st_size
        if size > limit:
            raise CorruptFile(f"{path} is {size} bytes long; a tokenizer file has at most {limit}.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _corrupt(path, f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise _corrupt(path, f"it cannot be read ({error.strerror or error})") from error


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(_read_text(path, MAX_META_BYTES))
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, f"it is not JSON ({error})") from error
    if not isinstance(meta, dict):
        raise _corrupt(path, "it holds no JSON object")
    if meta.get("version") != META_VERSION:
        raise _corrupt(path, f"its version is {meta.get('version')!r}, this Hearth reads {META_VERSION}")
    return meta


def _field(meta: dict[str, Any], key: str, kind: type, path: Path, *, optional: bool = False) -> Any:
    value: Any = meta.get(key)
    if value is None and optional:
        return None
    sound = _is_id(value) if kind is int else isinstance(value, kind)
    if not sound:
        raise _corrupt(path, f"{key!r} is {value!r}, not {kind.__name__}")
    return value


def _is_id(value: Any) -> bool:
    # bool is an int to Python, but `true` is no token id.
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _ids(meta: dict[str, Any], key: str, path: Path) -> list[int]:
    values = _field(meta, key, list, path)
    if not all(_is_id(v) for v in values):
        raise _corrupt(path, f"{key!r} holds something that is no token id")
    return list(values)


def _texts(meta: dict[str, Any], key: str, path: Path) -> list[str]:
    values = _field(meta, key, list, path)
    if not all(isinstance(v, str) for v in values):
        raise _corrupt(path, f"{key!r} holds something that is no text")
    return list(values)


def _strings(meta: dict[str, Any], key: str, path: Path) -> dict[str, str]:
    values = _field(meta, key, dict, path)
    if not all(isinstance(v, str) for v in values.values()):
        raise _corrupt(path, f"{key!r} holds something that is no text")
    return dict(values)


def _corrupt(path: Path, why: str) -> CorruptFile:
    return CorruptFile(
        f"The tokenizer file {path} is damaged:", why=why + ".", hint="Compile the model again with `--force`."
    )
