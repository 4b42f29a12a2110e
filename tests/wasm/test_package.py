"""The npm package as it is built: made of the sources that are here, for the bundles that this Hearth makes."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

from hearth.bundle import ABI_VERSION, FORMAT_VERSION
from hearth.compiler.cpu.link import CSRC

PACKAGE = Path(__file__).resolve().parents[2] / "web" / "runtime"
DIST = PACKAGE / "dist"

# As web/runtime/vite.config.ts has them.
SOURCES = ["package.json", "src", "tsconfig.json", "tsconfig.types.json", "vite.config.ts"]


def source_hash() -> str:
    paths = [path for name in SOURCES for path in [PACKAGE / name, *(PACKAGE / name).rglob("*")] if path.is_file()]
    result = hashlib.sha256()
    for name in sorted(path.relative_to(PACKAGE).as_posix() for path in paths):
        if ".test." not in name:
            content = (PACKAGE / name).read_bytes()
            result.update(f"{name}\n{len(content)}\n".encode() + content)
    return result.hexdigest()


def test_the_built_package_is_made_of_the_sources_that_are_here() -> None:
    built = json.loads((DIST / "build.json").read_text())["sources_sha256"]
    assert built == source_hash(), "the package is out of date: cd web && npm ci && npm run build -w runtime"


def test_it_reads_what_this_hearth_writes() -> None:
    manifest = (PACKAGE / "src" / "manifest.ts").read_text()
    assert f"FORMAT_VERSION = {FORMAT_VERSION};" in manifest
    assert f"ABI_VERSION = {ABI_VERSION};" in manifest


def test_its_structures_have_the_fields_of_the_header_in_their_order() -> None:
    header = re.sub(r"/\*.*?\*/", "", (CSRC / "hearth.h").read_text(), flags=re.DOTALL)
    structs = (PACKAGE / "src" / "structs.ts").read_text()
    for name, constant in (("batch", "BATCH"), ("session_options", "SESSION_OPTIONS"), ("size", "SIZE")):
        (body,) = re.findall(rf"typedef struct hearth_{name} \{{(.*?)\}}", header, re.DOTALL)
        declared = re.findall(r"(\w+);", body)
        (fields,) = re.findall(rf"{constant} = struct\(\{{(.*?)\}}\)", structs, re.DOTALL)
        written = re.findall(r"(\w+):", fields)
        assert written == declared[: len(written)], name
    (body,) = re.findall(r"typedef struct hearth_output \{(.*?)\}", header, re.DOTALL)
    (views,) = re.findall(r"OUTPUT_VIEWS = \[(.*?)\]", structs)
    assert re.findall(r'"(\w+)"', views) == re.findall(r"hearth_view (\w+);", body)
    (body,) = re.findall(r"typedef enum hearth_outputs \{(.*?)\}", header, re.DOTALL)
    (bits,) = re.findall(r"WANTED = \{(.*?)\}", structs)
    assert re.findall(r"(\w+): (\d+)", bits) == [
        (name.lower(), bit) for name, bit in re.findall(r"HEARTH_(\w+) = (\d+)", body)
    ]


def test_it_stays_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in DIST.glob("*.js")) < 100_000
