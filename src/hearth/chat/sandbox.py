"""The Jinja dialect of chat templates, metered: the environment in which a stranger's template is safe to run.

It is set up as `transformers` sets up its own (trimmed blocks, `break` and `continue`, `tojson` without HTML escapes,
`raise_exception`, `strftime_now`, the `generation` tag), and differs in this: only the filters and methods in the
tables below exist, and everything that makes a value is charged to a `Meter`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from string import Formatter
from typing import Any

import jinja2
from jinja2 import ext, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from hearth.chat.meter import MAX_NODES, current, refuse


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILTERS = _words("""
    abs batch capitalize center count d default dictsort e escape first float format indent int items join
    last length list lower map max min reject rejectattr replace reverse round safe select selectattr slice
    sort string sum title trim truncate unique upper wordcount
""")
_STR_METHODS = _words("""
    capitalize casefold center count endswith find format index isalnum isalpha isdecimal isdigit islower
    isnumeric isspace istitle isupper join ljust lower lstrip partition removeprefix removesuffix replace
    rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill
""")
_LOOP_FIELDS = _words("""
    changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0
""")
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (str, _STR_METHODS),
    (dict, _words("get items keys values")),
    (list, _words("count index")),
    (tuple, _words("count index")),
    (LoopContext, _LOOP_FIELDS),
)
_WIDE = 10_000  # the largest width, indent or batch that a filter or method takes
_LONG_NUMBER = re.compile(r"\d{4,}|\*")
_DATE_FORMAT = re.compile(r"(?:[^%]|%-?[A-Za-z%]){0,200}")


class TemplateRefusal(jinja2.TemplateError):
    """The template called `raise_exception`: it says this conversation is not for its model."""


class GenerationTag(ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks the assistant's words for training; here it is just its body."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own declaration)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Charge(NodeTransformer):
    """Puts a charge into everything that repeats or makes a value without a call."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_own("tick", node), lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(_own("tick", node), node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_own("tick", node), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _own("joined", node, node.nodes)

    def _literal(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        if getattr(node, "ctx", "load") != "load":  # `{% for a, b in pairs %}`: a target, not a value
            return node
        return _own("charged", node, [node])

    visit_List = visit_Tuple = visit_Dict = _literal

    def _refuse(self, node: nodes.Node) -> nodes.Node:
        raise jinja2.TemplateSyntaxError(
            f"'{type(node).__name__.lower()}' has no place in a chat template", node.lineno
        )

    visit_Include = visit_Import = visit_FromImport = visit_Extends = visit_Block = _refuse


def _own(name: str, at: nodes.Node, args: list[nodes.Expr] | None = None) -> nodes.Call:
    target = nodes.EnvironmentAttribute(name, lineno=at.lineno)
    return nodes.Call(target, args or [], [], None, None, lineno=at.lineno)


class _Generator(CodeGenerator):
    """Writes the environment's own calls, which need no check whether they may be made; looks at the clock."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        current().tick()
        return super().visit(node, *args, **kwargs)

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:
        if not isinstance(node.node, nodes.EnvironmentAttribute):
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        self.write(f"environment.{node.node.name}(")
        for arg in node.args:
            self.visit(arg, frame)
            self.write(", ")
        self.write(")")


def _timed(token: Token) -> Token:
    current().tick()
    return token


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """Jinja for chat templates."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = _Generator

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, optimized=False, extensions=[ext.loopcontrols, GenerationTag]
        )
        self.filters = {name: _guarded(name, self.filters[name]) for name in FILTERS}
        self.filters["tojson"] = tojson
        self.globals = {
            "range": safe_range,
            "dict": dict,
            "namespace": Namespace,
            "raise_exception": raise_exception,
            "strftime_now": strftime_now,
        }
        self.finalize = self._printed
        # Blocks of output that a template keeps ({% set x %}...{% endset %}, macros) are joined by this.
        self.concat = self._concat  # type: ignore[method-assign]
        self._own_calls = tuple(self.globals.values())

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Charge().visit(super()._parse(source, name, filename))
        return tree

    def _tokenize(self, *args: Any, **kwargs: Any) -> TokenStream:
        stream = super()._tokenize(*args, **kwargs)
        stream._iter = map(_timed, stream._iter)
        return stream

    # What `_Charge` calls.

    def tick(self) -> bool:
        return current().tick()

    def charged(self, value: Any) -> Any:
        return current().value(value)

    def joined(self, *parts: Any) -> str:
        texts = [self._printed(part) for part in parts]
        current().chars(sum(map(len, texts)))
        result: str = current().value("".join(texts))
        return result

    # What Jinja calls.

    def _printed(self, value: Any) -> str:
        if not isinstance(value, (str, int, float, list, tuple, dict, range, Undefined, type(None))):
            return f"<{type(value).__name__}>"  # a macro or namespace itself, printed by mistake
        text: str = current().value(str(value))
        return text

    def _concat(self, parts: Any) -> str:
        kept = list(parts)
        current().chars(sum(map(len, kept)))
        return "".join(kept)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, Namespace):
            return not attr.startswith("_")
        return any(isinstance(obj, kind) and attr in names for kind, names in _METHODS)

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, (Macro, LoopContext, Undefined)):
            return True
        if isinstance(obj, _Format):
            return True
        owner = getattr(obj, "__self__", None)
        if owner is not None and owner is not self:
            return self.is_safe_attribute(owner, getattr(obj, "__name__", ""), obj)
        return any(obj == own for own in self._own_calls)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj and not self.is_safe_attribute(obj, attribute, None):
            return obj[attribute]  # a message's "copy" is its field, not a method that may not be called anyway
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        safe = super().wrap_str_format(value)
        return _Format(value.__self__, safe) if safe is not None else None

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        if isinstance(getattr(obj, "__self__", None), (str, list, tuple, dict)):
            _precheck(obj.__name__, (obj.__self__, *args), kwargs)
        return current().value(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        meter = current()
        if operator == "*":
            for a, b in ((left, right), (right, left)):
                if isinstance(a, (str, list, tuple)) and isinstance(b, int):
                    meter.chars(meter.weight(a) * max(b, 0))
            if isinstance(left, int) and isinstance(right, int):
                meter.bits(left.bit_length() + right.bit_length())
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            meter.bits(left.bit_length() * abs(right))
        elif operator == "%" and isinstance(left, str):
            _check_format(left, "%", [right])
        return meter.value(super().call_binop(context, operator, left, right))


@dataclass(frozen=True)
class _Format:
    """`pattern.format` as a template gets it: Jinja's safe version, with its size checked."""

    pattern: str
    safe: Callable[..., str]

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        _check_format(self.pattern, "{", [*args, *kwargs.values()])
        return self.safe(*args, **kwargs)


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A Jinja filter with its operands checked before and its result charged after."""
    skip = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)  # also copies the mark that says whether Jinja passes itself as first argument
    def filter_(*args: Any, **kwargs: Any) -> Any:
        _precheck(name, args[skip:], kwargs)
        return current().value(function(*args, **kwargs))

    return filter_


def _precheck(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuses what would make a value far larger than its operands, or loop over a text letter by letter for long."""
    meter = current()
    value, rest = args[0], [*args[1:], *kwargs.values()]
    match name:
        case "center" | "ljust" | "rjust" | "zfill" | "truncate" | "batch" | "slice" | "indent" | "round":
            if any(isinstance(a, int) and abs(a) > _WIDE for a in rest):
                refuse(f"it asks '{name}' for more than {_WIDE}")
            if name == "indent":
                lines = str(value).count("\n") + 1
                meter.chars(lines * max((a if isinstance(a, int) else len(str(a)) for a in rest), default=4))
        case "replace":
            old, new = (str(a) for a in rest[:2]) if len(rest) >= 2 else ("", "")
            text = str(value)
            meter.chars(len(text) + (text.count(old) if old else len(text) + 1) * len(new))
        case "join":
            # The method is `separator.join(values)`, the filter `values|join(separator)`.
            for one, other in ((value, rest[0] if rest else ""), (rest[0] if rest else "", value)):
                if isinstance(one, str) and isinstance(other, (str, list, tuple, dict, range)):
                    meter.chars(len(one) * len(other) + meter.weight(other))
        case "format":
            _check_format(str(value), "%{", rest)
        case "split" | "rsplit" if isinstance(value, str):
            sep = rest[0] if rest and isinstance(rest[0], str) and rest[0] else None
            meter.nodes(value.count(sep) if sep else len(value.split(None, meter.max_nodes + 1)))
        case "sum":
            start = kwargs["start"] if "start" in kwargs else args[2] if len(args) > 2 else 0
            if not isinstance(start, (int, float)):
                refuse("it sums up what are no numbers")
    if isinstance(value, str) and name in _LETTER_BY_LETTER and len(value) > MAX_NODES:
        refuse(f"it takes a text of {len(value)} characters apart with '{name}'")


_LETTER_BY_LETTER = _words("""
    batch join list map reject select slice sort sum title unique wordcount
""")


def _check_format(template: str, marks: str, values: list[Any]) -> None:
    if len(template) > _WIDE or _LONG_NUMBER.search(template):
        refuse("it formats with a very long pattern or width")
    if "{" in marks and any("{" in (field[2] or "") for field in _fields(template)):
        refuse("it formats with a width that is an argument")
    slots = sum(template.count(mark) for mark in marks)
    current().chars(slots * (1000 + sum(current().weight(v) for v in values)))


def _fields(template: str) -> Iterable[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(template))
    except ValueError:  # no such pattern: formatting fails of itself
        return []


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as prompts want it: no HTML escapes, other scripts left readable."""
    meter = current()
    meter.weight(value)
    if isinstance(indent, int) and indent > 16:
        refuse("it indents JSON by more than 16")
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    result: str = meter.value(text)
    return result


def raise_exception(message: str) -> str:
    raise TemplateRefusal(str(message)[:1000])


def strftime_now(date_format: str) -> str:
    if not _DATE_FORMAT.fullmatch(date_format):
        refuse("it asks for a date in a format with a width or of great length")
    return datetime.now().astimezone().strftime(date_format)
