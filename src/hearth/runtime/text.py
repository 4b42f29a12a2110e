"""Language models: a session that takes tokens, and what a plan says of such a model.

A text function is one with the door "text": the runtime makes its inputs of a batch of tokens. The names of its inputs,
outputs and symbols are those of docs/architecture.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.errors import DeviceError, HearthError, StatesLost, UsageError
from hearth.runtime import binding
from hearth.runtime.info import FunctionInfo, ModelInfo, round_up
from hearth.runtime.model import Model
from hearth.runtime.session import Session, SessionHandle, address, borrowed

OUTPUTS = ("logits", "argmax", "hidden")
"""What a forward of a language model computes unless it is told what is wanted; on a GPU it may also tell the
`likeliest` tokens of each row."""

_HIDDEN = "hidden_states"  # input of the function that predicts further tokens

_INT32 = np.iinfo(np.int32)
_I32: np.dtype[Any] = np.dtype(np.int32)
_F32: np.dtype[Any] = np.dtype(np.float32)


@dataclass(frozen=True)
class TextInfo:
    """What a language model's plan says about itself.

    Attributes:
        vocab_size: columns of the logits.
        hidden_size: columns of the hidden states; 0 when the plan does not give these.
        max_tokens: most tokens in one forward.
        max_seqs: most sequences in one forward.
        max_logit_rows: most rows of logits in one forward.
        tile_tokens: most tokens of one sequence that attention handles together.
        split_tokens: tokens of a context whose part of attention is computed on its own.
        max_partials: most such parts that wait to be merged.
        page_tokens: positions that one page of the KV cache holds.
        max_position: positions are below this.
        max_block_table_stride: pages of the longest sequence.
        kv_bytes_per_page: memory for one page, all layers together.
        has_state: some layers keep a recurrent state of each sequence, beside pages.
        state_bytes_per_slot: memory for that behind one token of one sequence, all layers together.
        adapter_units: most units of one adapter; 0: the model has no room for adapters.
        adapter_bytes_per_unit: memory for one, beside all matrices together.
        max_embeddings: most tokens in one forward whose embeddings the caller gives; 0: the model takes tokens only.
        looks_ahead: tokens may see later ones of the same forward.
        rope_streams: positions that a token turns by, where they need not be its own in the sequence; 0: it turns by
            that.
        embedder: the function that makes such embeddings; "": there is none.
        outputs: which of `logits`, `argmax`, `hidden`, `likeliest` the plan gives.
        likeliest: how many of the likeliest tokens of a row a forward can tell by themselves; 0: it is the row or none.
        predicts: it has a block that predicts further tokens from hidden states.
    """

    vocab_size: int
    hidden_size: int
    max_tokens: int
    max_seqs: int
    max_logit_rows: int
    tile_tokens: int
    split_tokens: int
    max_partials: int
    page_tokens: int
    max_position: int
    max_block_table_stride: int
    kv_bytes_per_page: int
    has_state: bool
    state_bytes_per_slot: int
    adapter_units: int
    adapter_bytes_per_unit: int
    max_embeddings: int
    looks_ahead: bool
    rope_streams: int
    embedder: str
    outputs: tuple[str, ...]
    likeliest: int
    predicts: bool
    _model: ModelInfo
    _function: FunctionInfo

    @classmethod
    def of(cls, info: ModelInfo) -> TextInfo:
        """Raises UsageError where it is not of a language model."""
        functions = [each for each in info.functions.values() if each.door == "text"]
        function = next((each for each in functions if _HIDDEN not in each.inputs), None)
        if function is None:
            raise UsageError(
                "This model is no language model: it takes no tokens.",
                why=f"Its functions: {', '.join(info.functions)}.",
            )
        most = {name: high for name, (_, high) in info.symbols.items()}
        hidden = function.outputs.get("hidden")
        whole = (info.layers.first, info.layers.end) == (0, info.layers.count)
        return cls(
            vocab_size=_count(function, "token_ids"),
            hidden_size=hidden.most[1] if hidden else 0,
            max_tokens=most["tokens"],
            max_seqs=most["sequences"],
            max_logit_rows=most["logit_rows"],
            tile_tokens=most["tile_tokens"],
            split_tokens=most["split_tokens"],
            max_partials=most["merges"],
            page_tokens=most["page_tokens"],
            max_position=_count(function, "positions"),
            max_block_table_stride=most["block_table_stride"],
            kv_bytes_per_page=info.unit_bytes("pages"),
            has_state="state_to" in function.inputs,
            state_bytes_per_slot=info.unit_bytes("slots"),
            adapter_units=most["adapter_units"] if "adapter_items" in function.inputs else 0,
            adapter_bytes_per_unit=info.unit_bytes("adapters"),
            max_embeddings=most["embeddings"] if "embeddings" in function.inputs else 0,
            looks_ahead="last_seen" in function.inputs,
            rope_streams=function.inputs["rope_positions"].most[1] if "rope_positions" in function.inputs else 0,
            embedder=next((each.name for each in info.functions.values() if list(each.outputs) == ["embeddings"]), ""),
            outputs=tuple(function.outputs),
            likeliest=function.outputs["likeliest"].most[1] // 2 if "likeliest" in function.outputs else 0,
            predicts=whole and any(_HIDDEN in each.inputs for each in functions),
            _model=info,
            _function=function,
        )

    def lone_state(self, start: int, count: int) -> dict[str, Any]:
        """The `state_from` and `state_to` of a forward of one sequence alone, which has `start` tokens before these
        `count` and keeps its state in the first slot. Nothing where the model has no state."""
        if not self.has_state:
            return {}
        to = np.full(count, -1, np.int32)
        to[-1] = 0
        return {"state_from": np.array([0 if start else -1], np.int32), "state_to": to}

    @property
    def lone_slots(self) -> int:
        """Slots that one sequence alone wants."""
        return int(self.has_state)

    def session_bytes(self, num_pages: int, threads: int, num_slots: int = 0, num_adapters: int = 0) -> int:
        """Memory that a session needs beside the weights once all its pages, slots and units of adapters are in use; a
        few KiB too much at most."""
        # A session never has longer rows than it has pages.
        columns = min(self.max_block_table_stride, num_pages)
        inputs = 0
        for each in self._model.functions.values():
            size = each.most_input_bytes
            if each.door == "text":
                table = each.inputs["block_table"]
                size += round_up(4 * self.max_seqs * columns) - round_up(table.most_bytes)
            inputs = max(inputs, size)
        rows = round_up(self.max_seqs)
        fixed = self._model.fixed_bytes(threads)
        states = self.kv_bytes_per_page * num_pages + self.state_bytes_per_slot * num_slots
        states += self.adapter_bytes_per_unit * (num_adapters or bool(self.adapter_units))
        return fixed + states + inputs + rows


def _count(function: FunctionInfo, name: str) -> int:
    """How many values an input may have."""
    high = function.inputs[name].high
    assert isinstance(high, int)  # the runtime has checked it
    return high + 1


class ForwardResult:
    """What a forward computed: views into the session's memory, overwritten by its next run. Copy what must stay.

    A view is made when it is asked for: a decode step needs few, and making one costs as much as a small kernel.
    It has no rows when the plan does not give that output (`TextInfo.outputs`), or it was not wanted.
    """

    def __init__(self, handle: SessionHandle, output: binding.Output) -> None:
        self._handle, self._output = handle, output

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """float32 (rows, vocab_size), one row for each of `logit_rows`."""
        return _array(self._handle, self._output.logits, _F32)

    @cached_property
    def argmax(self) -> NDArray[np.int32]:
        """int32 (rows,), the token of the largest logit."""
        return _array(self._handle, self._output.argmax, _I32).reshape(-1)

    @cached_property
    def hidden(self) -> NDArray[np.float32]:
        """float32 (tokens, hidden_size), after the final norm."""
        return _array(self._handle, self._output.hidden, _F32)

    @cached_property
    def likeliest(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """float32 (rows, n) and int32 (rows, n): the largest logits of each row, largest first, and their tokens, of
        equals the lowest first; -1 where there is none. n is `TextInfo.likeliest`."""
        both = _array(self._handle, self._output.likeliest, _I32)
        half = both.shape[1] // 2
        return both[:, :half].view(np.float32), both[:, half:]

    @cached_property
    def layer_output(self) -> NDArray[np.float32]:
        """float32 (tokens, columns), what goes on behind the last layer of a model that was opened without those
        behind: the `layer_input` of these."""
        return _array(self._handle, self._output.layer_output, _F32)


class TextSession(Session):
    """Runs forwards of the language model `model`, one at a time.

    Args:
        num_pages: pages of the KV cache; `TextInfo.page_tokens` positions each. Memory is taken as pages are written.
        num_slots: slots of state, for a model that has such (`TextInfo.has_state`), and only for that.
        num_adapters: units of adapters, for a model that has room for such (`TextInfo.adapter_units`); 0: the fewest
            that there can be, 1.
        threads: threads that compute; the physical cores this process may use by default.

    Raises:
        NotEnoughMemory: the session's memory cannot be had.
        UsageError: a number is out of range, or the model is no language model.
    """

    def __init__(
        self, model: Model, *, num_pages: int, num_slots: int = 0, num_adapters: int = 0, threads: int | None = None
    ) -> None:
        self.info = TextInfo.of(model.info)
        self.num_pages = num_pages
        self.num_slots = num_slots
        if num_pages < 1:
            raise UsageError(f"num_pages is {num_pages}, but must be at least 1.")
        if (num_slots > 0) != self.info.has_state:
            raise UsageError(
                f"num_slots is {num_slots}, but must be {'at least 1' if self.info.has_state else '0'}.",
                why="A slot holds what recurrent layers know of a sequence.",
            )
        if num_adapters and not self.info.adapter_units:
            raise UsageError(f"num_adapters is {num_adapters}, but the model has no room for adapters.")
        self.num_adapters = num_adapters or int(self.info.adapter_units > 0)
        sizes = {"pages": num_pages, "slots": num_slots, "adapters": self.num_adapters}
        super().__init__(model, {name: size for name, size in sizes.items() if size}, threads=threads)
        self._began_anew = False
        self._processor: Session | None = None  # of the same bundle, beside one on a GPU

    def forward(
        self,
        token_ids: ArrayLike,
        positions: ArrayLike,
        token_seq: ArrayLike,
        block_table: ArrayLike,
        logit_rows: ArrayLike = (),
        num_prompt_tokens: int = 0,
        embeddings: NDArray[np.float32] | None = None,
        embedded_tokens: ArrayLike = (),
        last_seen: ArrayLike | None = None,
        rope_positions: ArrayLike | None = None,
        wanted: Collection[str] = OUTPUTS,
        layer_input: NDArray[np.float32] | None = None,
        state_from: ArrayLike | None = None,
        state_to: ArrayLike | None = None,
        hidden: NDArray[np.float32] | None = None,
        adapters: ArrayLike | None = None,
    ) -> ForwardResult:
        """Runs the model over a batch of tokens of any mixture of sequences.

        int32 arrays in C order are used as they are; everything else is converted.

        Args:
            token_ids: (n,) tokens.
            positions: (n,) the position of each in its sequence.
            token_seq: (n,) the row of `block_table` that each belongs to. Tokens of one sequence stand together and
                their positions ascend by 1.
            block_table: (sequences, columns) pages of each sequence in the order of its positions; -1 where none is
                needed.
            logit_rows: (rows,) indices of the tokens whose logits are wanted.
            num_prompt_tokens: so many of the first tokens are of prompts: a model that was compiled with fast precision
                computes them more coarsely, others do not.
            embeddings: float32 (m, hidden_size), what the model takes in place of what its table has for some tokens.
            embedded_tokens: (m,) indices of those tokens in the batch, ascending.
            last_seen: (n,) the last position that each token sees, where that is not its own.
            rope_positions: (n, rope_streams) what each token turns by, where that is not its position.
            wanted: names of the outputs that will be read: others have no rows.
            layer_input: float32 (n, columns), the `layer_output` of the layers before, for a model that was opened
                without its first layer.
            state_from: (sequences,) the slot with each sequence's state before its first token of the batch; -1: it
                begins here. For a model with slots, and only for that.
            state_to: (n,) the slot that the state after each token is written to, or -1. A sequence reads before it
                writes; it must write no slot that another one reads or writes.
            hidden: float32 (n, hidden_size). Given, the block runs that predicts further tokens
                (`TextInfo.predicts`), over the same pages and without slots: each token stands at the position of the
                one before it, whose hidden state this is, and what comes out is said of the token after it.
            adapters: (sequences, 2), the first unit and the number of units of each one's adapter; of none 0 units. For
                a model with room for adapters, and only for that. None: no sequence has one.

        Raises:
            UsageError: a number is out of range; nothing was computed.
            StatesLost: the GPU was lost; the session is as new, and no page has keys and values any more.
            DeviceError: it was lost and cannot be had again.
        """
        handle = self.open_handle()
        ids = _int32(token_ids, "token_ids", 1)
        where = _int32(positions, "positions", 1)
        seqs = _int32(token_seq, "token_seq", 1)
        table = _int32(block_table, "block_table", 2)
        rows = _int32(logit_rows, "logit_rows", 1)
        if not ids.size == where.size == seqs.size:
            raise UsageError(
                "token_ids, positions and token_seq must have one entry a token.",
                why=f"They have {ids.size}, {where.size} and {seqs.size}.",
            )
        batch = binding.Batch(
            num_tokens=ids.size,
            num_seqs=table.shape[0],
            num_logit_rows=rows.size,
            block_table_stride=table.shape[1],
            token_ids=address(ids),
            positions=address(where),
            token_seq=address(seqs),
            block_table=address(table),
            logit_rows=address(rows),
            num_prompt_tokens=num_prompt_tokens,
            outputs=sum(binding.OUTPUTS[name] for name in wanted) or binding.NO_OUTPUTS,
        )
        held: list[NDArray[np.int32]] = []  # converted arrays, until the run is over
        if embeddings is not None and embeddings.shape[0]:
            places = _int32(embedded_tokens, "embedded_tokens", 1)
            _check_embeddings(embeddings, places.size, self._function_columns("embeddings"))
            batch.num_embeddings = places.size
            batch.embeddings, batch.embedded_tokens = address(embeddings), address(places)
        if last_seen is not None:
            seen = _int32(last_seen, "last_seen", 1)
            if seen.size != ids.size:
                raise UsageError(f"last_seen must have one entry a token, not {seen.size} for {ids.size}.")
            batch.last_seen = address(seen)
        if rope_positions is not None:
            turned_by = _int32(rope_positions, "rope_positions", 2)
            _check_rope_positions(turned_by, ids.size, self.info.rope_streams)
            batch.rope_positions = address(turned_by)
        for name, values, count in (("state_from", state_from, table.shape[0]), ("state_to", state_to, ids.size)):
            if values is not None:
                slots = _int32(values, name, 1)
                if slots.size != count:
                    raise UsageError(f"{name} must have {count} entries, not {slots.size}.")
                setattr(batch, name, address(slots))
                held.append(slots)
        if adapters is not None:
            units = _int32(adapters, "adapters", 2)
            if units.shape != (table.shape[0], 2):
                raise UsageError(f"adapters must be ({table.shape[0]}, 2), not {units.shape}.")
            batch.adapters = address(units)
            held.append(units)
        if layer_input is not None:
            shape = (ids.size, self.model.info.layers.columns)
            if layer_input.dtype != _F32 or layer_input.shape != shape or not layer_input.flags.c_contiguous:
                raise UsageError(
                    f"layer_input must be float32 {shape}, in one piece.", why="It has a row for each token."
                )
            batch.layer_input = address(layer_input)
        if hidden is not None:
            shape = (ids.size, self.info.hidden_size)
            if not self.info.predicts:
                raise UsageError("This model has no block that predicts further tokens.")
            if hidden.dtype != _F32 or hidden.shape != shape or not hidden.flags.c_contiguous:
                raise UsageError(f"hidden must be float32 {shape}, in one piece.", why="It has a row for each token.")
            batch.hidden = address(hidden)
        output = binding.Output()
        status = handle.library.hearth_forward(handle.pointer, ctypes.byref(batch), ctypes.byref(output))
        try:
            binding.check(handle.library, status, "The batch cannot be run.")
        except DeviceError as error:
            self._begin_anew(error)
        self._began_anew = False
        return ForwardResult(handle, output)

    def _begin_anew(self, error: DeviceError) -> NoReturn:
        """The GPU was lost, or fails: model and session are made anew, once for each time that it has worked."""
        if self._began_anew:
            raise error
        self._began_anew = True
        try:
            self.model.reopen()
            self._handle = self._made()
            self.write_again()
        except HearthError:
            raise error from None
        raise StatesLost(
            "The GPU was lost, and is there again.", why=error.why, hint="Ask once more: all is computed anew."
        ) from error

    def embed(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The embeddings float32 (n, hidden_size), a copy, that the model makes of something that is no token.

        Args:
            inputs: of the function that makes them (`TextInfo.embedder`), of one picture.

        Raises:
            UsageError: the model takes tokens only.
        """
        session = self if self.info.embedder or self.model.info.device.kind == "cpu" else self._beside()
        embedder = TextInfo.of(session.model.info).embedder
        if not embedder:
            raise UsageError("This model takes tokens only, no pictures.")
        rows = session.run(embedder, dict(inputs))["embeddings"]
        return np.array(rows.reshape(-1, rows.shape[-1]))

    def _beside(self) -> Session:
        """The same bundle on the processor, for what GPUs do not compute: opened when it is first wanted, and mapped,
        so that only the weights that are used take memory."""
        if self._processor is None:
            model = Model(self.model.path, use_mmap=True)
            self._processor = Session(model, {"pages": 1}, threads=self.threads)
        return self._processor

    def close(self) -> None:
        """As `Session.close`."""
        if self._processor is not None:
            self._processor.model.close()
            self._processor = None
        super().close()

    def _function_columns(self, name: str) -> int:
        """Columns of an input of the text function; 0: it has none of this name."""
        declared = self.info._function.inputs.get(name)
        return 0 if declared is None else declared.most[1]

    def apply_mask(self, logits: NDArray[np.float32], mask: NDArray[np.int32], out: NDArray[np.float32]) -> None:
        """Writes a row of logits to `out` with minus infinity in the place of every token that may not come.

        Args:
            logits: float32 (vocab_size,), in one piece.
            mask: int32 (ceil(vocab_size / 32),); bit t % 32 of word t // 32 says whether token t may come.
            out: float32 (vocab_size,), overwritten; may be `logits` itself if that can be written.

        Raises:
            UsageError: an array has another shape or type, or is not in one piece.
        """
        handle = self.open_handle()
        count = logits.size
        words = -(-count // 32)
        for name, array, dtype, size in (
            ("logits", logits, _F32, count),
            ("mask", mask, _I32, words),
            ("out", out, _F32, count),
        ):
            if array.dtype != dtype or array.shape != (size,) or not array.flags.c_contiguous:
                raise UsageError(
                    f"{name} must be {dtype} ({size},), in one piece, not {array.dtype} {array.shape}.",
                    why=f"There are {count} logits, and a word of the mask has 32 tokens.",
                )
        if not out.flags.writeable:
            raise UsageError("out cannot be written.")
        status = handle.library.hearth_apply_mask(address(logits), address(mask), count, address(out))
        binding.check(handle.library, status, "The mask cannot be applied.")


def _array(handle: SessionHandle, view: binding.View, dtype: np.dtype[Any]) -> NDArray[Any]:
    if not view.data:
        return np.empty((0, 0), dtype)
    return borrowed(handle, view.data, dtype, (view.rows, view.cols), view.row_stride)


def _check_embeddings(rows: NDArray[np.float32], count: int, columns: int) -> None:
    if not columns:
        raise UsageError("This model takes tokens only, no embeddings.")
    if rows.dtype != _F32 or rows.shape != (count, columns) or not rows.flags.c_contiguous:
        raise UsageError(
            f"embeddings must be float32 ({count}, {columns}), in one piece, not {rows.dtype} {rows.shape}.",
            why=f"There are {count} embedded_tokens, and a row is as long as a hidden state.",
        )


def _check_rope_positions(positions: NDArray[np.int32], count: int, streams: int) -> None:
    if not streams:
        raise UsageError("Tokens of this model turn by their positions, so it takes no rope_positions.")
    if positions.shape != (count, streams):
        raise UsageError(
            f"rope_positions must be ({count}, {streams}), not {positions.shape}.",
            why=f"There are {count} tokens, and each turns by {streams} positions.",
        )


def _int32(values: ArrayLike, name: str, ndim: int) -> NDArray[np.int32]:
    array = np.asarray(values)
    if array.dtype is _I32 and array.ndim == ndim and array.flags.c_contiguous:
        return array
    if array.ndim != ndim:
        raise UsageError(f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, not {array.ndim}.")
    if array.dtype != np.int32:
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise UsageError(f"{name} must be integers, not {array.dtype}.")
        if array.size and (array.min() < _INT32.min or array.max() > _INT32.max):
            raise UsageError(f"{name} has a number that leaves 32 bits.")
    return np.ascontiguousarray(array, np.int32)
