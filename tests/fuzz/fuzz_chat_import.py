"""Conversations that are brought in as files: what `export` gave, or what `hearth chat` saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.store.samples import attach_picture, png, talk

from hearth.chat.conversation import FORMAT as CLI_FORMAT
from hearth.chat.conversation import VERSION as CLI_VERSION
from hearth.store import Store
from hearth.store.exchange import from_json, to_json, to_markdown

from .harness import Target, main
from .mutation import Mutator

_OF_CLI = {
    "format": CLI_FORMAT,
    "version": CLI_VERSION,
    "model": "starter",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
}


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[Mutator], None]]:
    with Store(folder) as store:
        whole = store.conversation(talk(store, "How many?", "Three, I think.", talk(store, "Hello", "Good day.")))
        store.add_user_message(whole.id, whole.leaf, "What is it?", [attach_picture(store, png(9, 12)).id])
        whole = store.conversation(whole.id)
        of_page = json.loads(to_json(whole, store.contents(whole.messages)))

        def run(mutator: Mutator) -> None:
            data = mutator.written(mutator.json(mutator.choice((of_page, of_page, _OF_CLI))))
            brought = store.insert(*from_json(data))
            again = store.conversation(brought.id)
            to_markdown(again)
            from_json(to_json(again, store.contents(again.messages)).encode())
            store.conversations("three")
            store.delete(brought.id)

        yield run


TARGET = Target("chat import", lambda mutator: mutator, opened)

if __name__ == "__main__":
    main(TARGET)
