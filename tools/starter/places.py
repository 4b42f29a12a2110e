"""How people ask for capitals and continents, in training and held out."""

from __future__ import annotations

from tools.starter.facts import CAPITALS, CONTINENTS
from tools.starter.topics import Topic, asked


def place_topics() -> list[Topic]:
    """Capitals and continents, asked for in both directions."""
    capitals = [{"country": country, "capital": capital} for country, capital in CAPITALS]
    continents = [{"country": country, "continent": continent} for country, continent in CONTINENTS]
    about = [{**place, **belongs} for place, belongs in zip(capitals, continents, strict=True)]
    cities = [fact for fact in capitals if fact["capital"] not in fact["country"]]
    follow = asked(
        """And of {country}?
        And {country}?
        What about {country}?
        And for {country}?
        Now {country}.
        Same question for {country}.""",
        """How about {country}?
        And what about {country}?""",
    )
    follow_city = asked(
        """And {capital}?
        What about {capital}?
        And for {capital}?
        Now {capital}.""",
        """How about {capital}?
        And what about {capital}?""",
    )
    return [
        Topic(
            "capital", "capitals", 1.1, capitals, "The capital of {country} is {capital}.",
            asked(
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
            follow, asked(
                """What is its capital?
                And its capital?
                Which city is its capital?
                What is the capital there?""",
                """What is its capital city?
                And what is the capital?""",
            ), "country",
        ),
        Topic(
            "country", "capitals", 1.0, capitals, "{capital} is the capital of {country}.",
            asked(
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
            follow_city, subject="capital",
        ),
        Topic(
            "continent", "continents", 0.7, continents, "{country} is in {continent}.",
            asked(
                """On which continent is {country}?
                Which continent is {country} in?
                What continent is {country} on?
                Where in the world is {country}?
                Where is the country {country}?
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
            follow, asked(
                """Which continent is it in?
                On which continent is it?
                And where is it?
                Where in the world is it?""",
                """Which continent is it on?
                And on what continent is it?""",
            ), "country",
        ),
        Topic(
            "about country", "continents", 0.5, about,
            "{country} is a country in {continent}. Its capital is {capital}.",
            asked(
                """Tell me about {country}.
                What is {country}?
                What do you know about {country}?
                Describe {country}.
                Tell me something about {country}.
                What can you tell me about {country}?""",
                """Describe the country {country}.
                What do you know of {country}?
                Can you tell me something about {country}?""",
            ),
            follow, subject="country",
        ),
        Topic(
            "about capital", "capitals", 0.5, cities, "{capital} is in {country}.",
            asked(
                """Where is {capital}?
                In which country is {capital}?
                Where is the city of {capital}?
                Which country is {capital} in?
                Where can I find {capital}?
                In what country is the city of {capital}?
                Where in the world is the city {capital}?""",
                """Where is the city {capital}?
                In what country is {capital}?
                What country is {capital} in?""",
            ),
            follow_city, subject="capital",
        ),
        Topic(
            "is it the capital", "capitals", 0.8, _verdicts(), "{verdict}",
            asked(
                """Is {guess} the capital of {country}?
                Is the capital of {country} {guess}?
                Is {guess} {country}'s capital?
                {guess} is the capital of {country}, right?
                {guess} is the capital of {country}, is it not?
                Is it true that {guess} is the capital of {country}?
                I think {guess} is the capital of {country}.""",
                """Is {guess} the capital city of {country}?
                Is it right that {guess} is the capital of {country}?
                I think that the capital of {country} is {guess}.""",
            ),
        ),
    ]  # fmt: skip


def _verdicts() -> list[dict[str, str]]:
    """For each country its own capital, twice, and two others."""
    rows = []
    for i, (country, capital) in enumerate(CAPITALS):
        rows += [{"country": country, "guess": capital, "verdict": f"Yes, {capital} is the capital of {country}."}] * 2
        for guess in (CAPITALS[(i + 7) % len(CAPITALS)][1], CAPITALS[(i * 31 + 50) % len(CAPITALS)][1]):
            if guess != capital:
                verdict = f"No, the capital of {country} is {capital}."
                rows.append({"country": country, "guess": guess, "verdict": verdict})
    return rows
