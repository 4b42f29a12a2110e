"""How people ask for opposites, in training and held out."""

from __future__ import annotations

from tools.starter.facts import OPPOSITES
from tools.starter.topics import Topic, asked


def word_topics() -> list[Topic]:
    """Opposites; each pair in both directions."""
    facts = [{"word": a, "opposite": b} for x, y in OPPOSITES for a, b in ((x, y), (y, x))]
    return [
        Topic(
            "opposite", "opposites", 1.3, facts, "The opposite of {word} is {opposite}.",
            asked(
                """What is the opposite of {word}?
                What's the opposite of {word}?
                Give me the opposite of {word}.
                Which word is the opposite of {word}?
                The opposite of {word} is?
                opposite of {word}
                Tell me an antonym of {word}.
                What is an antonym of {word}?
                Name the opposite of the word {word}.
                What is the reverse of {word}?
                Which word means the opposite of {word}?""",
                """Tell me the opposite of {word}.
                What is the opposite of the word {word}?
                Give me an antonym of {word}.
                Which word is an antonym of {word}?""",
            ),
            asked(
                """And of {word}?\nAnd {word}?\nWhat about {word}?\nNow {word}.""",
                """How about {word}?\nAnd what about {word}?""",
            ), subject="word",
        )
    ]  # fmt: skip
