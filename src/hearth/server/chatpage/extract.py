"""The text of a file: of text files by their encoding, of PDF files in a process of its own, under limits.

A PDF file is a program for a machine that draws pages, and anybody may have made it. Whatever it does to its reader,
it does to a process that has little memory, little time and nothing to write to, and that is thrown away afterwards.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import UsageError
from hearth.store.records import TextKind
from hearth.store.text import MAX_NAME

MAX_BYTES = 20_000_000
MAX_CHARS = 2_000_000
PDF_TIME_S = 60.0
_MOST_BYTES_A_CHAR = 4
_READER = Path(__file__).with_name("pdf_reader.py")
# Longer marks first: UTF-32's begins as UTF-16's does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


# What the files of pictures begin with; of WebP and HEIF, what stands after a length.
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_NAMED_PICTURES = (b"WEBP", b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")


class PictureAttached(UsageError):
    """A picture where only texts are taken."""


class NoText(UsageError):
    """A file that is neither text nor PDF."""


@dataclass(frozen=True)
class Extracted:
    """What was found in a file."""

    name: str
    kind: TextKind
    text: str
    pages: int = 0


async def extract(name: str, data: bytes) -> Extracted:
    """The text of a file, told by what is in it and not by its name.

    Raises:
        PictureAttached, NoText: it is neither text nor PDF.
        UsageError: it is too large, or a PDF file that cannot be read.
    """
    name = own_name(name)
    check_size(name, data)
    if b"%PDF-" in data[:1024]:
        text, pages = await _pdf(name, data)
        return Extracted(name, "pdf", text, pages)
    if is_picture(data):
        raise PictureAttached(f"{name!r} is a picture.", hint="Text files and PDF files can be added.")
    if len(data) > _MOST_BYTES_A_CHAR * MAX_CHARS + len(codecs.BOM_UTF32_LE):
        raise _too_long(name)
    text = await asyncio.to_thread(decode, name, data)
    if len(text) > MAX_CHARS:
        raise _too_long(name)
    return Extracted(name, "text", text)


def own_name(name: str) -> str:
    """A file's own name, of whatever a browser says."""
    return Path(name.replace("\\", "/")).name[-MAX_NAME:] or "file"


def check_size(name: str, data: bytes) -> None:
    """Raises UsageError for a file that is larger than any may be."""
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name!r} is too large:", why=f"at most {MAX_BYTES // 10**6} MB can be attached.")


def is_picture(data: bytes) -> bool:
    """Whether a file begins as those of pictures do."""
    return (data.startswith(_PICTURES) and b"\0" in data[:100]) or any(kind in data[4:16] for kind in _NAMED_PICTURES)


def _too_long(name: str) -> UsageError:
    return UsageError(f"{name!r} is too long:", why=f"at most {MAX_CHARS:,} characters can be attached.")


def decode(name: str, data: bytes) -> str:
    """Bytes of a text file: UTF-8, or UTF-16 or UTF-32 where it says so or its zeros do.

    Raises:
        UsageError: it is no text, or empty.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None) or _guessed(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NoText(
            f"{name!r} is no text that can be read:",
            why=f"it is not {encoding.upper().removesuffix('-SIG')} at byte {error.start}.",
            hint="Text files in UTF-8 or UTF-16 and PDF files can be attached.",
        ) from None
    if not text.strip():
        raise UsageError(f"{name!r} is empty.")
    if sum(c < " " and c not in "\t\n\r\f\x1b" for c in text[:10_000]) > min(len(text), 10_000) // 100:
        raise NoText(f"{name!r} is no text.", hint="Text files and PDF files can be attached.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _guessed(data: bytes) -> str:
    """Of data without a mark. Text in UTF-16 has a zero in every second byte wherever it is ASCII."""
    head = data[:2000]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) // 8 and min(even, odd) == 0:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


async def _pdf(name: str, data: bytes) -> tuple[str, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(_READER),
        str(MAX_CHARS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PDF_TIME_S):
            output, _ = await process.communicate(data)
    except TimeoutError:
        raise UsageError(f"{name!r} takes too long to read.", why=f"It was given {PDF_TIME_S:g} seconds.") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        result = json.loads(output)
    except ValueError:
        raise UsageError(
            f"{name!r} cannot be read:", why="it is damaged, or needs more memory or time than a file may take."
        ) from None
    if "error" in result:
        raise UsageError(f"{name!r} cannot be read:", why=result["error"], hint=result.get("hint", ""))
    return result["text"], result["pages"]
