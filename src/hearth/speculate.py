"""Opening what guesses tokens: nothing, the text itself, the model's own block, or a small model beside it.

Knows how a draft model is found and checked; what guessing does is the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.tokenizer_files import load_tokenizer
from hearth.engine import Drafter, DraftModel, PredictingBlock, PromptLookup, Speculation, pages_for, slots_for
from hearth.errors import UsageError
from hearth.prepare import Opened, ProgressCallback, open_model, prepare, start_loading
from hearth.runtime import Model, SplitTextSession, TextInfo, TextSession, require

Speculate = Literal["auto", "lookup", "mtp", "off"]
SPECULATE: tuple[Speculate, ...] = ("auto", "lookup", "mtp", "off")


@dataclass(frozen=True)
class Guesser:
    """Where guesses come from.

    Attributes:
        speculation: for the engine; None: there are no guesses.
        model: the open draft model, to be closed with the other; None where there is none.
    """

    speculation: Speculation | None
    model: Model | None = None

    def close(self) -> None:
        if self.model is not None:
            self.model.close()


def open_guesser(
    speculate: Speculate,
    draft: Opened | None,
    session: TextSession | SplitTextSession,
    *,
    name: str,
    context: int,
    max_seqs: int,
    threads: int,
    mmap: bool,
    progress: ProgressCallback | None,
) -> Guesser:
    """Opens the draft model, if there is one, else what `speculate` says.

    Args:
        session, name, context, max_seqs, threads, mmap: of the model that verifies.

    Raises:
        NotEnoughMemory: the draft model does not fit beside it.
        UsageError: its own block is to guess, and it has none.
    """
    if draft is None:
        return Guesser(_speculation(speculate, session, name))
    loading = start_loading(draft, mmap=mmap)
    try:
        model = open_model(draft, progress, loading)
    except BaseException:
        loading.cancel()
        raise
    try:
        info = TextInfo.of(model.info)
        context = min(context, info.max_position)
        num_pages = pages_for(context, max_seqs, page_tokens=info.page_tokens)
        # Its guesses stand in slots of their own until they are verified.
        num_slots = slots_for(max_seqs, texts=0, speculates=True) if info.has_state else 0
        needed = info.session_bytes(num_pages, threads, num_slots)
        require(needed, f"The draft model {draft.name} at a context of {context} tokens")
        small = TextSession(model, num_pages=num_pages, num_slots=num_slots, threads=threads)
        drafter = DraftModel(small, context=context, vocab_size=session.info.vocab_size)
        return Guesser(Speculation(drafter), model)
    except BaseException:
        model.close()
        raise


def _speculation(speculate: Speculate, session: TextSession | SplitTextSession, name: str) -> Speculation | None:
    """What guesses without another model."""
    predicts = session.info.predicts
    if speculate == "mtp" and not predicts:
        raise UsageError(
            f"{name} has no block that predicts further tokens.",
            why="Its file carries none, or its layers are on two devices.",
            hint="Leave --speculate out, or let a small model guess: --draft MODEL.",
        )
    drafters: list[Drafter] = [] if speculate in ("mtp", "off") else [PromptLookup()]
    if predicts and speculate in ("auto", "mtp"):
        drafters.append(PredictingBlock(session))
    return Speculation(*drafters) if drafters else None


def prepare_draft(
    draft: str,
    model: Opened,
    tokenizer: Tokenizer | None,
    *,
    progress: ProgressCallback | None,
    offline: bool,
    trust_bundle: bool,
) -> Opened:
    """Finds or compiles the draft model, and checks that its vocabulary is that of `model`.

    Args:
        tokenizer: of `model`.

    Raises:
        UsageError: its vocabulary is another. Else as `prepare`.
    """
    opened = prepare(draft, progress=progress, offline=offline, trust_bundle=trust_bundle)
    spec = load_tokenizer(opened.bundle.path)
    sizes = [opened_model.bundle.manifest.language.vocab_size for opened_model in (model, opened)]
    why = vocabulary_difference(tokenizer, Tokenizer(spec) if spec else None, *sizes)
    if why:
        raise UsageError(
            f"{draft} cannot draft for {model.name}: their vocabularies differ.",
            why=why,
            hint="A draft model must have the same tokenizer: take a smaller model of the same family.",
        )
    return opened


def vocabulary_difference(ours: Tokenizer | None, theirs: Tokenizer | None, our_size: int, their_size: int) -> str:
    """Why a token of the one is no token of the other; "" if they are the same."""
    if ours is None and theirs is None:
        return "" if our_size == their_size else f"It has {their_size} tokens, not {our_size}."
    if ours is None or theirs is None:
        return "Only one of them has a tokenizer, so they cannot be compared."
    our_ids, their_ids = ours.vocabulary, theirs.vocabulary
    if our_ids == their_ids:
        return ""
    if len(our_ids) != len(their_ids):
        return f"It has {len(their_ids)} tokens, not {len(our_ids)}."
    text, token_id = next((text, i) for text, i in our_ids.items() if their_ids.get(text) != i)
    other = their_ids.get(text)
    return f"Token {token_id} is {text!r}, which there " + (
        "does not exist." if other is None else f"is token {other}."
    )
