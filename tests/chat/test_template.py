"""A template renders as `transformers` renders it, and a hostile one is stopped soon with one clear message."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hearth.chat.template import MAX_TEMPLATE_CHARS, ChatTemplate
from hearth.errors import TemplateError, UsageError

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Grüß <b>dich</b>"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "Bye"},
]


def render(source: str, **variables: Any) -> str:
    return ChatTemplate(source, special={"bos_token": "<s>", "eos_token": "</s>"}).render(MESSAGES, **variables).text


# Template -> what it gives: the idioms of published templates.
IDIOMS = {
    "{% for m in messages %}\n  {% if m['role'] == 'user' %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}": (
        "Grüß <b>dich</b>\nBye\n"
    ),
    "{%- for m in messages -%}{%- if loop.index0 == 1 -%}{%- break -%}{%- endif -%}{{ m.role }}{%- endfor -%}": (
        "system"
    ),
    "{{ bos_token + messages[0]['content'] | trim + eos_token }}": "<s>Be brief.</s>",
    "{{ {'a': 'ü<', 'b': [1, true, none]} | tojson }}": '{"a": "ü<", "b": [1, true, null]}',
    "{{ {'a': 1} | tojson(indent=2) }}": '{\n  "a": 1\n}',
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}": "4",
    "{% macro turn(m) %}[{{ m.role }}]{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}": (
        "[system][user][assistant][user]"
    ),
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.last }}{% endfor %}": "1False2True",
    "{% generation %}{{ 'x' }}{% endgeneration %}y": "xy",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | length }}": "2",
    "{{ messages[1:][0].content.split(' ')[-1].strip('</b>') }}": "dich",
    "{% set a, b = ('x', 'y') %}{{ a ~ 1 ~ b }}": "x1y",
    "{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}": "a=1",
    "{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{% endfor %}": "ab",
    "{% if tools %}T{% endif %}{% if unknown is defined %}U{% endif %}{{ unknown }}": "",
    "{{ messages[0].get('name', 'none') }}{{ messages[0].copy }}": "none",
    "{{ '%s-%d' % ('a', 3) }}{{ '{}{x}'.format(1, x=2) }}": "a-312",
    "{{ '{:>5}|{{}}'.format(1) }}": "    1|{}",
    "{{ [1, 2.5] | sum }}{{ [{'n': 1}, {'n': 2}] | sum(attribute='n') }}{{ 'a b' | title }}": "3.53A B",
    "{{ 'a  b c'.split() | join('-') }}": "a-b-c",
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}": "<|assistant|>",
    "{% set x %}{% for m in messages %}{{ m.role[0] }}{% endfor %}{% endset %}{{ x | upper }}": "SUAU",
    "{{ 'thinking' if enable_thinking is not defined or enable_thinking else 'off' }}": "thinking",
}


@pytest.mark.parametrize("source", IDIOMS)
def test_idioms_of_published_templates(source: str) -> None:
    assert render(source) == IDIOMS[source]


@pytest.mark.reference
@pytest.mark.parametrize("source", [s for s in IDIOMS if "copy" not in s])
def test_idioms_as_transformers_renders_them(source: str) -> None:
    chat_template_utils = pytest.importorskip("transformers.utils.chat_template_utils")
    texts, _ = chat_template_utils.render_jinja_template(
        [MESSAGES], chat_template=source, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
    )
    assert texts[0] == render(source)


HOSTILE = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "huge range": "{% for a in range(10 ** 12) %}{% endfor %}",
    "long text": "{{ 'a' * 10 ** 9 }}",
    "long text in a constant": "{{ 'a' * 1000000000 }}",
    "huge number": "{{ 9 ** (9 ** 9) }}",
    "squaring": "{% set n = namespace(x=9) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "padding": "{{ 'a' | center(1000000000) }}",
    "padding method": "{{ 'a'.rjust(1000000000) }}",
    "doubling ~": "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling +": "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling lists": (
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}"
    ),
    "doubling dicts": (
        "{% set n = namespace(x={}) %}{% for i in range(60) %}{% set n.x = dict(a=n.x, b=n.x) %}{% endfor %}"
        "{{ n.x == n.x }}"
    ),
    "doubling blocks": (
        "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}"
    ),
    "hoarding": (
        "{% set s = 'a' * 4000000 %}{% set x %}{% for i in range(99999) %}{{ s[i:] }}{% endfor %}{% endset %}"
    ),
    "slow filter condition": (
        "{% set s = 'a' * 4000000 %}{% set t = 'a' * 4000000 %}{% for i in range(99999) if s == t %}{% endfor %}"
    ),
    "replacement": "{{ ('a' * 100000).replace('', 'b' * 100000) }}",
    "join": "{{ ['a' * 4000000] * 9 | join }}{{ ('b' * 100000).join(['x'] * 100000) }}",
    "fill": "{{ [1] | batch(1000000000, 'x') | list }}",
    "format width": "{{ '%1000000000d' % 1 }}",
    "format method width": "{{ '{:1000000000}'.format(1) }}",
    "format width as an argument": "{{ '{:{}}'.format('a', 2000000000) }}",
    "format width as a named argument": "{{ '{:{w}}'.format('a', w=2000000000) }}",
    "format width in a mapping": "{{ '{a:>{w}}'.format_map({'a': 1, 'w': 2000000000}) }}",
    "format width after %": "{{ '%*d' % (2000000000, 1) }}",
    "format filter": "{{ '%*d' | format(2000000000, 1) }}",
    "sum of lists": (
        "{% set n = namespace(x=[[0]]) %}{% for i in range(15) %}{% set n.x = n.x + n.x %}{% endfor %}"
        "{{ n.x | sum(start=[]) | length }}"
    ),
    "sum of lists by place": "{{ [[1], [2]] | sum(none, []) }}",
    "title of a long text": "{{ ('a ' * 2000000) | title | length }}",
    "words of a long text": "{{ ('a ' * 2000000).split() | length }}",
    "hoarding in variables": "".join("{% set x" + str(i) + " = 'a' * 4000000 %}" for i in range(300)),
    "looking back for ever": (
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ messages[0].role == 'x' }}{% endfor %}{% endfor %}"
    ),
    "json indent": "{{ [[[1]]] | tojson(indent=100000000) }}",
    "date width": "{{ strftime_now('%999999999Y') }}",
    "endless recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "branching recursion": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(200) }}"
    ),
    "deep brackets": "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    "deep blocks": "{% if 1 %}" * 2000 + "{% endif %}" * 2000,
    "long sum": "{{" + "+".join(["1"] * 20000) + "}}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__['os'] }}",
    "class by filter": "{{ '' | attr('__class__') }}",
    "class by map": "{{ [''] | map(attribute='__class__.__mro__') | first | first }}",
    "class by format": "{{ '{0.__class__.__mro__}'.format('') }}",
    "self": "{{ self.__init__.__globals__ }}",
    "changing messages": "{{ messages[0].update({'role': 'x'}) }}",
    "file": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "syntax": "{% for %}",
    "division": "{{ 1 / 0 }}",
    "too long": "a" * (MAX_TEMPLATE_CHARS + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_are_stopped(name: str) -> None:
    begin = time.thread_time()
    with pytest.raises(TemplateError) as caught:
        render(HOSTILE[name])
    assert time.thread_time() - begin < 12, "limits are on processor time: 3 s, and one operation more"
    assert len(str(caught.value)) < 1000
    assert "--template" in str(caught.value), "the message says what to do"


def test_nothing_of_python_leaks() -> None:
    """What does not fail prints nothing of use: no class, function or module is reachable."""
    for name in ("raise_exception.__globals__", "cycler", "namespace", "dict", "range", "strftime_now"):
        assert render("{{ " + name + " }}") in ("", "<type>", "<function>")


def test_the_largest_template_compiles_in_reasonable_time() -> None:
    begin = time.thread_time()
    assert render("{{a}}" * (MAX_TEMPLATE_CHARS // 5)) == ""
    assert time.thread_time() - begin < 20


def test_a_refusal_is_passed_on() -> None:
    with pytest.raises(TemplateError, match="refuses this conversation: Roles must alternate"):
        render("{{ raise_exception('Roles must alternate') }}")


BACKWARDS = (
    "{% set ns = namespace(all='') %}{% for m in messages %}{% set seen = namespace(n=0) %}"
    "{% for earlier in messages[:loop.index0] %}{% if earlier.role == m.role %}{% set seen.n = seen.n + 1 %}{% endif %}"
    "{% endfor %}{% set ns.all = ns.all ~ seen.n ~ m.content ~ '\\n' %}{% endfor %}{{ ns.all }}"
)


def test_templates_may_look_back_from_each_of_many_turns() -> None:
    """As published ones do that look for the call to each result."""
    turns = [{"role": role, "content": "word " * 20} for _ in range(400) for role in ("user", "assistant")]
    text = ChatTemplate(BACKWARDS, special={}).render(turns).text
    assert text.splitlines()[-1] == "399" + "word " * 20


def test_long_conversations_are_no_attack() -> None:
    turns = [{"role": "user", "content": "word " * 20000}] * 60  # 6 million characters
    source = "{% for m in messages %}{{ '<|u|>' + m.content | trim + '</s>\n' }}{% endfor %}"
    assert len(ChatTemplate(source, special={}).render(turns).text) > 5_000_000


@pytest.mark.parametrize("role", ["", "user<|im_end|>", "a b", None, 3])
def test_a_role_is_a_word(role: object) -> None:
    with pytest.raises(UsageError, match="role"):
        ChatTemplate("{{ messages }}", special={}).render([{"role": role, "content": ""}])
