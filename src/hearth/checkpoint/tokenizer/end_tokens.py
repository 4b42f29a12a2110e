"""Which tokens of a GGUF vocabulary end an answer: the few that the file names, and those known by their text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hearth.checkpoint.tokenizer.vocabulary import Kind, Piece

# Source: llama.cpp, src/llama-vocab.cpp, 2026.
_END_TEXTS = frozenset({
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
    "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[",
})  # fmt: skip
_END_KEYS = ("eos", "eot", "eom")
# A model that fills in the middle of a file stops at its padding, and where another file would begin.
_FILL_KEYS = {
    "fim_pad": frozenset({"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}),
    "fim_rep": frozenset({"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}),
    "fim_sep": frozenset({"<|file_sep|>"}),
}
_HARMONY = ({"<|return|>", "<|call|>"}, {"<|call|>", "<|flush|>"}, {"<|calls|>", "<|flush|>"})


def end_ids(metadata: Mapping[str, Any], pieces: list[Piece], eos: int | None) -> tuple[int, ...]:
    """The ids that end an answer, the end of sequence first.

    Args:
        metadata: the key-value pairs of the file.
        pieces: its vocabulary.
        eos: the end of sequence, where the file or its kind of tokenizer names one.
    """
    ids = {piece.text: number for number, piece in enumerate(pieces)}
    found = {ids[text] for text in _END_TEXTS & ids.keys() if _is_meant(pieces[ids[text]])}
    for name, texts in _FILL_KEYS.items():
        number = _named(metadata, name, len(pieces))
        by_text = {ids[text] for text in texts & ids.keys() if _is_meant(pieces[ids[text]])}
        found |= by_text if number is None else {number}
    present = {pieces[number].text for number in found}
    # Where a message has its own end, `<|end|>` only ends a part of the answer.
    if any(pair <= present for pair in _HARMONY):
        found.discard(ids.get("<|end|>", -1))
    named = [eos, *(_named(metadata, name, len(pieces)) for name in _END_KEYS)]
    first = [number for number in named if number is not None]
    return tuple(dict.fromkeys([*first, *sorted(found)]))


def _is_meant(piece: Piece) -> bool:
    """Is the token there to end something? An ordinary token may spell the same: `</s>` also closes struck-out HTML."""
    return piece.kind != Kind.NORMAL or piece.text.startswith(("<|", "<｜", "<end_of_"))


def _named(metadata: Mapping[str, Any], name: str, size: int) -> int | None:
    number = metadata.get(f"tokenizer.ggml.{name}_token_id")
    return number if type(number) is int and 0 <= number < size else None
