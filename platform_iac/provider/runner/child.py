"""A process of its own around ansible-runner, which forks: a process with gRPC's threads must not.

Reads what to run from `run.json` in the run's folder and writes one JSON line per job event. Its
standard input is a pipe from the provider that carries nothing: when it ends, however the provider
died, everything of the run is killed and its folder removed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platform_iac.provider.runner import private

KEPT = ("host", "task", "name", "res", "ignore_errors", "failures", "processed")


def main(folder: Path) -> int:
    """Run what `run.json` says; the exit status is Ansible's."""
    orphaned = threading.Event()
    guard = threading.Thread(target=_guard, args=(folder, orphaned), daemon=True)
    guard.start()
    import ansible_runner

    settings = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    try:
        done = ansible_runner.run(
            private_data_dir=str(folder),
            ident="run",
            playbook="play.yml",
            inventory=str(folder / "inventory" / "hosts.yml"),
            settings={"suppress_ansible_output": True},
            suppress_env_files=True,
            quiet=True,
            event_handler=_emit,
            **settings,
        )
    except BrokenPipeError:
        orphaned.set()  # nobody reads events any more: the provider is gone
    if orphaned.is_set():
        guard.join()  # which ends this process once the folder is gone
    return 1 if done.rc is None else int(done.rc) & 0xFF


def _emit(event: Mapping[str, Any]) -> bool:
    """Hand one event on; False keeps ansible-runner from writing it to disk."""
    data = event.get("event_data") or {}
    kept = {name: data[name] for name in KEPT if name in data}
    sys.stdout.write(json.dumps({"event": event.get("event"), "event_data": kept}) + "\n")
    sys.stdout.flush()
    return False


def _guard(folder: Path, orphaned: threading.Event) -> None:
    while os.read(0, 1):  # not sys.stdin: its lock would be held while the interpreter ends
        pass
    orphaned.set()
    private.end_processes(folder)
    private.remove_tree(folder)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
