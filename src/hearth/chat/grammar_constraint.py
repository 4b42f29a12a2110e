"""What one answer may say next: `AnswerConstraint`, the engine's `Constraint` over a grammar.

The grammar is that of the answer as it is shown. A reasoning model may think first, in its own words: the grammar
begins where the thinking has ended. White space between the two is dropped from what is shown (`thinking.py`), and so
is the space that SentencePiece writes before a text's first word; so the grammar does not see them either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from hearth.chat.grammar import Matcher
from hearth.chat.grammar_tokens import Mask, Twins, has_bit, set_bit
from hearth.chat.thinking import CHANNELS, TAGS, Tags
from hearth.errors import HearthError

_MAX_SPACES = 8  # tokens of white space between thinking and answer


class _Where(Enum):
    BEGINNING = "beginning"  # nothing has come but what may become an opening tag
    THINKING = "thinking"
    CALLING = "calling"  # the marker of a call has come among the thoughts, and nothing but white space since
    BETWEEN = "between"  # thinking has ended, and nothing but white space has come since
    ANSWER = "answer"


@dataclass(frozen=True)
class CallStart:
    """How the calls of a family begin.

    A model may call without having closed its thinking: the call ends it. A token that nothing but calls begins with
    decides that at once. Texts may be spoken *about* (`within <tool_call> tags`): after one of these it is a call if it
    goes on as one.

    Attributes:
        tokens: control tokens that begin calls.
        texts: the texts that do so.
        opens: with one of these a call goes on.
        must: there is no answer without one, so a block closes by one where it can (`Tags.fork`).
    """

    tokens: frozenset[int]
    texts: tuple[str, ...]
    opens: tuple[str, ...]
    must: bool = False


class AnswerConstraint:
    """Keeps one answer to a grammar.

    Args:
        matcher: at the beginning of the grammar.
        end_ids: tokens that end the answer: allowed where the grammar may stop.
        inside: tags of the thinking block that the prompt has opened; None where it has not.
        may_open: tags of the blocks that the model may open itself.
        continues: the answer carries on a text, so that its first space counts.
        calls: how calls begin that may end the thinking; None where there may be none.
        preludes: tokens that may stand before the answer, and show nothing.
    """

    def __init__(
        self,
        matcher: Matcher,
        *,
        end_ids: Collection[int],
        inside: Tags | None = None,
        may_open: Collection[Tags] = (),
        continues: bool = False,
        calls: CallStart | None = None,
        preludes: Collection[int] = (),
    ) -> None:
        self._table = matcher.table
        self._matcher = matcher
        self._end_ids = sorted(end_ids)
        self._tags = inside
        self._may_open = tuple(may_open)
        self._where = _Where.THINKING if inside else _Where.BEGINNING
        self._first = not continues  # the next token is the first of the text
        self._begun = b""  # of an opening tag, while it may become one
        self._answering = True  # what has come so far may be the answer's beginning
        self._tail = b""  # of the thinking: as much as its closing tag and the markers of calls are long
        self._calls = calls or CallStart(frozenset(), (), ())
        self._markers = [text.encode() for text in self._calls.texts]
        self._preludes = self._table.mask_of(preludes)
        self._spaces = 0
        self._thinking_mask = self._table.any & ~self._table.mask_of([*self._end_ids, matcher.end_id])

    def mask(self) -> Mask:
        """See `hearth.engine.Constraint`."""
        match self._where:
            case _Where.THINKING:
                mask = self._mask_in_thinking()
            case _Where.CALLING:
                mask = self._mask_after_marker()
            case _Where.BEGINNING:
                mask = self._mask_at_beginning()
            case _Where.BETWEEN:
                mask = self._mask_of_answer(self._table.after_space)
                if self._spaces < _MAX_SPACES:
                    mask |= self._table.after_space.nothing | self._preludes
            case _Where.ANSWER:
                mask = self._mask_of_answer(None)
        return mask[: self._table.vocab_words]

    def accept(self, token: int) -> None:
        """See `hearth.engine.Constraint`."""
        match self._where:
            case _Where.THINKING:
                self._think_on(token)
            case _Where.CALLING:
                self._go_after_marker(token)
            case _Where.BEGINNING:
                self._begin(token)
            case _Where.BETWEEN:
                self._go_between(token)
            case _Where.ANSWER:
                self._answer(token)
        self._first = False

    # -- the answer ----------------------------------------------------------------------------------------------

    def _mask_of_answer(self, twins: Twins | None) -> Mask:
        mask = self._matcher.mask()
        if twins is not None:
            twins.rewrite(mask)
        if has_bit(mask, self._matcher.end_id):
            for token in self._end_ids:
                set_bit(mask, token)
        return mask

    def _answer(self, token: int) -> None:
        if token not in self._end_ids or self._matcher.takes(token):
            self._matcher.take(token)
        elif not self._matcher.may_end():
            raise HearthError(f"The answer may not end here, but token {token} was drawn.")

    # -- before it -----------------------------------------------------------------------------------------------

    @property
    def _first_twins(self) -> Twins | None:
        twins = self._table.as_first
        return twins if self._first and twins.all.any() else None

    def _mask_at_beginning(self) -> Mask:
        twins = self._first_twins
        mask = self._mask_of_answer(twins) if self._answering else self._table.mask_of(())
        if not self._begun:
            mask |= self._preludes
        if twins is not None:
            mask |= twins.nothing
        for tags in self._may_open:
            for text in filter(None, (tags.open, tags.unthought)):
                if text.encode().startswith(self._begun):
                    mask |= self._opening(text)
        return mask

    def _opening(self, tag: str) -> Mask:
        """Tokens that go on with an opening tag."""
        rest = tag.encode()[len(self._begun) :]
        mask = self._table.towards(rest)
        for token, text in self._table.tag_texts.items():
            if rest.startswith(text):
                set_bit(mask, token)
        return mask

    def _begin(self, token: int) -> None:
        if self._first and has_bit(self._table.as_first.nothing, token):
            return
        if has_bit(self._preludes, token):
            self._where = _Where.BETWEEN
            return
        begun = self._begun + self._shown(token)
        opened = next((tags for tags in self._may_open if begun.startswith(tags.open.encode())), None)
        if opened is not None:
            self._tags, self._where = opened, _Where.THINKING
            self._matcher.reset()
            self._think(begun[len(opened.open) :])
            return
        if any(begun == tags.unthought.encode() for tags in self._may_open if tags.unthought):
            self._where = _Where.BETWEEN
            self._matcher.reset()
            return
        openings = (opening for tags in self._may_open for opening in (tags.open, tags.unthought))
        opening = bool(begun) and any(one.encode().startswith(begun) for one in openings)
        twins = self._first_twins
        token = twins.twin_of.get(token, token) if twins else token
        if not opening:
            if not self._answering:
                raise HearthError(f"Neither the grammar nor a thinking block goes on with token {token}.")
            self._where = _Where.ANSWER
            self._answer(token)
            return
        self._begun = begun
        self._answering = self._answering and self._matcher.takes(token)
        if self._answering:
            self._matcher.take(token)

    # -- thinking ------------------------------------------------------------------------------------------------

    def _mask_in_thinking(self) -> Mask:
        """Anything but an end, and but a token that closes the block, or ends the marker of a call, and goes on with
        something that is no white space: the grammar could not be asked about a part of a token."""
        assert self._tags is not None
        mask = self._thinking_mask.copy()
        for end in (self._tags.close.encode(), *self._markers):
            for length in range(len(end)):
                if self._tail.endswith(end[:length]):
                    mask &= ~self._table.past(end[length:])
        fork = self._tags.fork.encode()
        if fork and self._calls.must and self._tail.endswith(fork):
            mask &= ~self._table.towards(self._tags.close.encode()[len(fork) :])
        return mask

    def _think_on(self, token: int) -> None:
        if token in self._calls.tokens and self._matcher.takes(token):
            self._matcher.take(token)
            self._where = _Where.ANSWER
            return
        self._think(self._shown(token))
        for marker in self._markers if self._where is _Where.THINKING else ():
            if self._tail.rstrip().endswith(marker):
                # What the grammar has to say of white space here that has come already is not asked.
                if self._takes_text(marker):
                    self._where = _Where.CALLING
                return

    def _takes_text(self, text: bytes) -> bool:
        """Goes on in the grammar by a text; back to its beginning where it does not allow that."""
        for token in self._table.spell(text):
            if not self._matcher.takes(token):
                self._matcher.reset()
                return False
            self._matcher.take(token)
        return True

    def _mask_after_marker(self) -> Mask:
        """A call as the grammar has it; or thoughts that go on otherwise than a call would."""
        calls = self._matcher.mask().copy()
        thoughts = self._mask_in_thinking() & ~self._table.after_space.nothing
        for text in self._calls.opens:
            thoughts &= ~self._table.opening(text.encode())
        return calls | thoughts

    def _go_after_marker(self, token: int) -> None:
        is_call = self._matcher.takes(token)
        if is_call:
            self._matcher.take(token)
            if self._table.text(token).strip():
                self._where = _Where.ANSWER
            return
        self._matcher.reset()
        self._where = _Where.THINKING
        self._think_on(token)

    def _think(self, text: bytes) -> None:
        assert self._tags is not None
        close = self._tags.close.encode()
        tail = self._tail + text
        if close not in tail:
            self._tail = tail[-max(map(len, (close, *self._markers))) - _MAX_SPACES :]
            return
        self._where = _Where.BETWEEN
        rest = tail.partition(close)[2].lstrip()
        if rest:  # the text after an opening tag that came in one token with it
            raise HearthError("A token closes the thinking and begins the answer at once.")

    def _go_between(self, token: int) -> None:
        text = self._table.text(token)
        if (text and not text.strip()) or has_bit(self._preludes, token):
            self._spaces += 1
            return
        self._where = _Where.ANSWER
        self._answer(self._table.after_space.twin_of.get(token, token))

    def _shown(self, token: int) -> bytes:
        """What a token writes where tags are looked for: those that are control tokens are written out."""
        if token in self._table.tag_texts:
            return self._table.tag_texts[token]
        return self._table.first_text(token) if self._first else self._table.text(token)


def thinking_of(prompt_end: str, template_source: str) -> tuple[Tags | None, tuple[Tags, ...]]:
    """Where a chat's answer may think: the tags of the block that the prompt has opened, or else of those that the
    model may open itself, which are the ones that its template knows."""
    end = prompt_end.rstrip()
    inside = next((tags for tags in TAGS if end.endswith(tags.open)), None)
    if inside is not None or any(end.endswith(tags.close) for tags in TAGS):
        return inside, ()
    if any(tags.open in template_source for tags in CHANNELS):
        return None, CHANNELS
    return None, tuple(tags for tags in TAGS if tags.open in template_source or tags.close in template_source)


def preludes_of(template_source: str) -> tuple[str, ...]:
    """Control tokens that an answer to a template's prompt may begin with, and that show nothing."""
    return tuple(text for tags in TAGS if tags.open in template_source for text in tags.preludes)
