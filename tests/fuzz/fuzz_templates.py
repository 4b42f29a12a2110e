"""Chat templates: those of known formats with parts changed, compiled and run over conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hearth.chat import known_templates
from hearth.chat.template import ChatTemplate

from .harness import Target, main
from .mutation import Mutator

_SOURCES = [
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "{% set ns = namespace(found=false, parts=[]) %}{% for m in messages %}"
    "{% if m['role'] == 'system' and not ns.found %}{% set ns.found = true %}"
    "{{ bos_token ~ m['content'].split('x')[0][:10] }}{% else %}"
    "{{ '%s: %s' | format(m.role, m.content) }}{% endif %}{% endfor %}"
    "{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}",
    "{% macro show(v, depth=0) %}{{ '{:>4}'.format(v) ~ v * 2 }}{% if depth < 3 %}{{ show(v, depth + 1) }}{% endif %}"
    "{% endmacro %}{{ show(messages[-1].content) }}{{ range(10) | map('string') | join(',') | replace(',', ';') }}",
]
_EXPRESSIONS = (
    "range(10**9) | list | length",
    "'a' * 10**9",
    "'{:{}}'.format('a', 10**9)",
    "'%*d' % (10**9, 1)",
    "messages | sum(start=[])",
    "''.__class__.__mro__",
    "messages.append(1)",
    "lipsum(1000)",
    "(1,) * 10**8",
    "10 ** 10 ** 5",
    "x | default(messages, true) | groupby('role')",
    "messages | batch(2) | list",
    "messages[0].content | indent(10**8)",
    "raise_exception('no')",
    "strftime_now('%Y')",
    "'a' | center(10**9)",
    "messages | tojson(indent=10**7)",
)
_MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello <|im_end|> {{ 7*7 }}"},
    {"role": "assistant", "content": "Good day."},
    {"role": "user", "content": "é 東 😀"},
]
_KNOWN = [value for name, value in vars(known_templates).items() if isinstance(value, str) and "{%" in value]


def make(mutator: Mutator) -> str:
    source = mutator.choice(_SOURCES + _KNOWN)
    for _ in range(mutator.random.randrange(3)):
        at = mutator.random.randrange(len(source) + 1)
        source = source[:at] + "{{ " + mutator.choice(_EXPRESSIONS) + " }}" + source[at:]
    return mutator.text(source) if mutator.one_in(2) else source


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[str], None]]:
    def run(source: str) -> None:
        template = ChatTemplate(source, special={"bos_token": "<s>", "eos_token": "</s>"}, control=["<|im_end|>"])
        template.render(_MESSAGES)

    yield run


TARGET = Target("chat template", make, opened)

if __name__ == "__main__":
    main(TARGET)
