"""A tiny language model in numpy that satisfies `Forward` honestly, for the engine's tests.

Two attention layers whose keys and values live in pages and are read through the block table, so that a wrong page, a
wrong position or a page that is still being written by another sequence gives other tokens. Pages start as NaN: what
was never written cannot be read unnoticed. Each token is computed alone, so its result does not depend on the batch.

With slots it is a model with a state too (`toy_state.py`), on which what a token sees depends, and so its keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from toy_state import ToyState

from hearth.engine.forward import OUTPUTS
from hearth.errors import StatesLost


@dataclass(frozen=True)
class ToyInfo:
    vocab_size: int = 61
    hidden_size: int = 12
    max_tokens: int = 32
    max_seqs: int = 4
    max_logit_rows: int = 8
    page_tokens: int = 4
    max_position: int = 512
    max_embeddings: int = 32
    looks_ahead: bool = False
    rope_streams: int = 0
    likeliest: int = 0
    predicts: bool = False


@dataclass(frozen=True)
class ToyResult:
    logits: np.ndarray
    argmax: np.ndarray
    hidden: np.ndarray
    likeliest: tuple[np.ndarray, np.ndarray] | None = None


def likeliest_of(logits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest of each row and their places, of equals the first: by sorting everything."""
    places = np.argsort(-logits, axis=1, kind="stable")[:, :count].astype(np.int32)
    return np.take_along_axis(logits, places, axis=1), places


