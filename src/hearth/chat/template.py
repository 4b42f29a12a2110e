"""A chat template: messages in, the prompt that a model was trained on out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jinja2
from jinja2 import meta, nodes

from hearth.chat.literal import LiteralGuard, Markers
from hearth.chat.meter import LimitExceeded, Meter, metered
from hearth.chat.probe import Probe
from hearth.chat.prompt import Prompt
from hearth.chat.sandbox import ChatEnvironment, TemplateRefusal
from hearth.chat.switches import ThinkingSwitches
from hearth.chat.thinking import ALL_TAGS, tags_for, texts_of
from hearth.chat.utf8 import texts_in
from hearth.errors import TemplateError, UsageError

MAX_TEMPLATE_CHARS = 100_000  # the longest published ones have some 20,000; compiling this many takes 2 s
_SHORTEST_CUT = 3
_NO_WORD = re.compile(r"[^\w\s]")
_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_OWN_TEMPLATE_HINT = "Choose another with `--template NAME` (known names: `hearth chat --help`)."


class ChatTemplate:
    """A compiled template. It is run in a sandbox with limits on time and size (see `meter.py`).

    Args:
        source: Jinja.
        special: `bos_token`, `eos_token`, ...: variables that the template may use.
        control: texts of the control tokens, which messages may not write.
        name: of a known template, or "" for the model's own; for messages.

    Raises:
        TemplateError: the source is too long, has a mistake, or uses what a chat template may not.
    """

    def __init__(
        self, source: str, *, special: Mapping[str, Any], control: Sequence[str] = (), name: str = "own"
    ) -> None:
        self.source = source
        self.name = name
        self._special = dict(special)
        if len(source) > MAX_TEMPLATE_CHARS:
            raise TemplateError(
                f"The chat template is {len(source)} characters long; at most {MAX_TEMPLATE_CHARS} are accepted.",
                hint=_OWN_TEMPLATE_HINT,
            )
        with metered(Meter()):
            self._tree = _guarded_call(lambda: ChatEnvironment().parse(source))
            self._compiled = _guarded_call(lambda: ChatEnvironment().from_string(self._tree))
        self._guard = LiteralGuard(control, _cuts(self._tree))

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> Prompt:
        """The prompt for a conversation.

        Args:
            messages: each with `role` and `content`, plain data (what JSON can hold).
            add_generation_prompt: end with the opening of the assistant's turn.
            variables: what else the template knows (`enable_thinking=False`).

        Raises:
            TemplateError: the template refuses the conversation, fails, or goes past a limit.
            UsageError: a role is not a word.
        """
        for message in messages:
            if not isinstance(message.get("role"), str) or not _ROLE.fullmatch(message["role"]):
                raise UsageError(f"A message's role is {message.get('role')!r}; it must be a word such as 'user'.")
        data = {"messages": [dict(m) for m in messages], "tools": None if tools is None else list(tools), **variables}
        texts = list(texts_in(data))
        markers = Markers([self.source, *texts])
        marked = self._guard.mark(data, markers)
        variables = {**self._special, **marked, "add_generation_prompt": add_generation_prompt}
        with metered(Meter(messages=len(messages), extra_chars=sum(map(len, texts)), extra_nodes=len(texts))):
            text = _guarded_call(lambda: self._compiled.render(variables))
        return self._guard.unmark(text, markers)

    @cached_property
    def probe(self) -> Probe:
        """What the template does, asked of it."""
        return Probe(self)

    @cached_property
    def thinking(self) -> ThinkingSwitches:
        """How the template is told whether and how much the model thinks."""
        knows_tags = any(tag in self.source for tag in texts_of(tags_for(self.source)))
        return ThinkingSwitches(self.probe, self.variables, knows_tags=knows_tags)

    @cached_property
    def variables(self) -> frozenset[str]:
        """The variables that the template reads and does not set itself."""
        with metered(Meter()):
            return frozenset(_guarded_call(lambda: meta.find_undeclared_variables(self._tree)))

    def uses(self, variable: str) -> bool:
        """Whether the template mentions a variable (`enable_thinking`)."""
        return re.search(rf"\b{re.escape(variable)}\b", self.source) is not None


def _cuts(tree: nodes.Template) -> set[str]:
    """Strings at which a template may cut a message: its own that are no words, and the tags of thinking."""
    strings = (node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str))
    return {*ALL_TAGS, *(s for s in strings if len(s) >= _SHORTEST_CUT and _NO_WORD.search(s))}


def _guarded_call(action: Any) -> Any:
    """Runs Jinja; whatever a template makes it raise becomes a `TemplateError` that says what and where."""
    try:
        return action()
    except TemplateRefusal as error:
        raise TemplateError("The model's chat template refuses this conversation:", why=f"{error}") from error
    except jinja2.TemplateSyntaxError as error:
        raise _failure(f"line {error.lineno}: {error.message}") from error
    except LimitExceeded as error:
        raise _failure(f"{error}") from error
    except jinja2.exceptions.SecurityError as error:
        raise _failure(f"it reaches for what a template may not use ({error})") from error
    except RecursionError as error:
        raise _failure("it is nested too deeply, or calls itself without end") from error
    except Exception as error:  # anything: the code that runs is the template's
        raise _failure(f"{type(error).__name__}: {str(error)[:300]}") from error


def _failure(why: str) -> TemplateError:
    why = why if why.endswith(".") else why + "."
    return TemplateError("The model's chat template cannot be used:", why=why, hint=_OWN_TEMPLATE_HINT)
