"""A program: a PDF file on standard input, its text as JSON on standard output. Started by `extract`, for one file.

Knows nothing of Hearth, so that it starts quickly and has little that could go wrong.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from io import BytesIO

MAX_PAGES = 2000
MEMORY_BYTES = 1 << 30
PROCESSOR_S = 45


def limit() -> None:
    """Memory, processor time, and nothing to write: from here on nothing can raise these limits."""
    try:
        import resource
    except ImportError:  # Windows: `extract` watches the clock
        return
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        try:
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):  # not every system has every limit
            continue
    os.nice(10)  # answers that are being written go first


def read(data: bytes, max_chars: int) -> dict[str, object]:
    """The text of all pages, or why there is none."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"error": "it is protected by a password.", "hint": "Save it without one."}
        pages = len(reader.pages)
        if pages > MAX_PAGES:
            return {"error": f"it has {pages:,} pages, and at most {MAX_PAGES:,} are read."}
        texts: list[str] = []
        chars = 0
        for page in reader.pages:
            texts.append(page.extract_text().strip())
            chars += len(texts[-1])
            if chars > max_chars:
                return {"error": f"it has more than {max_chars:,} characters."}
    except DependencyError:
        return {
            "error": "it is encrypted, or packed in a way that is not read here.",
            "hint": "Save it in another way.",
        }
    except RecursionError:
        return {"error": "its parts stand too deep inside of each other."}
    except MemoryError:
        return {"error": "it needs more memory than a file may take."}
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, NotImplementedError):
        return {"error": "it is damaged."}
    text = "\n\n".join(filter(None, texts))
    if not text:
        return {"error": "it holds pictures of pages and no text.", "hint": "Run it through a text recognition first."}
    return {"text": text.encode("utf-8", "replace").decode(), "pages": pages}


def main() -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    data = sys.stdin.buffer.read()
    import pypdf  # before the limits, which count what is loaded
    import pypdf.errors  # noqa: F401

    limit()
    result = json.dumps(read(data, int(sys.argv[1])))
    sys.stdout.write(result)
    sys.stdout.flush()
    os._exit(0)  # a large tree of objects is not taken apart piece by piece


if __name__ == "__main__":
    main()
