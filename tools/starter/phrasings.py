"""How people ask for the facts of `facts.py`, in training and held out, and how the model answers.

The slots are the keys of each fact. Phrasings of one topic must not fit another: "Which element is {symbol}?" and
"What is {name}?" would leave the model to guess.
"""

from __future__ import annotations

from tools.starter.facts import CAPITALS, CONTINENTS, DAYS, ELEMENTS, MONTHS, OPPOSITES, ORDINALS, UNITS
from tools.starter.topics import Phrasings, Topic, lines


def _ask(train: str, held_out: str) -> Phrasings:
    return Phrasings(lines(train), lines(held_out))


def _geography() -> list[Topic]:
    capitals = [{"country": country, "capital": capital} for country, capital in CAPITALS]
    continents = [{"country": country, "continent": continent} for country, continent in CONTINENTS]
    follow = _ask(
        """And of {country}?
        And {country}?
        What about {country}?
        And for {country}?
        Now {country}.
        Same question for {country}.""",
        """How about {country}?
        And what about {country}?""",
    )
    return [
        Topic(
            "capital", "capitals", 1.3, capitals, "The capital of {country} is {capital}.",
            _ask(
                """What is the capital of {country}?
                What's the capital of {country}?
                Which city is the capital of {country}?
                Name the capital of {country}.
                Tell me the capital of {country}.
                {country}: what is its capital?
                Do you know the capital of {country}?
                The capital of {country} is?
                capital of {country}
                What is the capital city of {country}?
                Which city is the seat of {country}, its capital?
                What city is {country}'s capital?
                {country}'s capital?
                What is {country}'s capital city?
                Can you tell me what the capital of {country} is?
                I forgot the capital of {country}. What is it?""",
                """Could you name the capital city of {country}?
                What is {country}'s capital?
                Which city is {country}'s capital?
                Give me the capital of {country}.
                I would like to know the capital of {country}.""",
            ),
            follow, _ask(
                """What is its capital?
                And its capital?
                Which city is its capital?
                What is the capital there?""",
                """What is its capital city?
                And what is the capital?""",
            ), "country",
        ),
        Topic(
            "country", "capitals", 1.2, capitals, "{capital} is the capital of {country}.",
            _ask(
                """{capital} is the capital of which country?
                Which country has the capital {capital}?
                Of which country is {capital} the capital?
                What country is {capital} the capital of?
                Name the country whose capital is {capital}.
                Whose capital is {capital}?
                Which country's capital is {capital}?
                {capital} is the capital of what?
                Tell me which country {capital} is the capital of.
                The city of {capital} is the capital of which country?
                What is {capital} the capital of?
                In which country is {capital} the capital?""",
                """Which country is {capital} the capital of?
                Which country has {capital} as its capital?
                {capital} is the capital city of which country?
                Tell me the country whose capital is {capital}.""",
            ),
            _ask(
                """And {capital}?
                What about {capital}?
                And for {capital}?
                Now {capital}.""",
                """How about {capital}?
                And what about {capital}?""",
            ), subject="capital",
        ),
        Topic(
            "continent", "continents", 1.0, continents, "{country} is in {continent}.",
            _ask(
                """On which continent is {country}?
                Which continent is {country} in?
                What continent is {country} on?
                Where in the world is {country}?
                In what part of the world is {country}?
                Name the continent of {country}.
                Tell me the continent of {country}.
                What is the continent of {country}?
                {country}: which continent?
                Where is {country}?
                To which continent does {country} belong?
                Is {country} in Europe, Asia or elsewhere?""",
                """Which continent is {country} on?
                On what continent is {country}?
                Can you tell me the continent of {country}?
                Which continent does {country} belong to?""",
            ),
            follow, _ask(
                """Which continent is it in?
                On which continent is it?
                And where is it?
                Where in the world is it?""",
                """Which continent is it on?
                And on what continent is it?""",
            ), "country",
        ),
    ]  # fmt: skip


