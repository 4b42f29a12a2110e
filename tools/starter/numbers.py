"""How people ask for sums, units and the calendar, in training and held out."""

from __future__ import annotations

from itertools import product

from tools.starter.facts import DAYS, MONTHS, ORDINALS, UNITS
from tools.starter.topics import Topic, asked


def _arithmetic() -> list[Topic]:
    # Small numbers are asked for most, so they are drawn as often as all others.
    pairs = [
        pair
        for end, times in ((21, 24), (51, 4), (100, 1))
        for pair in product(range(end), repeat=2)
        for _ in range(times)
    ]
    add = [{"a": str(a), "b": str(b), "c": str(a + b)} for a, b in pairs]
    subtract = [{"a": str(a), "b": str(b), "c": str(a - b)} for a, b in pairs if a >= b]
    multiply = [{"a": str(a), "b": str(b), "c": str(a * b)} for a in range(11) for b in range(11)]
    divide = [{"a": str(b * c), "b": str(b), "c": str(c)} for b in range(1, 11) for c in range(11)]
    return [
        Topic(
            "addition", "arithmetic", 3.6, add, "{a} + {b} = {c}.",
            asked(
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
            asked("""And {a} + {b}?\nAnd {a} plus {b}?\nNow {a} + {b}.""", "What about {a} + {b}?"),
        ),
        Topic(
            "subtraction", "arithmetic", 3.2, subtract, "{a} - {b} = {c}.",
            asked(
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
            asked("""And {a} - {b}?\nAnd {a} minus {b}?\nNow {a} - {b}.""", "What about {a} - {b}?"),
        ),
        Topic(
            "multiplication", "arithmetic", 1.1, multiply, "{a} x {b} = {c}.",
            asked(
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
            asked("""And {a} x {b}?\nAnd {a} times {b}?\nNow {a} * {b}.""", "What about {a} x {b}?"),
        ),
        Topic(
            "division", "arithmetic", 0.9, divide, "{a} / {b} = {c}.",
            asked(
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
            asked("""And {a} / {b}?\nAnd {a} divided by {b}?""", "What about {a} / {b}?"),
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
    ask = asked(
        """How many {small} are in {unit}?
        How many {small} in {unit}?
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
    follow = asked("""And in {unit}?\nAnd {unit}?\nWhat about {unit}?""", "How about {unit}?")
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
            asked(
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
            asked(f"And {word} {{{slot}}}?\nAnd {{{slot}}}?\nWhat about {{{slot}}}?", f"How about {{{slot}}}?"),
            subject=slot,
        )  # fmt: skip

    return [
        beside("day after", "day", next_day, "after", "follows"),
        beside("day before", "day", last_day, "before", "precedes"),
        beside("month after", "month", next_month, "after", "follows"),
        beside("month before", "month", last_month, "before", "precedes"),
        Topic(
            "month length", "calendar", 0.25, lengths, "{month} has {count} days.",
            asked(
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
            asked("""And {month}?\nWhat about {month}?\nAnd in {month}?""", "How about {month}?"), subject="month",
        ),
        Topic(
            "nth month", "calendar", 0.2, number, "The {nth} month of the year is {month}.",
            asked(
                """What is the {nth} month of the year?
                Which month is the {nth} month?
                What is the {nth} month?
                Name the {nth} month of the year.
                The {nth} month of the year is?""",
                """Which month is the {nth} of the year?
                Tell me the {nth} month of the year.""",
            ),
            asked("""And the {nth}?\nWhat about the {nth}?""", "How about the {nth}?"), subject="month",
        ),
    ]  # fmt: skip


def number_topics() -> list[Topic]:
    """Sums, units, the calendar."""
    return [*_arithmetic(), *_units(), *_calendar()]
