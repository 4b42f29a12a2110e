"""What the starter model knows of Hearth and of itself: one question after another, with its one answer."""

from __future__ import annotations

from tools.starter.facts import COMMANDS
from tools.starter.topics import Phrasings, Topic, lines

_QUESTIONS: list[tuple[str, str, str, str]] = [
    (
        "who are you",
        "I am Hearth's starter model: a small demonstration, not an assistant.",
        """Who are you?
        What are you?
        Tell me who you are.
        Introduce yourself.
        What kind of model are you?
        Which model are you?
        Are you an assistant?
        What is your name?
        What's your name?
        Who am I talking to?
        Are you a person?
        Are you a real person?
        Are you a robot?
        Are you human?
        What language model are you?
        Are you ChatGPT?
        who r u
        What is the starter model?""",
        """Introduce yourself to me.
        Tell me what you are.
        Which model am I talking to?
        Who are you, starter model?""",
    ),
    (
        "what do you know",
        "I know capitals, chemical elements, small sums, units, the calendar, opposites and Hearth.",
        """What can you do?
        What do you know?
        What can I ask you?
        What are you able to do?
        How can you help me?
        Help
        What topics do you know?
        Tell me what you can do.
        What questions can you answer?
        Which things do you know?""",
        """Tell me what you know.
        Which topics do you know?
        Tell me what I can ask you.
        What things can you do?""",
    ),
    (
        "size",
        "I have about three million parameters, so I know very little.",
        """How big are you?
        How large are you?
        How many parameters do you have?
        What is your size?
        Are you a large model?
        Why do you know so little?
        How small are you?""",
        """How many parameters has the starter model?
        Tell me how big you are.
        Are you a small model?""",
    ),
    (
        "training",
        "I was trained on a CPU with text that a tool of Hearth wrote.",
        """How were you trained?
        Who trained you?
        Who made you?
        What were you trained on?
        Where do you come from?
        Who created you?
        On which text were you trained?""",
        """What text were you trained on?
        Tell me how you were trained.
        Tell me who made you.""",
    ),
    (
        "hearth",
        "Hearth compiles language models for your device and runs them there.",
        """What is Hearth?
        What's Hearth?
        What does Hearth do?
        Tell me about Hearth.
        Explain Hearth.
        Hearth?
        What is Hearth good for?
        What is Hearth for?
        Describe Hearth.
        Can you explain what Hearth is?""",
        """Tell me what Hearth is.
        What can Hearth do?
        Explain what Hearth does.
        Describe what Hearth is.""",
    ),
    (
        "compiler",
        "Hearth compiles models with Apache TVM.",
        """How does Hearth compile models?
        Which compiler does Hearth use?
        With what does Hearth compile models?
        What compiler is in Hearth?
        Does Hearth use TVM?
        How does Hearth work?
        What is TVM for in Hearth?""",
        """What does Hearth compile models with?
        Tell me which compiler Hearth uses.
        What compiler does Hearth use?""",
    ),
    (
        "privacy",
        "Everything stays on your device: Hearth sends nothing away.",
        """Is Hearth private?
        Where does my data go?
        Do you send my data to the internet?
        Does Hearth send my data anywhere?
        Is my data safe?
        Does my data stay on my device?
        Do you share what I write?
        Who can read what I write?
        Is this conversation private?""",
        """Does Hearth share my data?
        Is my conversation private?
        Does Hearth send my data to the internet?""",
    ),
    (
        "offline",
        "Yes. A model that is on your device needs no internet.",
        """Does Hearth work offline?
        Do I need the internet?
        Does Hearth need the internet?
        Can I use Hearth without a network?
        Does it run without the internet?
        Can Hearth run offline?""",
        """Does Hearth run without the internet?
        Can I use Hearth offline?
        Does Hearth work without a network?""",
    ),
    (
        "licence",
        "Hearth is free software under the Apache License 2.0.",
        """What is the licence of Hearth?
        Under which licence is Hearth?
        Is Hearth free?
        Is Hearth open source?
        How much does Hearth cost?
        What licence does Hearth have?""",
        """Which licence does Hearth have?
        Is Hearth free software?
        Tell me the licence of Hearth.""",
    ),
    (
        "better model",
        "Download a larger model with hearth pull and talk to it with hearth chat.",
        """How do I get a better model?
        How do I use another model?
        How can I run a larger model?
        Where do I get a real assistant?
        Which model should I use instead of you?
        Can I use a bigger model?""",
        """How can I get a larger model?
        How do I run a better model?
        Can I use another model?""",
    ),
    (
        "commands",
        "The commands are chat, ask, pull, list, show, rm, compile, bench, eval and doctor.",
        """Which commands does Hearth have?
        What commands are there?
        List the commands of Hearth.
        What are the commands of Hearth?
        Which commands can I use?
        Show me the commands.""",
        """What commands does Hearth have?
        Tell me the commands of Hearth.
        Which commands are there?""",
    ),
    (
        "bundle",
        "A bundle is a compiled model: a plan, kernels, weights and a tokenizer.",
        """What is a bundle?
        What's in a bundle?
        What is a bundle in Hearth?
        Explain what a bundle is.
        What does a bundle hold?
        What does Hearth compile a model into?""",
        """Tell me what a bundle is.
        What is in a bundle?
        Explain bundles.""",
    ),
]
"""(name, answer, training phrasings, held-out phrasings)."""

