"""`python -m demo [--markdown FILE]`: tell the story on the terminal, and write it down as a page."""

from __future__ import annotations

import argparse
import fcntl
import re
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from demo import story
from demo.scene import ENVIRONMENTS, DemoError, Scene
from platform_iac.lab import paths

INTRODUCTION = """\
# From a pull request to production

`make demo-promotion` on a machine that is fit for the twin (`platform-iac doctor`) shows this, and removes everything
again, also when it is interrupted. It works in a scratch clone of your checkout with a bare repository as its remote.
The forge's part, a comment under the pull request and the button that merges, is played by `git` here. This page is
what a run printed, without the lines in which Pulumi tells how far it is; nothing else was edited.
`tools/run python -m demo --markdown docs/demo-promotion.md` writes it anew.
"""
FENCE = "````"  # a review holds fences of three
PROGRESS = re.compile(r"@ \w+\.| [-+~]  \S+ \S+ (creating|updating|deleting) \(")


@dataclass
class Page:
    """What is told and shown, on the terminal as it comes and as Markdown at the end."""

    parts: list[str] = field(default_factory=lambda: [INTRODUCTION])
    _shown: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """A heading, or what the reader should know."""
        self._close()
        self.parts.append(f"{text}\n")
        print(f"\n{text}\n", flush=True)

    def show(self, line: str) -> None:
        """One line of a command, or of what it says."""
        if not PROGRESS.match(line):
            self._shown.append(line.rstrip())
        print(line, flush=True)

    def _close(self) -> None:
        if self._shown:
            self.parts.append("\n".join([f"{FENCE}console", *self._shown, FENCE, ""]))
            self._shown.clear()

    def markdown(self) -> str:
        """Return all of it as one page."""
        self._close()
        return "\n".join(self.parts)


def main() -> int:
    """Tell the story; 1 where a step did not do what it shows, 2 where another demonstration runs."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="From a pull request to production, on twins.")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the story there")
    parser.add_argument("--mark", default="demo", help="what the stacks' names begin with (default: demo)")
    chosen = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    home = paths.private_dir(paths.labs().parent) / "demo-promotion"
    with home.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("a demonstration runs already — wait for it", file=sys.stderr)
            return 2
        return _run(Page(), Scene(home, chosen.mark), chosen.markdown)


def _run(page: Page, scene: Scene, markdown: Path | None) -> int:
    started = time.monotonic()
    try:
        if scene.home.exists():
            print("An earlier demonstration was killed; its machines are removed first.", flush=True)
            scene.begun += [scene.stack(name) for name in ENVIRONMENTS]
            scene.remove()
        scene.show = page.show
        scene.prepare()
        for chapter in story.CHAPTERS:
            chapter(scene, page.tell)
        page.tell("## The end")
        page.tell("The machines go, and the clone with them.")
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return _removed(scene, 1)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is removed", file=sys.stderr)
        return _removed(scene, 130)
    status = _removed(scene, 0)
    if status == 0:
        page.tell(f"That took {time.monotonic() - started:.0f} s on {datetime.now(tz=UTC).date()}.")
        if markdown:
            markdown.write_text(page.markdown(), encoding="utf-8")
    return status


def _removed(scene: Scene, status: int) -> int:
    """Remove everything, whatever the terminal says meanwhile; what stays is told."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        with suppress(FileNotFoundError):
            scene.remove()
    except DemoError as error:
        print(f"{error}\nnot everything could be removed: run this again, which begins with that", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
