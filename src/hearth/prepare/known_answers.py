"""What a language model computes for some calls on the processor: known answers, which a page compares its GPU with
before anybody reads what that writes.

A page cannot compute them itself without loading the model twice. The calls use the kernels that a chat uses: a prompt,
one token behind it, a few more, and one in a context of several parts. For that one the pages of the others stand many
times in its table, so that nothing long has to be computed.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from hearth.bundle import GPU_PLAN, KNOWN_ANSWERS, Bundle, add_file
from hearth.model.kinds import TEXT
from hearth.prepare.bundles import prepare
from hearth.prepare.preparer import Wanted
from hearth.prepare.progress import ProgressCallback
from hearth.runtime import Model, TextInfo, TextSession

FORMAT_VERSION = 1
"""Of the file; `web/runtime/src/gpu/known_answers.ts` has the same."""
_COUNTS = (40, 1, 4)
"""Tokens of the calls: more than kernels for few rows take, one, a few."""
_FEW = 4
"""So many of the last tokens of a call of no more have logits, else the last alone."""
_LONG_CONTEXT = 272
"""Tokens before the last call's, more than one part of attention has."""
_MOST_LOGITS = 1024
"""That are kept of each call."""

Int32s = NDArray[np.int32]


@dataclass(frozen=True)
class _Call:
    """Tokens of one sequence, the position of the first, and the pages of the sequence."""

    tokens: Int32s
    position: int
    pages: Int32s

    @property
    def rows(self) -> int:
        """How many of the last tokens have logits."""
        return len(self.tokens) if len(self.tokens) <= _FEW else 1


def with_known_answers(
    bundle: Bundle, name: str, *, progress: ProgressCallback | None, offline: bool, **wanted: Unpack[Wanted]
) -> Bundle:
    """A bundle for pages with known answers in it, for which its model is compiled for this machine, too. One that has
    some, or that has nothing for a page's GPU, is as it was.

    Args:
        name: of the model that it was made of, as `wanted` says.

    Raises: as `prepare`.
        StorageError: the file cannot be written.
    """
    made = bundle.manifest
    if made.target != "wasm32" or made.kind != TEXT or GPU_PLAN not in made.files or KNOWN_ANSWERS in made.files:
        return bundle
    here = prepare(name, kinds=(TEXT,), progress=progress, offline=offline, mmap=True, **wanted)
    answers = known_answers(here.bundle)
    return bundle if answers is None else add_file(bundle, KNOWN_ANSWERS, answers)


def known_answers(bundle: Bundle) -> str | None:
    """The content of known_answers.json, made with a language model's bundle for this machine; None where it has no
    logits.

    Raises:
        NotEnoughMemory: its workspace does not fit; weights stay mapped.
    """
    with Model(bundle.path, use_mmap=True) as model:
        info = TextInfo.of(model.info)
        if "logits" not in info.outputs:
            return None
        calls = _calls(info)
        num_pages = max(len(call.pages) for call in calls)
        with TextSession(model, num_pages=num_pages, num_slots=info.lone_slots) as session:
            told = [_told(call, _logits(session, call)) for call in calls]
    answers = {"format": FORMAT_VERSION, "pages": num_pages, "calls": told}
    return json.dumps(answers) + "\n"


def _calls(info: TextInfo) -> list[_Call]:
    """As far as the model takes them, one behind the other: each reads what those before it wrote."""
    room = min(info.max_tokens, info.max_position // 2)
    counts = [min(count, room) for count in _COUNTS]
    pages = np.arange(-(-sum(counts) // info.page_tokens), dtype=np.int32)
    tokens = np.random.default_rng(0).integers(0, info.vocab_size, sum(counts) + 1).astype(np.int32)
    starts = [sum(counts[:i]) for i in range(len(counts))]
    calls = [_Call(tokens[at : at + count], at, pages) for at, count in zip(starts, counts, strict=True)]
    full = pages[: sum(counts) // info.page_tokens]
    before = -(-_LONG_CONTEXT // info.page_tokens)
    if len(full) and before * info.page_tokens < info.max_position:
        table = np.append(np.resize(full, before), np.int32(len(pages)))
        calls.append(_Call(tokens[-1:], before * info.page_tokens, table))
    return calls


def _told(call: _Call, logits: NDArray[np.float32]) -> dict[str, Any]:
    stride = -(-logits.size // _MOST_LOGITS)
    return {
        "tokens": call.tokens.tolist(),
        "position": call.position,
        "pages": call.pages.tolist(),
        "rows": call.rows,
        "stride": stride,
        "logits": base64.b64encode(logits.reshape(-1)[::stride].astype("<f4").tobytes()).decode(),
    }


def _logits(session: TextSession, call: _Call) -> NDArray[np.float32]:
    """f32 (rows, vocab_size)."""
    count = len(call.tokens)
    positions = np.arange(call.position, call.position + count, dtype=np.int32)
    sequences, wanted = np.zeros(count, np.int32), np.arange(count - call.rows, count, dtype=np.int32)
    state = session.info.lone_state(call.position, count)
    result = session.forward(call.tokens, positions, sequences, call.pages[None], wanted, wanted=("logits",), **state)
    return np.array(result.logits)