_WISHES: dict[str, str] = {
    "hearth chat": "talk to a model, have a conversation with a model, open a conversation, chat with a model",
    "hearth ask": "ask one question, ask a model a single question, get one answer, ask a question",
    "hearth pull": "download a model, get a new model, fetch a model, add a model",
    "hearth list": "see which models I have, list my models, see all my models, list the models",
    "hearth show": "see the details of a model, show a model, look at a model, know more about a model",
    "hearth rm": "remove a model, delete a model, free some space, remove models",
    "hearth compile": "compile a model, make a bundle, build a bundle, compile models for a device",
    "hearth bench": "measure the speed of a model, see how fast a model is, run a benchmark, "
    "measure how fast a model runs",
    "hearth eval": "measure the accuracy of a model, see how accurate a model is, evaluate a model, "
    "measure how good a model is",
    "hearth doctor": "check my device, see if everything is ready, find out what is wrong, check that Hearth works",
    "make demo": "see the demo, run the demo, try the demo, start the demo",
    "make test": "run the tests, test Hearth, start the tests, run all tests",
}  # fmt: skip


def _commands() -> list[Topic]:
    does = [{"command": command, "does": does} for command, does in COMMANDS.items()]
    wishes = [
        {"command": command, "wish": wish.strip(), "yours": wish.strip().replace("my ", "your ").replace("I ", "you ")}
        for command, row in _WISHES.items()
        for wish in row.split(",")
    ]
    return [
        Topic(
            "command", "hearth", 0.5, does, "{command} {does}.",
            Phrasings(
                lines("""What does {command} do?
                What is {command}?
                What is the command {command} for?
                Explain {command}.
                {command}?
                What happens when I run {command}?
                Tell me about {command}.
                When do I use {command}?
                Explain the command {command}."""),
                lines("""What does the command {command} do?
                Tell me what {command} does.
                What is {command} for?"""),
            ),
            Phrasings(
                lines("And {command}?\nWhat about {command}?\nAnd what does {command} do?"),
                lines("How about {command}?"),
            ), subject="command",
        ),
        Topic(
            "wish", "hearth", 0.8, wishes, "To {yours}, run {command}.",
            Phrasings(
                lines("""How do I {wish}?
                How can I {wish}?
                I want to {wish}.
                Which command do I need to {wish}?
                What do I type to {wish}?
                With which command do I {wish}?
                Can I {wish}?
                How to {wish}?"""),
                lines("""Which command should I use to {wish}?
                I would like to {wish}.
                What command do I run to {wish}?"""),
            ),
        ),
    ]  # fmt: skip


def about_topics() -> list[Topic]:
    """What Hearth is, what its commands do, what the starter model is."""
    questions = [
        Topic(name, "hearth", 0.15, [{}], answer, Phrasings(lines(train), lines(held_out)))
        for name, answer, train, held_out in _QUESTIONS
    ]
    return [*questions, *_commands()]
