"""A lab by hand: `python -m platform_iac.lab up NAME HOST=ADDRESS ...`. For trying things out."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from platform_iac.lab import artifacts, image, machine, network, paths, whole
from platform_iac.lab.machine import Bind
from platform_iac.lab.paths import LabError


def main(arguments: list[str]) -> int:
    """Do what the arguments say and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m platform_iac.lab")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="make a lab, or add machines to one")
    up.add_argument("lab")
    up.add_argument("host", nargs="+", metavar="HOST=ADDRESS")
    up.add_argument("--bind", action="append", default=[], metavar="HOST:SOURCE:TARGET")
    up.add_argument("--forward", action="append", default=[], metavar="PORT=HOST:PORT")
    up.add_argument("--cidr", default="10.99.1.0/24")
    up.add_argument("--domain", default="lab.test")
    down = verbs.add_parser("down", help="remove a lab and all of its machines")
    down.add_argument("lab")
    ssh = verbs.add_parser("ssh", help="log in to a machine, or run a command on it")
    ssh.add_argument("lab")
    ssh.add_argument("host")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    mirror = verbs.add_parser("mirror", help="make the artifact mirror and print its folder")
    mirror.add_argument("--package", action="append", default=[], metavar="DEBIAN_PACKAGE")
    mirror.add_argument("--pip", action="append", default=[], metavar="REQUIREMENT")
    verbs.add_parser("list", help="show all labs and machines")
    chosen = parser.parse_args(arguments)
    try:
        return {"up": _up, "down": _down, "ssh": _ssh, "list": _list, "mirror": _mirror}[chosen.verb](chosen)
    except LabError as error:
        _say(f"error: {error}")
        return 1


def _up(chosen: argparse.Namespace) -> int:
    started = time.monotonic()
    hosts = dict(pair.split("=", 1) for pair in chosen.host)
    binds = [bind.split(":", 2) for bind in chosen.bind]
    with contextlib.suppress(LabError):  # a new lab has no network to load
        hosts = {**network.load(chosen.lab).hosts, **hosts}
    root = image.ensure(_say)
    forwards = {int(port): target for port, target in (pair.split("=", 1) for pair in chosen.forward)}
    net = network.ensure(chosen.lab, chosen.cidr, hosts, domain=chosen.domain, forwards=forwards)

    def boot(host: str) -> None:
        own = tuple(Bind(source=source, target=target) for name, source, target in binds if name == host)
        machine.create(chosen.lab, host, hosts[host], root, own)
        _say(f"{host} {hosts[host]} answers after {time.monotonic() - started:.1f} s")

    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(boot, [pair.split("=", 1)[0] for pair in chosen.host]))
    _say(f"ssh -F {net.ssh_config} HOST")
    return 0


def _down(chosen: argparse.Namespace) -> int:
    whole.remove(chosen.lab)
    return 0


def _ssh(chosen: argparse.Namespace) -> int:
    config = str(network.load(chosen.lab).ssh_config)
    return subprocess.run(["ssh", "-F", config, chosen.host, *chosen.command], check=False).returncode


def _mirror(chosen: argparse.Namespace) -> int:
    root = image.ensure(_say)
    _out(str(artifacts.ensure(chosen.package, chosen.pip, root, _say)))
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _out(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _list(_: argparse.Namespace) -> int:
    for folder in sorted(paths.labs().glob("*")):
        for name in machine.names(folder.name):
            _out(f"{folder.name} {name} {machine.status(folder.name, name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