def _chemistry() -> list[Topic]:
    facts = [
        {"element": name, "symbol": symbol, "number": str(number)} for number, (name, symbol) in enumerate(ELEMENTS, 1)
    ]
    follow = _ask(
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
            "symbol", "elements", 0.9, facts, "The symbol of {element} is {symbol}.",
            _ask(
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
            follow, _ask(
                """What is its symbol?
                And its symbol?
                Which symbol does it have?""",
                """What is its chemical symbol?
                And what is its symbol?""",
            ), "element",
        ),
        Topic(
            "element", "elements", 0.9, facts, "{symbol} is the symbol of {element}.",
            _ask(
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
            _ask("""And {symbol}?\nWhat about {symbol}?\nNow {symbol}.""", "How about {symbol}?"),
            subject="symbol",
        ),
        Topic(
            "atomic number", "elements", 0.9, facts, "The atomic number of {element} is {number}.",
            _ask(
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
            follow, _ask(
                """What is its atomic number?
                And its atomic number?
                How many protons does it have?""",
                """Which atomic number does it have?
                And what is its atomic number?""",
            ), "element",
        ),
        Topic(
            "element by number", "elements", 0.9, facts, "The element with atomic number {number} is {element}.",
            _ask(
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
            _ask("""And {number}?\nWhat about {number}?\nAnd number {number}?""", "How about {number}?"),
            subject="number",
        ),
    ]  # fmt: skip


def _arithmetic() -> list[Topic]:
    small, large = range(21), range(21, 51)
    pairs = [(a, b) for a in small for b in small] * 2 + [(a, b) for a in large for b in range(51)]
    add = [{"a": str(a), "b": str(b), "c": str(a + b)} for a, b in pairs]
    subtract = [{"a": str(a), "b": str(b), "c": str(a - b)} for a, b in pairs if a >= b]
    multiply = [{"a": str(a), "b": str(b), "c": str(a * b)} for a in range(11) for b in range(11)]
    divide = [{"a": str(b * c), "b": str(b), "c": str(c)} for b in range(1, 11) for c in range(11)]
    return [
        Topic(
            "addition", "arithmetic", 2.2, add, "{a} + {b} = {c}.",
            _ask(
                """What is {a} + {b}?
                What is {a} plus {b}?
                {a} + {b}
                {a}+{b}
                {a} plus {b}
                {a} + {b} = ?
                How much is {a} plus {b}?
                Calculate {a} + {b}.
                Compute {a} plus {b}.
                Tell me {a} + {b}.
                What do you get for {a} + {b}?
                What is the sum of {a} and {b}?
                Add {a} and {b}.""",
                """How much is {a} + {b}?
                Calculate {a} plus {b}.
                Give me {a} + {b}.
                Give me the sum of {a} and {b}.""",
            ),
            _ask("""And {a} + {b}?\nAnd {a} plus {b}?\nNow {a} + {b}.""", "What about {a} + {b}?"),
        ),
        Topic(
            "subtraction", "arithmetic", 1.8, subtract, "{a} - {b} = {c}.",
            _ask(
                """What is {a} - {b}?
                What is {a} minus {b}?
                {a} - {b}
                {a}-{b}
                {a} minus {b}
                {a} - {b} = ?
                How much is {a} minus {b}?
                Calculate {a} - {b}.
                Compute {a} minus {b}.
                Tell me {a} - {b}.
                What do you get for {a} - {b}?
                What is {a} less {b}?""",
                """How much is {a} - {b}?
                Calculate {a} minus {b}.
                Give me {a} - {b}.
                Tell me {a} minus {b}.""",
            ),
            _ask("""And {a} - {b}?\nAnd {a} minus {b}?\nNow {a} - {b}.""", "What about {a} - {b}?"),
        ),
        Topic(
            "multiplication", "arithmetic", 0.7, multiply, "{a} x {b} = {c}.",
            _ask(
                """What is {a} x {b}?
                What is {a} times {b}?
                {a} * {b}
                {a}*{b}
                {a} x {b}
                {a} times {b}
                What is {a} * {b}?
                How much is {a} times {b}?
                Calculate {a} x {b}.
                Multiply {a} by {b}.
                What is the product of {a} and {b}?""",
                """How much is {a} x {b}?
                Calculate {a} times {b}.
                Calculate {a} * {b}.
                Tell me the product of {a} and {b}.""",
            ),
            _ask("""And {a} x {b}?\nAnd {a} times {b}?\nNow {a} * {b}.""", "What about {a} x {b}?"),
        ),
        Topic(
            "division", "arithmetic", 0.7, divide, "{a} / {b} = {c}.",
            _ask(
                """What is {a} / {b}?
                What is {a} divided by {b}?
                {a} / {b}
                {a}/{b}
                {a} divided by {b}
                How much is {a} divided by {b}?
                Calculate {a} / {b}.
                Divide {a} by {b}.""",
                """How much is {a} / {b}?
                Calculate {a} divided by {b}.
                Tell me {a} / {b}.""",
            ),
            _ask("""And {a} / {b}?\nAnd {a} divided by {b}?""", "What about {a} / {b}?"),
        ),
    ]  # fmt: skip


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aei" or noun.startswith("hour") else "a ") + noun


def _plural(noun: str) -> str:
    irregular = {"foot": "feet", "century": "centuries", "millennium": "millennia", "gross": "gross"}
    return irregular.get(noun, noun + ("es" if noun.endswith("h") else "s"))


def _units() -> list[Topic]:
    one = [{"unit": _article(u), "units": _plural(u), "small": s, "count": str(n)} for u, s, n in UNITS]
    several = [
        {"unit": f"{k} {_plural(u)}", "units": _plural(u), "small": s, "count": str(k * n)}
        for u, s, n in UNITS
        if n in (7, 10, 12, 24, 60, 100, 1000) and u not in ("gram", "tonne", "foot", "decade")
        for k in (2, 3, 4, 5)
    ]
    answer = "There are {count} {small} in {unit}."
    ask = _ask(
        """How many {small} are in {unit}?
        How many {small} are there in {unit}?
        How many {small} does {unit} have?
        How many {small} make {unit}?
        How many {small} is {unit}?
        {unit} is how many {small}?
        Convert {unit} to {small}.
        {unit} in {small}
        What is {unit} in {small}?
        Tell me how many {small} are in {unit}.
        Express {unit} in {small}.""",
        """How many {small} make up {unit}?
        Tell me how many {small} there are in {unit}.
        I would like {unit} in {small}.
        Can you convert {unit} to {small}?""",
    )
    follow = _ask("""And in {unit}?\nAnd {unit}?\nWhat about {unit}?""", "How about {unit}?")
    # A follow-up names only the larger unit, so the smaller one is taken from the turn before: text.py sees to it.
    return [
        Topic("unit", "units", 0.5, one, answer, ask, follow, subject="small"),
        Topic("several units", "units", 0.6, several, answer, ask, follow, subject="small"),
    ]


def _calendar() -> list[Topic]:
    names = [month for month, _ in MONTHS]
    next_day = [{"day": day, "then": DAYS[(i + 1) % 7]} for i, day in enumerate(DAYS)]
    last_day = [{"day": day, "then": DAYS[i - 1]} for i, day in enumerate(DAYS)]
    next_month = [{"month": month, "then": names[(i + 1) % 12]} for i, month in enumerate(names)]
    last_month = [{"month": month, "then": names[i - 1]} for i, month in enumerate(names)]
    number = [{"month": m, "nth": ORDINALS[i]} for i, m in enumerate(names)]
    lengths = [{"month": month, "count": str(count)} for month, count in MONTHS]

    def beside(name: str, slot: str, facts: list[dict[str, str]], word: str, verb: str) -> Topic:
        return Topic(
            name, "calendar", 0.25, facts, f"The {slot} {word} {{{slot}}} is {{then}}.",
            _ask(
                f"""What {slot} is {word} {{{slot}}}?
                Which {slot} comes {word} {{{slot}}}?
                What is the {slot} {word} {{{slot}}}?
                Which {slot} is {word} {{{slot}}}?
                Name the {slot} {word} {{{slot}}}.
                What comes {word} {{{slot}}}?
                Which {slot} {verb} {{{slot}}}?
                {word} {{{slot}}} comes which {slot}?""",
                f"""What {slot} comes {word} {{{slot}}}?
                Tell me the {slot} {word} {{{slot}}}.
                What {slot} {verb} {{{slot}}}?""",
            ),
            _ask(f"And {word} {{{slot}}}?\nAnd {{{slot}}}?\nWhat about {{{slot}}}?", f"How about {{{slot}}}?"),
            subject=slot,
        )  # fmt: skip

    return [
        beside("day after", "day", next_day, "after", "follows"),
        beside("day before", "day", last_day, "before", "precedes"),
        beside("month after", "month", next_month, "after", "follows"),
        beside("month before", "month", last_month, "before", "precedes"),
        Topic(
            "month length", "calendar", 0.25, lengths, "{month} has {count} days.",
            _ask(
                """How many days does {month} have?
                How many days are in {month}?
                How many days are there in {month}?
                How long is {month} in days?
                What is the number of days in {month}?
                {month} has how many days?
                Tell me how many days are in {month}.
                In a common year, how many days does {month} have?""",
                """How many days has {month}?
                How many days does the month of {month} have?
                Tell me how many days {month} has.""",
            ),
            _ask("""And {month}?\nWhat about {month}?\nAnd in {month}?""", "How about {month}?"), subject="month",
        ),
        Topic(
            "nth month", "calendar", 0.2, number, "The {nth} month of the year is {month}.",
            _ask(
                """What is the {nth} month of the year?
                Which month is the {nth} month?
                What is the {nth} month?
                Name the {nth} month of the year.
                The {nth} month of the year is?""",
                """Which month is the {nth} of the year?
                Tell me the {nth} month of the year.""",
            ),
            _ask("""And the {nth}?\nWhat about the {nth}?""", "How about the {nth}?"), subject="month",
        ),
    ]  # fmt: skip


def _opposites() -> list[Topic]:
    facts = [{"word": a, "opposite": b} for x, y in OPPOSITES for a, b in ((x, y), (y, x))]
    return [
        Topic(
            "opposite", "opposites", 1.6, facts, "The opposite of {word} is {opposite}.",
            _ask(
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
            _ask(
                """And of {word}?\nAnd {word}?\nWhat about {word}?\nNow {word}.""",
                """How about {word}?\nAnd what about {word}?""",
            ), subject="word",
        )
    ]  # fmt: skip


def fact_topics() -> list[Topic]:
    """The topics whose facts stand in `facts.py`."""
    return [*_geography(), *_chemistry(), *_arithmetic(), *_units(), *_calendar(), *_opposites()]
