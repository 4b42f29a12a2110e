"""Options of the verbs that can run on several machines, through Ray."""

from __future__ import annotations

from typing import Any

import click

from hearth.cli.options import F


class Span(click.ParamType[tuple[int, int]]):
    """Least and most: `1:4`."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        least, _, most = str(value).partition(":")
        if not least.isdigit() or not most.isdigit() or not 0 < int(least) <= int(most):
            self.fail(f"'{value}' is no span; write it as 1:4.", param, ctx)
        return int(least), int(most)


_RAY = (
    click.option("--ray", is_flag=True, help="Run through Ray: several processes, here or in a cluster."),
    click.option("--replicas", type=click.IntRange(1, 1024), metavar="N", help="With --ray: so many engines [2]."),
    click.option(
        "--ray-address", metavar="ADDRESS", help="With --ray: a running cluster, `auto` or ray://HOST:PORT [a new one]."
    ),
)
_AUTOSCALE = (
    click.option("--autoscale", type=Span(), metavar="MIN:MAX", help="With --ray: as many engines as the load needs."),
)


def ray_options(function: F) -> F:
    """--ray, --replicas, --ray-address."""
    for option in reversed(_RAY):
        function = option(function)
    return function


def autoscale_option(function: F) -> F:
    """--autoscale."""
    return _AUTOSCALE[0](function)