class ToySession:
    """Deterministic; counts what it is asked to compute."""

    NUM_LAYERS = 2
    usual_slots = 0  # of a session that is not told how many; the fixture `kind` sets it

    def __init__(
        self, num_pages: int = 64, seed: int = 7, coarse_prompts: bool = False, num_slots: int | None = None,
        **info: int,
    ) -> None:  # fmt: skip
        self.info = ToyInfo(**info)
        self.coarse_prompts = coarse_prompts  # tokens of prompts are computed less exactly, as with precision="fast"
        self.num_pages = num_pages
        rng = np.random.default_rng(seed)
        size = self.info.hidden_size
        self.embedding = rng.normal(size=(self.info.vocab_size, size))
        self.position = rng.normal(size=(self.info.max_position, size))
        self.projections = rng.normal(size=(self.NUM_LAYERS, 3, size, size)) / np.sqrt(size)
        self.head = rng.normal(size=(self.info.vocab_size, size))
        self.num_slots = self.usual_slots if num_slots is None else num_slots
        self.state = ToyState(self.num_slots, size) if self.num_slots else None
        shape = (self.NUM_LAYERS, num_pages, self.info.page_tokens, size)
        self.keys, self.values = np.full(shape, np.nan), np.full(shape, np.nan)
        self.batches: list[list[tuple[int, int]]] = []  # of each forward: (tokens, first position) of each sequence
        self.fail_next: BaseException | None = None
        self.fail_after_writing = False
        self.poison_token: int | None = None  # logits after it are NaN
        self.wanted: list[tuple[str, ...]] = []  # by each forward
        self.embedded: list[int] = []  # what embeddings were asked for
        self.looked_ahead: list[list[int]] = []  # how many tokens ahead embedded ones see, by forward

    @property
    def num_computed(self) -> int:
        return sum(count for batch in self.batches for count, _ in batch)

    def _fail(self) -> None:
        """Raises what it was told to raise; where that is StatesLost, nothing is left."""
        error, self.fail_next = self.fail_next, None
        if isinstance(error, StatesLost):
            self.keys[:] = self.values[:] = np.nan
            if self.state is not None:
                self.state.lose_everything()
        if error is not None:
            raise error

    def embed(self, inputs):
        """The picture `seed` with so many rows: random embeddings."""
        self.embedded.append(int(inputs["seed"]))
        return picture_rows(int(inputs["seed"]), int(inputs["rows"]), self.info.hidden_size)

    def forward(
        self, token_ids, positions, token_seq, block_table, logit_rows, num_prompt_tokens, embeddings=None,
        embedded_tokens=(), last_seen=None, rope_positions=None, wanted=OUTPUTS, state_from=None, state_to=None,
    ):  # fmt: skip
        self._check(token_ids, positions, token_seq, block_table, logit_rows)
        assert (state_from is not None) == (state_to is not None) == (self.state is not None)
        if self.state is not None:
            self.state.check(positions, token_seq, state_from, state_to)
        assert 0 <= num_prompt_tokens <= len(token_ids)
        if not self.fail_after_writing:
            self._fail()
        if self.info.rope_streams:
            assert rope_positions.shape == (len(token_ids), self.info.rope_streams)
            assert rope_positions.dtype == np.int32
        if last_seen is not None:
            ends = last_seen[embedded_tokens] - positions[embedded_tokens]
            self.looked_ahead.append(ends.tolist())
        current = {} if self.state is None else self.state.read(state_from)
        given = {} if embeddings is None else dict(zip(embedded_tokens.tolist(), embeddings, strict=True))
        rows = []
        for place, (token, position, row) in enumerate(zip(token_ids, positions, token_seq, strict=True)):
            is_prompt = place < num_prompt_tokens
            if self.state is not None:
                current[row] = self.state.after(current[row], int(token), int(position), given.get(place), is_prompt)
                self.state.write(state_to[place], current[row])
            turned_by = rope_positions[place] if self.info.rope_streams else None
            seen = (block_table[row], given.get(place), is_prompt, turned_by, current.get(row))
            rows.append(self._token(int(token), int(position), *seen))
        hidden = np.stack(rows)
        self._fail()
        logits = np.zeros((len(logit_rows), self.info.vocab_size), np.float32)
        for row, token in enumerate(logit_rows):
            logits[row] = self.head @ hidden[token]
        if self.poison_token is not None:
            logits[token_ids[logit_rows] == self.poison_token] = np.nan
        argmax = logits.argmax(axis=1).astype(np.int32)
        logits.flags.writeable = False  # the session's own memory
        self.wanted.append(tuple(wanted))
        # Only what is wanted is there, as on a device with memory of its own.
        return ToyResult(
            logits if "logits" in wanted else logits[:0],
            argmax if "argmax" in wanted else argmax[:0],
            hidden.astype(np.float32)[: None if "hidden" in wanted else 0],
            likeliest_of(logits, self.info.likeliest) if "likeliest" in wanted else None,
        )

    def apply_mask(self, logits, mask, out):
        size = self.info.vocab_size
        assert mask.dtype == np.int32
        assert mask.shape == (-(-size // 32),)
        assert logits.shape == out.shape == (size,)
        allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[:size].astype(bool)
        out[:] = np.where(allowed, logits, -np.inf)

    def _token(
        self, token: int, position: int, table: np.ndarray, given: np.ndarray | None = None, is_prompt: bool = True,
        turned_by: np.ndarray | None = None, state: int | None = None,
    ) -> np.ndarray:  # fmt: skip
        page_tokens = self.info.page_tokens
        where = self.position[position]
        if turned_by is not None:  # each part of a position is of another stream
            where = sum(np.roll(self.position[p], stream) for stream, p in enumerate(turned_by))
        x = (self.embedding[token] if given is None else given) + where
        if self.state is not None:
            x = x + self.state.seen(state)
        if self.coarse_prompts and is_prompt:
            x = np.round(x)
        page, slot = table[position // page_tokens], position % page_tokens
        pages = table[: position // page_tokens + 1]
        for layer in range(self.NUM_LAYERS):
            query, key, value = self.projections[layer] @ x
            self.keys[layer, page, slot], self.values[layer, page, slot] = key, value
            keys = self.keys[layer, pages].reshape(-1, len(x))[: position + 1]
            values = self.values[layer, pages].reshape(-1, len(x))[: position + 1]
            scores = keys @ query
            weights = np.exp(scores - scores.max())
            x = x + (weights / weights.sum()) @ values
            x = x / np.sqrt(np.mean(x * x))
        return x

    def _check(self, token_ids, positions, token_seq, block_table, logit_rows) -> None:
        """What the contract asks of the caller."""
        info = self.info
        for array in (token_ids, positions, token_seq, block_table, logit_rows):
            assert array.dtype == np.int32
            assert array.flags.c_contiguous
        assert 1 <= len(token_ids) <= info.max_tokens
        assert len(positions) == len(token_seq) == len(token_ids)
        assert len(logit_rows) <= info.max_logit_rows
        assert 1 <= len(block_table) <= info.max_seqs
        assert ((token_ids >= 0) & (token_ids < info.vocab_size)).all()
        assert ((positions >= 0) & (positions < info.max_position)).all()
        assert (block_table < self.num_pages).all()
        batch, written = [], []
        assert sorted(set(token_seq.tolist())) == list(range(len(block_table)))
        for row in range(len(block_table)):
            of_row = np.flatnonzero(token_seq == row)
            assert (np.diff(of_row) == 1).all()
            assert (np.diff(positions[of_row]) == 1).all()
            first, last = positions[of_row[0]], positions[of_row[-1]]
            used = block_table[row][: last // info.page_tokens + 1]
            assert (used >= 0).all()
            assert len(set(used.tolist())) == len(used)
            written.append(set(used[first // info.page_tokens :].tolist()))
            batch.append((len(of_row), int(first)))
        for row in range(len(block_table)):
            for other, pages in enumerate(written):
                read = set(block_table[row][: positions[token_seq == row].max() // info.page_tokens + 1].tolist())
                assert other == row or not pages & read, "a page is written while another sequence uses it"
        self.batches.append(batch)


def picture_rows(seed: int, rows: int, hidden: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, hidden)).astype(np.float32)


def greedy_reference(
    session: ToySession, prompt: list[int], count: int, given: dict[int, np.ndarray] | None = None,
    turned_by: list[tuple[int, ...]] | None = None,
) -> list[int]:  # fmt: skip
    """The next `count` greedy tokens, computed by one plain loop over one contiguous list of pages.

    Args:
        given: embeddings of some places of the prompt.
        turned_by: by what each token turns, those of the answer too.
    """
    tokens, output = list(prompt), []
    for position, (plain, hidden) in enumerate(walk(session, tokens, len(prompt), given, turned_by)):
        if position == len(tokens) - 1:
            output.append(int((plain.head @ hidden).astype(np.float32).argmax()))
            if len(output) == count:
                break
            tokens.append(output[-1])
    return output


def walk(
    session: ToySession, tokens: list[int], num_prompt: int, given: dict[int, np.ndarray] | None = None,
    turned_by: list[tuple[int, ...]] | None = None,
) -> Iterator[tuple[ToySession, np.ndarray]]:  # fmt: skip
    """A session of the same weights and the hidden values of one token after the other; the list may grow meanwhile."""
    plain = ToySession(
        session.num_pages, coarse_prompts=session.coarse_prompts, num_slots=session.num_slots, **vars(session.info)
    )
    table = np.arange(plain.num_pages, dtype=np.int32)
    state = 0
    for position, token in enumerate(tokens):
        embedding, is_prompt = (given or {}).get(position), position < num_prompt
        if plain.state is not None:
            state = plain.state.after(state, token, position, embedding, is_prompt)
        turned = None if turned_by is None else np.array(turned_by[position])
        yield plain, plain._token(token, position, table, embedding, is_prompt, turned, state)
