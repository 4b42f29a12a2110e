"""Writes conversations from the topics: training text without end, and the held-out questions.

Knows nothing of tokens. Everything is drawn from one `random.Random`, so a seed fixes the text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from random import Random

from tools.starter.about import about_topics
from tools.starter.chatter import declined_fact, declined_topics, small_talk_topics
from tools.starter.elements import element_topics
from tools.starter.facts import CAPITALS, ELEMENTS, OPPOSITES
from tools.starter.numbers import number_topics
from tools.starter.places import place_topics
from tools.starter.topics import Phrasings, Slots, Topic
from tools.starter.words import word_topics

SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "You are the starter model of Hearth.",
    "You are Hearth, running on the device of the user.",
    "Answer in one short sentence.",
    "You are a friendly and concise assistant.",
)

_OPENERS = ("Please tell me: ", "Quick question: ", "Hi! ", "Hello, ", "Hey, ", "OK. ", "And now: ", "So, ", "Please: ")
_CLOSERS = (" Thanks!", " Please.", " Thank you.", " I am curious.", " I need to know.")


@dataclass(frozen=True)
class Turn:
    """A question and its answer, with where they come from."""

    question: str
    answer: str
    topic: Topic
    fact: Slots
    template: str


@dataclass
class Conversation:
    """Turns, and the system message in front of them when there is one."""

    turns: list[Turn]
    system: str | None = None

    def messages(self) -> list[dict[str, str]]:
        """The conversation as chat messages; without the last answer, it is a prompt."""
        rows = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            rows.append({"role": "user", "content": turn.question})
            rows.append({"role": "assistant", "content": turn.answer})
        return rows


@dataclass
class _Tables:
    topics: list[Topic]
    weights: list[float] = field(init=False)
    by_subject: dict[str, list[Topic]] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = list(accumulate(topic.weight for topic in self.topics))
        self.by_subject = defaultdict(list)
        for topic in self.topics:
            if topic.pronoun.train:
                self.by_subject[topic.subject].append(topic)


@cache
def tables() -> _Tables:
    """All topics, built once."""
    return _Tables([
        *place_topics(), *element_topics(), *number_topics(), *word_topics(),
        *about_topics(), *small_talk_topics(), *declined_topics(),
    ])  # fmt: skip


@cache
def _known_names() -> frozenset[str]:
    names = [name for pair in (*CAPITALS, *ELEMENTS, *OPPOSITES) for name in pair]
    return frozenset(name.lower() for name in names)


def draw_fact(random: Random, topic: Topic) -> Slots:
    """A fact of the topic, every one as likely as the others."""
    if not topic.name.startswith("declined"):
        return random.choice(topic.facts)
    while (fact := declined_fact(random))["unknown"].lower() in _known_names():
        pass
    return fact


def _fill(random: Random, template: str, fact: Slots) -> str:
    country = fact.get("country", "")
    if country.startswith("the ") and random.random() < 0.15:
        fact = {**fact, "country": country[4:]}
    text = template.format(**fact)
    return text[:1].upper() + text[1:] if not text.startswith(("hearth", "make")) else text


def _surround(random: Random, text: str) -> str:
    """A question with a word before or after it."""
    if random.random() < 0.15:
        text = random.choice(_OPENERS) + text
    if random.random() < 0.06 and text[-1] in ".?!":
        text += random.choice(_CLOSERS)
    return text


def _hasten(random: Random, topic: Topic, text: str) -> str:
    """Without its mark, in small letters: how people type. The symbol of an element keeps its letters."""
    if random.random() < 0.15:
        text = text.rstrip(".?!")
    if random.random() < 0.15 and topic.name != "element":
        text = text.lower()
    return text


def _turn(random: Random, topic: Topic, fact: Slots, template: str, rough: bool) -> Turn:
    question = _fill(random, template, fact)
    if rough:
        question = _hasten(random, topic, _surround(random, question) if template in topic.ask.train else question)
    return Turn(question, topic.reply(fact), topic, fact, template)


def _other_fact(random: Random, last: Turn) -> Slots:
    """Another fact of the same topic; where a follow-up leaves a slot out, one that agrees on it."""
    facts = last.topic.facts
    if last.topic.group == "units":
        facts = [fact for fact in facts if fact["small"] == last.fact["small"]]
    return random.choice(facts)


def _next_turn(random: Random, last: Turn) -> Turn:
    """A turn after another: a follow-up, a question about the same thing, or something new."""
    draw = random.random()
    if draw < 0.35 and last.topic.follow.train:
        template = random.choice(last.topic.follow.train)
        return _turn(random, last.topic, _other_fact(random, last), template, rough=True)
    related = [topic for topic in tables().by_subject[last.topic.subject] if topic is not last.topic]
    if draw < 0.55 and related:
        topic = random.choice(related)
        slot = topic.subject
        fact = next(fact for fact in topic.facts if fact[slot] == last.fact[slot])
        return _turn(random, topic, fact, random.choice(topic.pronoun.train), rough=True)
    return first_turn(random)


def first_turn(random: Random) -> Turn:
    """A question that stands alone."""
    topic = random.choices(tables().topics, cum_weights=tables().weights)[0]
    return _turn(random, topic, draw_fact(random, topic), random.choice(topic.ask.train), rough=True)


def write_conversation(random: Random) -> Conversation:
    """One to six turns."""
    turns = [first_turn(random)]
    while len(turns) < 6 and random.random() < 0.6:
        turns.append(_next_turn(random, turns[-1]))
    system = random.choice(SYSTEM_MESSAGES) if random.random() < 0.25 else None
    return Conversation(turns, system)


def write_conversations(seed: int) -> Iterator[Conversation]:
    """Conversations without end; the same ones for the same seed."""
    random = Random(seed)
    while True:
        yield write_conversation(random)


def held_out_questions(seed: int, per_phrasing: int = 12) -> list[Conversation]:
    """Conversations whose last question is phrased as training never phrases it.

    Each held-out phrasing is drawn `per_phrasing` times with facts of its topic. Questions that stand alone come
    first in a conversation or after another one; follow-ups come after a turn of their topic.
    """
    random = Random(seed)
    questions: list[Conversation] = []
    for topic in tables().topics:
        for kind in ("ask", "follow", "pronoun"):
            phrasings: Phrasings = getattr(topic, kind)
            for template in phrasings.held_out:
                for _ in range(per_phrasing if topic.facts != [{}] or "{" in template else 3):
                    questions.append(_held_out(random, topic, kind, template))
    return questions


def _held_out(random: Random, topic: Topic, kind: str, template: str) -> Conversation:
    fact = draw_fact(random, topic)
    turns: list[Turn] = []
    if kind == "follow":
        before = _turn(random, topic, fact, random.choice(topic.ask.train), rough=False)
        fact, turns = _other_fact(random, before), [before]
    elif kind == "pronoun":
        related = random.choice([other for other in tables().by_subject[topic.subject] if other is not topic])
        slot = topic.subject
        same = next(row for row in related.facts if row[slot] == fact[slot])
        turns = [_turn(random, related, same, random.choice(related.ask.train), rough=False)]
    elif random.random() < 0.4:
        turns = [first_turn(random)]
    system = random.choice(SYSTEM_MESSAGES) if random.random() < 0.25 else None
    return Conversation([*turns, _turn(random, topic, fact, template, rough=False)], system)
