"""Manifests are read strictly: a damaged or hostile one is refused in words, never with a traceback."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.bundle import FileEntry, Manifest
from hearth.errors import BundleMismatch, CorruptFile, Unsupported

from .samples import manifest

FILES = {name: FileEntry("ab" * 32, 5) for name in ("plan.bin", "weights.bin", "libhearth.so", "tokenizer.json")}
WHOLE = manifest(files=FILES)


def changed(**values: Any) -> str:
    return json.dumps(json.loads(WHOLE.to_json()) | values)


def text(**values: Any) -> dict[str, Any]:
    return json.loads(WHOLE.to_json())["text"] | values


@pytest.mark.parametrize("whole", [WHOLE, manifest(files=FILES, kind="vision", family="vit", text=None)])
def test_round_trip(whole: Manifest) -> None:
    again = Manifest.from_json(whole.to_json())
    assert again == whole
    assert again.library == "libhearth.so"
    assert again.instruction_sets == WHOLE.instruction_sets


def test_a_bundle_for_webassembly_has_a_module_for_each_instruction_set() -> None:
    sets = [{"name": "fast", "features": []}, {"name": "plain", "features": []}]
    both = dict.fromkeys(("libhearth-plain.wasm", "libhearth-fast.wasm"), FileEntry("ab" * 32, 5))
    files = {name: entry for name, entry in FILES.items() if name != "libhearth.so"}

    def text(files: dict[str, FileEntry]) -> str:
        return json.dumps(json.loads(manifest(files=files).to_json()) | {"instruction_sets": sets})

    assert Manifest.from_json(text(files | both)).libraries == ("libhearth-fast.wasm", "libhearth-plain.wasm")
    for wrong in (FILES | both, files):
        with pytest.raises(CorruptFile, match=r"exactly one of libhearth\.so"):
            Manifest.from_json(text(wrong))


@pytest.mark.parametrize("version", [1, 4, 99])
def test_other_format_version_is_no_damage(version: int) -> None:
    """Another Hearth may have other fields: the message is about versions, not about them, and says what to do."""
    said = rf"format {version}; this Hearth reads format 7.*Compile the model again: hearth compile"
    with pytest.raises(BundleMismatch, match=said):
        Manifest.from_json(f'{{"format_version": {version}, "something": "new"}}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "manifest lacks abi_version"),
        ("[" * 100_000, "no JSON"),
        ('{"format_version": 1, "format_version": 1}', "twice"),
        ('{"format_version": ' + "9" * 5000 + "}", "no JSON"),
        ('{"context": NaN}', "NaN is no number"),
        (" " * (2 << 20), "larger than"),
        (changed(extra=1), r"manifest has 'extra', which is not known"),
        (changed(text=text(context_max="4096")), r"manifest\.text\.context_max is no whole number"),
        (changed(text=text(context_max=True)), r"manifest\.text\.context_max is no whole number"),
        (changed(text=text(context_max=-1)), r"manifest\.text\.context_max is no whole number"),
        (changed(text=text(context_max=4096.0)), r"manifest\.text\.context_max is no whole number"),
        (changed(text=text(context_max=1 << 63)), r"manifest\.text\.context_max is no whole number"),
        (changed(instruction_sets="avx2"), r"manifest\.instruction_sets is not a list"),
        (changed(instruction_sets=["avx2"]), r"manifest\.instruction_sets is not an object"),
        (changed(instruction_sets=[{"name": "avx2", "features": [1]}]), r"instruction_sets\.features is not a text"),
        (changed(instruction_sets=[]), r"manifest\.instruction_sets is empty"),
        (changed(compilers=["tvm"]), r"manifest\.compilers is not an object"),
        (changed(facts={"parameters": 1}), r"manifest\.facts lacks arena_bytes"),
        (changed(text={"layers": 1}), r"manifest\.text lacks context_max"),
        (changed(text=1), r"manifest\.text is not an object"),
        (changed(files={}), "plan.bin is missing"),
        (changed(files={"plan.bin": {"sha256": "ab" * 32}}), r"manifest\.files\.plan\.bin lacks size_bytes"),
        (changed(files={"plan.bin": {"sha256": "ab", "size_bytes": 1}}), "no SHA-256"),
    ],
)
def test_damage_is_named(text: str, words: str) -> None:
    with pytest.raises(CorruptFile, match=words):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    "name",
    [
        "../plan.bin",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "..",
        ".",
        "",
        ".hidden",
        "manifest.json",
        "a\0b",
        "x" * 200,
        "plan.bin\n",
    ],
)
def test_files_cannot_lead_out_of_the_bundle(name: str) -> None:
    files = json.loads(WHOLE.to_json())["files"] | {name: {"sha256": "ab" * 32, "size_bytes": 1}}
    with pytest.raises(CorruptFile, match="is not allowed"):
        Manifest.from_json(changed(files=files))


def test_exactly_one_library() -> None:
    files = json.loads(WHOLE.to_json())["files"]
    both = files | {"libhearth.dll": files["libhearth.so"]}
    with pytest.raises(CorruptFile, match=r"exactly one of libhearth\.so"):
        Manifest.from_json(changed(files=both))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_field_may_hold_anything(data: st.DataObject) -> None:
    """A manifest with one value, at any depth, replaced: read or refused, nothing else."""
    tree = json.loads(WHOLE.to_json())
    node: Any = tree
    while True:
        key = data.draw(st.sampled_from(list(node)))
        if not isinstance(node[key], dict) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(JSON)
    try:
        Manifest.from_json(json.dumps(tree))
    except (CorruptFile, BundleMismatch) as error:
        hint = error.hint
    else:
        return
    assert "hearth compile" in hint


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 2000), st.integers(0, 60))
def test_any_bytes(noise: bytes, at: int, cut: int) -> None:
    """A manifest with bytes overwritten or cut out is read or refused, nothing else."""
    text = WHOLE.to_json().encode()
    damaged = text[:at] + noise + text[at + cut :]
    for candidate in (noise, damaged, text[:at]):
        with suppress(CorruptFile, BundleMismatch):
            Manifest.from_json(candidate)


@pytest.mark.parametrize(
    ("kind", "door"), [("encoder", "hearth embed"), ("vision", "hearth vision"), ("graph", "hearth graph")]
)
def test_what_is_no_language_model_says_what_opens_it(kind: str, door: str) -> None:
    with pytest.raises(Unsupported) as refused:
        _ = manifest(kind=kind, text=None).language
    assert door in refused.value.hint
