"""The fabric simulator ibsim on this machine, asked by the real `ibnetdiscover`: no subnet manager, no host."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

UMAD = next(Path("/usr/lib").glob("*/umad2sim/libumad2sim.so"), Path("libumad2sim.so"))
"""Debian's libumad2sim0; what stands between a program and the device that is not there."""

READY_SECONDS = 30
ANSWER_SECONDS = 60


def discover(net: str, *, start: str) -> str:
    """Return what `ibnetdiscover` prints on the fabric `net`, looking from the adapter with the id `start`."""
    with tempfile.TemporaryDirectory(prefix="platform-iac-ibsim-") as folder:
        path = Path(folder) / "net.txt"
        path.write_text(net)
        log = Path(folder) / "ibsim.log"
        # The simulator's sockets are abstract and of the whole machine: a name of its own keeps two apart.
        environment = os.environ | {"IBSIM_SOCKNAME": Path(folder).name}
        with log.open("w") as writes:
            process = subprocess.Popen(
                ["timeout", "-s", "KILL", str(READY_SECONDS + ANSWER_SECONDS), "ibsim", "-s", "-n", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=writes,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            try:
                _wait(process, log)
                done = subprocess.run(
                    ["timeout", "-s", "KILL", str(ANSWER_SECONDS), "ibnetdiscover"],
                    env=environment | {"LD_PRELOAD": str(UMAD), "SIM_HOST": start},
                    capture_output=True,
                    text=True,
                    check=False,
                )
            finally:
                process.terminate()
                process.wait(timeout=30)
        assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-2000:]}{log.read_text()[-2000:]}"
        assert "cannot parse" not in log.read_text(), log.read_text()[-2000:]
        return done.stdout


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while "Network simulator ready" not in log.read_text():
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)
