"""A command that hears what this process is told: interrupted, it ends in order and lets go of its locks."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

PASSED_ON = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,  # a terminal that closed; Pulumi would die of it with its lock held
}


def run(
    argv: list[str], *, cwd: Path, env: Mapping[str, str], capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return how it ended; with `capture` its output is kept, and it reads nothing.

    Signals that ask this process to stop are passed on, each once: a CI runner tells only the process that it began
    a step with, and Pulumi takes a second signal for "at once", so the command is in a process group of its own, which
    a terminal's ^C does not reach. When this process is killed, the kernel interrupts the command.

    Raises:
        KeyboardInterrupt: this process was told to stop; the command has ended, whatever came of it.
    """
    kept = subprocess.PIPE if capture else None
    with _passing_on() as (told, children):
        child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "INT", "--", *argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL if capture else None,
            stdout=kept,
            stderr=kept,
            text=True,
            process_group=0,
        )
        children.append(child)
        for number in told:  # what came before there was a child
            child.send_signal(PASSED_ON[number])
        output, errors = child.communicate()
    if told:
        raise KeyboardInterrupt
    return subprocess.CompletedProcess(argv, child.returncode, output, errors)


@contextmanager
def _passing_on() -> Iterator[tuple[list[signal.Signals], list[subprocess.Popen[str]]]]:
    """Yield the signals that came, and the list that takes the child they are for."""
    told: list[signal.Signals] = []
    children: list[subprocess.Popen[str]] = []

    def hear(number: int, _: FrameType | None) -> None:
        told.append(signal.Signals(number))
        for child in children:
            child.send_signal(PASSED_ON[told[-1]])

    former = {number: signal.signal(number, hear) for number in PASSED_ON}
    try:
        yield told, children
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
