"""A figure: something of ours against something plain, as a ratio that holds on any machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`ours` and `plain` in seconds; `method` says how both were measured, in one sentence."""

    name: str
    ours: float
    plain: float
    method: str

    @property
    def ratio(self) -> float:
        """Ours in units of the plain way."""
        return self.ours / self.plain


def median(action: Callable[[], object], *, times: int) -> float:
    """Return the median wall-clock time of `times` calls, in seconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def once(action: Callable[[], object]) -> float:
    """Return the wall-clock time of one call, in seconds."""
    return median(action, times=1)


def line(figure: Figure) -> str:
    """Return a figure as two lines for people."""
    head = f"{figure.name:<58} {figure.ratio:7.2f}   ({figure.ours:.2f} s / {figure.plain:.2f} s)"
    return f"{head}\n    {figure.method}"
