"""What `check storage` measures, as data: fio's options and the figure that each gives.

Names of figures are those of the floors. Every profile runs on all nodes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KEPT: Final = "5-9,47-50"
"""The fields of fio's terse line (version 3) that are kept, counted from 1: error; reads; writes."""
ERROR, READ, WRITE = 0, 1, 5
"""Where these lie then. Reads and writes are a total in KiB, KiB/s, IOPS and milliseconds each."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One run of fio on every node. `at` is where its terse line has the direction that counts."""

    figure: str
    title: str
    unit: str
    at: int
    options: tuple[str, ...]
    timed: bool = True
    """Runs for the store's time; else until the node's file is written, which the reads after it need."""
    own: bool = True
    """Uses the node's own file; else, on shared storage, the one that the neighbour wrote."""

    @property
    def in_mib(self) -> bool:
        """Whether the figure counts MiB/s; else operations a second."""
        return self.unit == "MiB/s"


_DEEP: Final = ("--ioengine=libaio", "--iodepth=32")

PROFILES: Final = (
    Profile(
        "write_mib", "sequential write, 1 MiB", "MiB/s", WRITE,
        ("--rw=write", "--bs=1M", "--end_fsync=1", *_DEEP), timed=False,
    ),
    Profile("read_mib", "sequential read, 1 MiB", "MiB/s", READ, ("--rw=read", "--bs=1M", *_DEEP), own=False),
    Profile("read_iops", "random read, 4 KiB", "IOPS", READ, ("--rw=randread", "--bs=4k", *_DEEP), own=False),
    Profile("write_iops", "random write, 4 KiB", "IOPS", WRITE, ("--rw=randwrite", "--bs=4k", "--end_fsync=1", *_DEEP)),
    Profile(
        "creates", "files made", "files/s", READ,
        # The engine opens and closes each file once and moves no data; it counts opens as reads.
        ("--ioengine=filecreate", "--create_on_open=1", "--filesize=4k", "--openfiles=1",
         "--fallocate=none"), timed=False,
    ),
)  # fmt: skip
