"""How people ask for the chemical elements, in training and held out."""

from __future__ import annotations

from tools.starter.facts import ELEMENTS
from tools.starter.topics import Topic, asked


def element_topics() -> list[Topic]:
    """Symbols and atomic numbers, asked for in both directions."""
    facts = [
        {"element": name, "symbol": symbol, "number": str(number)} for number, (name, symbol) in enumerate(ELEMENTS, 1)
    ]
    follow = asked(
        """And of {element}?
        And {element}?
        What about {element}?
        And for {element}?
        Now {element}.""",
        """How about {element}?
        And what about {element}?""",
    )
    return [
        Topic(
            "symbol", "elements", 0.7, facts, "The symbol of {element} is {symbol}.",
            asked(
                """What is the chemical symbol of {element}?
                What is the symbol of {element}?
                What's the symbol for {element}?
                Which symbol does {element} have?
                Give the symbol of {element}.
                Tell me the chemical symbol for {element}.
                How is {element} written in the periodic table?
                symbol of {element}
                {element}: what is its symbol?
                How do chemists abbreviate {element}?
                What is the symbol of the element {element}?""",
                """What is the chemical symbol for {element}?
                Which chemical symbol does {element} have?
                Tell me the symbol of {element}.
                What's the chemical symbol of the element {element}?""",
            ),
            follow, asked(
                """What is its symbol?
                And its symbol?
                Which symbol does it have?""",
                """What is its chemical symbol?
                And what is its symbol?""",
            ), "element",
        ),
        Topic(
            "element", "elements", 0.7, facts, "{symbol} is the symbol of {element}.",
            asked(
                """Which element has the symbol {symbol}?
                What element is {symbol}?
                {symbol} is the symbol of which element?
                Which chemical element is written {symbol}?
                What does {symbol} stand for in chemistry?
                Name the element with the symbol {symbol}.
                In the periodic table, what is {symbol}?
                Which element does the symbol {symbol} stand for?
                Tell me the element whose symbol is {symbol}.""",
                """What element has the symbol {symbol}?
                Which element is {symbol}?
                Name the chemical element whose symbol is {symbol}.
                What does the symbol {symbol} stand for?""",
            ),
            asked("""And {symbol}?\nWhat about {symbol}?\nNow {symbol}.""", "How about {symbol}?"),
            subject="symbol",
        ),
        Topic(
            "atomic number", "elements", 0.7, facts, "The atomic number of {element} is {number}.",
            asked(
                """What is the atomic number of {element}?
                What's the atomic number of {element}?
                Which atomic number does {element} have?
                Give the atomic number of {element}.
                How many protons does {element} have?
                How many protons are in an atom of {element}?
                What number is {element} in the periodic table?
                atomic number of {element}
                {element}: what is its atomic number?
                Tell me the atomic number of the element {element}.""",
                """Tell me the atomic number of {element}.
                Which number does {element} have in the periodic table?
                How many protons are there in {element}?
                What is the atomic number of the element {element}?""",
            ),
            follow, asked(
                """What is its atomic number?
                And its atomic number?
                How many protons does it have?""",
                """Which atomic number does it have?
                And what is its atomic number?""",
            ), "element",
        ),
        Topic(
            "element by number", "elements", 0.7, facts, "The element with atomic number {number} is {element}.",
            asked(
                """Which element has the atomic number {number}?
                What element has atomic number {number}?
                Which element is number {number}?
                Name element {number}.
                What is element {number} in the periodic table?
                Which element has {number} protons?
                An atom with {number} protons is which element?
                Tell me the element with the atomic number {number}.""",
                """What is the element with atomic number {number}?
                What element has {number} protons?
                Which is element number {number}?
                Name the element with the atomic number {number}.""",
            ),
            asked("""And {number}?\nWhat about {number}?\nAnd number {number}?""", "How about {number}?"),
            subject="number",
        ),
        Topic(
            "about element", "elements", 0.5, facts,
            "{element} is a chemical element with the symbol {symbol} and the atomic number {number}.",
            asked(
                """Tell me about {element}.
                What is {element}?
                What do you know about {element}?
                Describe {element}.
                Tell me something about {element}.
                What can you tell me about {element}?""",
                """Describe the element {element}.
                What do you know of {element}?
                Can you tell me something about {element}?""",
            ),
            follow, subject="element",
        ),
    ]  # fmt: skip
