"""gpt-oss (OpenAI's Harmony format): a call is a message to a recipient, and ends the turn.

    <|start|>assistant<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{"zone": "UTC"}<|call|>
    <|start|>assistant to=functions.get_time<|channel|>commentary json<|message|>{"zone": "UTC"}<|call|>

The recipient stands with the role or with the channel; the first message of an answer comes without its
`<|start|>assistant`, which ends the prompt. Sources: the guide to the format (github.com/openai/harmony,
docs/format.md) and the chat template of gpt-oss, which tells of the tools as a namespace of TypeScript and takes one
call in a message.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from hearth.chat.conversation import REASONING
from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized, one_call_each, said
from hearth.chat.tools.lark import (
    BLANK,
    End,
    Markers,
    arguments_rules,
    callable_tools,
    either,
    free_text,
    pattern,
    quoted,
)
from hearth.chat.tools.reader import END, CallReader, NotACall
from hearth.chat.tools.types import Choice, Tool, ToolParser

_START, _CHANNEL, _CONSTRAIN, _MESSAGE = "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"
_CHANNELS = ("commentary", "analysis")
_BY_ROLE = f"{_START}assistant to"
_BY_CHANNEL = tuple(f"{_CHANNEL}{channel} to" for channel in _CHANNELS)
_AFTER_ROLE = tuple(f"{_START}assistant{text}" for text in _BY_CHANNEL)
_NAMESPACE = "=functions."
_BARE = f"to{_NAMESPACE}"
# What stands between the name and the arguments, with a channel where none stood before.
_CONTENT = rf" ?({re.escape(_CONSTRAIN)} ?)?(json)?"
_HEADERS = {
    False: re.compile(_CONTENT),
    True: re.compile(rf" ?{re.escape(_CHANNEL)}({'|'.join(_CHANNELS)}){_CONTENT}"),
}
_LONGEST_HEADER = 200


class Harmony:
    """For templates that write `to=functions.name`; a `ToolFormat`.

    Args:
        control: text -> id of the model's control tokens.
    """

    name = "harmony"
    markers = (_START, _CHANNEL, _CONSTRAIN, _MESSAGE)
    begins = (_BY_ROLE, *_AFTER_ROLE)
    opens = (_NAMESPACE,)

    def __init__(self, control: Mapping[str, int] | None = None) -> None:
        self._mark = Markers(control or {})

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas. There is
        one call in an answer, whatever `parallel` says: it ends the turn."""
        chosen = callable_tools(tools, choice)
        start, channel = self._mark(_START), self._mark(_CHANNEL)
        rules = [
            f"by_role: {quoted(_NAMESPACE)} role_call",
            f"by_channel: {quoted(_NAMESPACE)} channel_call",
            f'in_start: "assistant" (" to" by_role | {channel} in_channel)',
            f"in_channel: ({' | '.join(quoted(f'{name} to') for name in _CHANNELS)}) by_channel",
            *self._call_rules(chosen),
            *arguments_rules(chosen),
            BLANK,
        ]
        spelled = {_BY_ROLE: "by_role", **dict.fromkeys((*_AFTER_ROLE, *_BY_CHANNEL), "by_channel")}
        if not choice.free:
            direct = [f"{quoted(text)} {then}" for text, then in spelled.items()]
            ways = [f"{start} in_start", f"{channel} in_channel", "/ ?to/ by_role", *direct]
            return "\n".join(['start: "" calls', f"calls: {' | '.join(ways)}", *rules])
        ends = [End(pattern(text), then) for text, then in spelled.items()]
        ends.append(End(pattern(_BARE), "role_call", at_line=True))
        rules += free_text("begin", ends, tokens=[(start, "in_start"), (channel, "in_channel")])
        return "\n".join(["start: begin", *rules])

    def _call_rules(self, tools: Sequence[Tool]) -> list[str]:
        """Rules `role_call` and `channel_call`: from the name on, without and with a channel before it."""
        message = self._mark(_MESSAGE)
        content = f'(" "? {self._mark(_CONSTRAIN)})? " "? "json"? {message}'
        names = " | ".join(map(quoted, _CHANNELS))
        rules = [either("role_call", tools), either("channel_call", tools), f"content: {content}"]
        rules.append(f'channel: " "? {self._mark(_CHANNEL)} ({names}) content')
        for i, tool in enumerate(tools):
            rules.append(f"role_call_{i}: {quoted(tool.name)} channel arguments_{i} blank?")
            rules.append(f"channel_call_{i}: {quoted(tool.name)} content arguments_{i} blank?")
        return rules

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """None: arguments are JSON."""
        return ()

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        return _Reader(tools, (*self.begins, *_BY_CHANNEL), () if marked else (_BARE,))

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """One call in a message, as the template takes it; what the turn says beside it stands with its thoughts, of
        which the template takes one text or the other."""
        return [_with_one_text(message) for message in one_call_each(normalized(messages))]

    def describe(self, tools: Sequence[Tool]) -> str:
        """Nothing: the template tells of the tools."""
        return ""


class _Reader(CallReader):
    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One call."""
        if marker != _BARE:
            yield from self.literal((_NAMESPACE,), (yield from self.next()))
        header = ""
        while not header.endswith(_MESSAGE):
            char = yield from self.next()
            header += char
            if char == END or len(header) > _LONGEST_HEADER:
                raise NotACall
        header = header.removesuffix(_MESSAGE)
        name = re.match(r"[\w.-]*", header, re.ASCII)
        rest = header[name.end() if name else 0 :]
        if name is None or name[0] not in self.tools or not _HEADERS[marker in (_BARE, _BY_ROLE)].fullmatch(rest):
            raise NotACall
        char = yield from self.space()
        if char != "{":
            raise NotACall
        self.announce(name[0])
        self.settle((yield from self.arguments(char)))


def _with_one_text(message: Message) -> Message:
    thoughts = next((message[key] for key in REASONING if message.get(key)), None)
    if not message.get("tool_calls") or not thoughts or not message["content"]:
        return message
    kept = {key: value for key, value in message.items() if key not in REASONING}
    return {**kept, "content": f"{thoughts}\n\n{said(message)}"}
