"""Small tokenizers of the two common kinds, made here, and a pair of ours and the library's for comparison."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from hearth.chat.tokenizer import Tokenizer as ChatTokenizer
from hearth.checkpoint.types import TokenizerSpec

_TEXT = [
    "Hello, what is the capital of France? It is Paris.",
    "naïve 日本語 🙂🙃 text, with  spaces\nand lines",
    "a b c",
]
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>"]


def make_spec(raw: Tokenizer, **changes: object) -> TokenizerSpec:
    fields: dict[str, object] = {
        "json": raw.to_str(),
        "bos_id": raw.token_to_id("<s>"),
        "eos_ids": (raw.token_to_id("<|im_end|>"),),
        "add_bos": False,
        "add_eos": False,
        "special": {"bos_token": "<s>", "eos_token": "</s>"},
        "chat_template": None,
    }
    return TokenizerSpec(**(fields | changes))  # type: ignore[arg-type]


def byte_level() -> Tokenizer:
    """Byte-level BPE, as GPT-2, Llama 3 and Qwen have it."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=CONTROL, show_progress=False
    )
    raw.train_from_iterator(_TEXT, trainer)
    raw.add_tokens(["<think>", "</think>"])
    return raw


def sentencepiece() -> Tokenizer:
    """SentencePiece BPE with byte fallback, as Llama 2 and Gemma have it."""
    pieces = ["<unk>", "<s>", "</s>", *[f"<0x{b:02X}>" for b in range(256)], "▁", *"abcdefghijklmnopqrstuvwxyz.,"]
    merges = [("▁", "a"), ("t", "h"), ("th", "e"), ("▁", "the")]
    pieces += ["".join(m) for m in merges]
    raw = Tokenizer(
        models.BPE({p: i for i, p in enumerate(pieces)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    raw.add_special_tokens([AddedToken(t, normalized=False) for t in ("<unk>", "<s>", "</s>", "<|im_start|>")])
    raw.add_special_tokens([AddedToken("<|im_end|>", normalized=False, rstrip=True)])
    return raw


MADE = {"byte_level": byte_level, "sentencepiece": sentencepiece}


class Case:
    """A tokenizer of ours beside the reference library's own object for the same file."""

    def __init__(self, name: str, spec: TokenizerSpec) -> None:
        self.name = name
        self.ours = ChatTokenizer(spec)
        self.reference = Tokenizer.from_str(spec.json)

    def __repr__(self) -> str:  # a failing test prints it: not the megabytes of a vocabulary
        return f"<{self.name}>"
