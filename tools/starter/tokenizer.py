"""The tokenizer of the starter model: byte-level BPE, trained on the text that the model is trained on.

Any text can be encoded, because every byte is a token. Digits stand alone, so that sums can be learnt.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.starter.text import Conversation, write_conversations

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

# Words with the space in front of them, single digits, runs of marks, line ends: the split of Qwen2.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(seed: int, vocab_size: int, conversations: int = 60_000) -> Tokenizer:
    """A tokenizer for the text of that seed."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = (
        part
        for conversation in islice(write_conversations(seed), conversations)
        for message in conversation.messages()
        for part in (message["role"] + "\n", message["content"])
    )
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer


class ChatEncoder:
    """Turns conversations into token ids and marks the ones that the assistant writes."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._cache: dict[str, list[int]] = {}
        self.end = self.ids(TURN_END)[0]
        self.pad = self.ids(END_OF_TEXT)[0]

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, remembered: answers return often."""
        if text not in self._cache:
            if len(self._cache) > 200_000:
                self._cache.clear()
            self._cache[text] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return self._cache[text]

    def conversation(self, conversation: Conversation) -> tuple[list[int], list[bool]]:
        """(ids, which of them the model is to write: answers and the ends of the assistant's turns)."""
        ids: list[int] = []
        written: list[bool] = []
        for message in conversation.messages():
            head = self.ids(f"{TURN_START}{message['role']}\n")
            body = [*self.ids(message["content"]), self.end]
            tail = self.ids("\n")
            ids += [*head, *body, *tail]
            written += [False] * len(head) + [message["role"] == "assistant"] * len(body) + [False] * len(tail)
        return ids, written

    def prompt(self, conversation: Conversation) -> list[int]:
        """Ids up to where the last answer begins."""
        ids: list[int] = []
        for message in conversation.messages()[:-1]:
            ids += self.ids(f"{TURN_START}{message['role']}\n{message['content']}{TURN_END}\n")
        return ids + self.ids(f"{TURN_START}assistant\n")

    def decode(self, ids: list[int]) -> str:
        """Text of ids, without special tokens."""
        return str(self._tokenizer.decode(ids))


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes `tokenizer.json`."""
    tokenizer.save(str(folder / "tokenizer.json"))
