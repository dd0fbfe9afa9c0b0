"""`python -m bench [PART …]`: print each figure as soon as it is measured."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time

from bench.figure import line

PARTS = ("plan", "fabric", "sweep", "policies", "preview", "converge", "drift", "scale")


def main() -> int:
    """Measure the parts that are asked for, all without arguments; 1 when one could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures as ratios, each with its method.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := sorted(set(chosen) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    started, failed = time.monotonic(), False
    for part in chosen:
        try:
            for figure in importlib.import_module(f"bench.{part}").figures():
                print(figure if isinstance(figure, str) else line(figure), flush=True)
        except AssertionError as error:
            print(f"{part}: not measured\n{str(error)[-2000:]}", file=sys.stderr, flush=True)
            failed = True
    print(f"measured in {time.monotonic() - started:.0f} s")
    return int(failed)


def _leave(number: int, _: object) -> None:
    """End as after an error, so that the machines of a measurement are removed."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
