#!/usr/bin/python
"""Let the Slurm controller run with what is in slurm.conf, whatever `scontrol` was told since it read that."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: slurm_running
short_description: Compare what slurmctld runs with to slurm.conf, and have it read that again where they differ
description:
  - Compared are the settings that C(scontrol show config) shows, and of partitions their limits, priority and accounts.
  - The state of a partition or node is not compared, it is the operators'.
  - What still differs then, because this Slurm shows it in other words, is warned of and changes nothing.
  - In check mode a controller that does not run yet counts as one that differs in nothing.
options:
  file:
    description: Path of slurm.conf.
    type: path
    required: true
"""

RETURN = r"""
differences:
  description: By setting, what ran instead.
  type: dict
"""

TIMEOUT_SECONDS = 60
WAIT_SECONDS = 30
PARTITION = ("AllowAccounts", "DefMemPerCPU", "Default", "DefaultTime", "MaxTime", "PriorityTier")
"""What is compared of a partition: it reads the same in the file and in what `scontrol` shows."""

OTHERWISE = frozenset({"slurmctldhost", "nodename", "partitionname", "nodeset", "downnodes", "include"})
"""What `scontrol show config` shows otherwise, or not at all."""


class RunningError(RuntimeError):
    """The controller cannot be asked; says why."""


def drift(argument: list[str]) -> dict[str, str]:
    """Return what the running controller has instead of what is in slurm.conf, which is among these files."""
    files = [path for path in argument if path.endswith("/slurm.conf")]
    return {f"slurm {name}": said for path in files for name, said in differences(path).items()}


def differences(path: str) -> dict[str, str]:
    """Return by setting what runs instead of what the file says.

    Raises:
        RunningError: the controller does not answer.
    """
    text = Path(path).read_text(encoding="utf-8")
    return compare(text, scontrol("show", "config"), scontrol("--oneliner", "show", "partition"))


def compare(text: str, config: str, partitions: str) -> dict[str, str]:
    """Return by setting what `scontrol` shows instead of what the file's text says."""
    running = {}
    for line in config.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            running[name.strip().lower()] = value.strip()
    there = {words["PartitionName"]: words for words in map(_words, partitions.splitlines()) if words}
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not equals or line.startswith("#"):
            continue
        if name == "PartitionName":
            found.update(_partition(_words(line), there))
        elif name.lower() not in OTHERWISE:
            has = running.get(name.lower(), value)
            if not _same(value.strip(), has):
                found[name] = f"runs with {has} instead of {value.strip()}"
    return found


def _partition(wanted: dict[str, str], there: dict[str, dict[str, str]]) -> dict[str, str]:
    name = wanted["PartitionName"]
    if name not in there:
        return {f"partition {name}": "is not there"}
    has = there[name]
    return {
        f"partition {name} {key}": f"runs with {has[key]} instead of {wanted[key]}"
        for key in PARTITION
        if key in wanted and key in has and not _same(wanted[key], has[key])
    }


def _same(wanted: str, found: str) -> bool:
    """Whether two values mean the same. A list may have more, for Slurm adds what it always has."""
    shown = re.sub(r"\(\d+\)$| (sec|min|bytes)$", "", found.lower())
    return set(wanted.lower().split(",")) <= set(shown.split(","))


def _words(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def scontrol(*words: str) -> str:
    """Run scontrol and return its output.

    Raises:
        RunningError: it failed or took longer than TIMEOUT_SECONDS.
    """
    try:
        done = subprocess.run(
            ["scontrol", *words], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunningError(f"scontrol {' '.join(words)}: {error}") from error
    if done.returncode != 0:
        raise RunningError(f"scontrol {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def mend(path: str) -> dict[str, str]:
    """Have the controller read the file again and wait until it runs with it; return what still differs."""
    scontrol("reconfigure")
    end = time.monotonic() + WAIT_SECONDS
    while (left := differences(path)) and time.monotonic() < end:
        time.sleep(0.2)
    return left


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"file": {"type": "path", "required": True}}, supports_check_mode=True)
    path: Any = module.params["file"]
    try:
        try:
            found = differences(path)
        except (RunningError, OSError):
            if not module.check_mode:
                raise
            found = {}
        left = mend(path) if found and not module.check_mode else {}
    except (RunningError, OSError) as error:
        module.fail_json(msg=str(error))
    for name, said in left.items():
        module.warn(f"the controller has read {path} again, and still {name} {said}")
        found.pop(name, None)
    lines = "".join(f"{name} {said}\n" for name, said in found.items())
    module.exit_json(changed=bool(found), differences=found, diff={"before": lines, "after": ""} if found else {})


if __name__ == "__main__":
    main()
