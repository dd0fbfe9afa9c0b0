"""The provider as Pulumi launches it: prints its port, then answers until the engine is gone.

The engine's address is the first argument; there is none when a developer attaches by hand.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import signal
import sys
import threading
import types
from pathlib import Path

STOP_SECONDS = 8.0
DESCRIPTORS = 65536  # far above what we need; a million makes some programs that we start slow


def main(argv: list[str]) -> int:
    """Serve until the engine is gone or asks us to end; return the exit status."""
    # Launched by folder, Python looks for imports there first: our file names are no top-level modules.
    here = Path(__file__).resolve().parent
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != here]
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # gRPC's fork handlers can block the start of Ansible
    for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
        del os.environ[name]  # the administrator's own Ansible settings are not this provider's

    _more_descriptors()
    _messages_only()

    from platform_iac.provider import registry, service, watchdog
    from platform_iac.provider.runner import private

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    engine = argv[0] if argv and not argv[0].startswith("-") else ""
    answering = service.Service(registry.handlers(), engine)
    port, stop = service.serve(answering)
    print(port, flush=True)  # noqa: T201  Pulumi reads the port from the first line

    if engine:
        watchdog.watch(engine, ended.set)
    ended.wait()
    answering.cancelled.set()
    stop(STOP_SECONDS).wait(STOP_SECONDS)
    private.close()
    return 0


def _more_descriptors() -> None:
    """Allow ourselves more files than the usual 1,024: a Role of a thousand hosts holds as many locks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _messages_only() -> None:
    """Make Pulumi's generated messages importable without Pulumi, whose import is half of our start.

    Every command of the CLI that needs the provider waits for that start, also where nothing changes.
    """
    (top,) = importlib.util.find_spec("pulumi").submodule_search_locations  # type: ignore[union-attr, misc]
    for name in ("pulumi", "pulumi.runtime"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(top, *name.split(".")[1:]))]
        sys.modules[name] = package


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # threads that still wait for a host must not keep the provider alive
