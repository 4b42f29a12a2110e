"""What every fuzzer of this folder is, and how it is run: briefly by `test_fuzz.py`, for as long as wanted by hand.

    python -m tests.fuzz.fuzz_store --seconds 600 --first 1000000

writes what it finds to standard error: a seed, which alone makes the input again (`--first SEED --count 1`). A crash of
the process leaves its seed in the last line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Generic, TypeVar

from hearth.errors import HearthError

from .mutation import Mutator

T = TypeVar("T")
SLOW_S = 1.0  # of processor time, for what is under a megabyte


@dataclass(frozen=True)
class Target(Generic[T]):
    """Something that reads what strangers send.

    Attributes:
        name: of it.
        make: an input.
        opened: a context, with a folder of its own, that gives the function to call with inputs. Only Hearth's errors
            may come out of it.
    """

    name: str
    make: Callable[[Mutator], T]
    opened: Callable[[Path], AbstractContextManager[Callable[[T], None]]]


class Find(AssertionError):
    """Something other than an error of Hearth's came out."""


def try_one(target: Target[T], run: Callable[[T], None], seed: int) -> None:
    """Raises Find."""
    tried = target.make(Mutator(seed))
    try:
        with suppress(HearthError):
            run(tried)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # panics of libraries are no Exception
        raise Find(f"{target.name}, seed {seed}: {type(error).__name__}: {str(error)[:300]}") from error


def main(target: Target[T]) -> None:
    """Runs a fuzzer by hand."""
    parser = argparse.ArgumentParser(description=f"Fuzzes {target.name}.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int)
    parser.add_argument("--memory-gb", type=float, default=4, help="address space of this process")
    options = parser.parse_args()
    with suppress(ImportError):
        import resource

        most = int(options.memory_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    end = time.monotonic() + options.seconds
    tried = finds = 0
    with tempfile.TemporaryDirectory() as folder, target.opened(Path(folder)) as run:
        for seed in count(options.first):
            if time.monotonic() > end or tried == options.count:
                break
            sys.stderr.write(f"\r{target.name}: seed {seed}, {finds} finds ")
            begin = time.process_time()
            try:
                try_one(target, run, seed)
            except Find as find:
                finds += 1
                sys.stderr.write(f"\n{find}\n")
                traceback.print_tb(find.__cause__.__traceback__ if find.__cause__ else None, limit=-3)
            took = time.process_time() - begin
            if took > SLOW_S:
                sys.stderr.write(f"\n{target.name}, seed {seed}: slow, {took:.1f} s\n")
            tried += 1
    sys.stderr.write(f"\n{target.name}: {tried} inputs, {finds} finds\n")
    sys.exit(finds > 0)
