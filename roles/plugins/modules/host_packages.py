#!/usr/bin/python
"""Note which packages a host has of its own, install what roles need, and remove only that."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_packages
short_description: Install packages, and keep those that a host had before the platform
description:
  - V(state=noted). Before a platform installs anything, C(/var/lib/platform-iac/packages) gets a line for each package
    that is installed. Those of them that apt may remove by itself (C(apt-mark showauto)) are marked as wanted
    meanwhile, so that a removal takes only what roles brought. On a host that has the platform from before there was
    such a note, only those count as its own that hosts often have; what came as somebody's dependency stays too.
  - V(state=installed) installs what is missing, without what is only recommended. Where nothing is, no source is asked:
    a change of a role's files costs a host no update of its lists. A dry run asks none either, for a host whose source
    is not written yet knows no package. What an interrupted C(dpkg) left is finished first.
  - V(state=removed) purges packages, with what came along, except those that are the host's own.
  - V(state=forgotten) gives the marks back and forgets the note, once the role base has gone and no other role of the
    platform is on the host. V(state=removed) does so too, for a host that leaves loses base first.
options:
  state:
    choices: [noted, installed, removed, forgotten]
    required: true
    type: str
  names:
    description: Packages to be installed or removed, as apt is asked for them (C(NAME=VERSION), the version with C(*)).
    type: list
    elements: str
    default: []
  keep:
    description: Packages that stay whoever brought them.
    type: list
    elements: str
    default: []
  alike:
    description: Packages of which a host has one at a time. Where it had one of them, the one that is there now stays.
    type: list
    elements: str
    default: []
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
kept:
  description: Those of C(names) that stay.
  type: list
"""

NOTE = "/var/lib/platform-iac/packages"
MARKS = "/var/lib/platform-iac/packages-auto"
OWNER = "/var/lib/platform-iac/owner.json"  # the provider's: which roles of which platform are here
OURS = "/etc/ssh/sshd_config.d/10-platform.conf"  # the role base wrote it on every host that it is on
COMMON = (
    "chrony", "curl", "infiniband-diags", "mdadm", "nfs-common", "nginx-light", "rclone", "rdma-core", "xfsprogs",
)  # fmt: skip
"""Packages that hosts often have of their own."""
TIMEOUT_SECONDS = 900
UPDATE_TRIES = 5
LISTS = ("names", "keep", "alike")
LOCK = ("-o", "DPkg::Lock::Timeout=120")
# What a role has written already is not asked about.
OURS_FIRST = ("--force-confdef", "--force-confold")
UPDATES = "/var/lib/dpkg/updates"
BEGUN = {"unpacked", "half-configured", "half-installed", "triggers-awaited", "triggers-pending"}
INSTALLED = "installed"


class PackageError(RuntimeError):
    """The package system did not answer; says why."""


def ask(*command: str) -> list[str]:
    """Run a command and return its lines.

    Raises:
        PackageError: it failed.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise PackageError(f"{' '.join(command[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.splitlines()


@dataclass(frozen=True)
class Package:
    """What dpkg knows of a package: its state (`installed`, `config-files` and the like), and its version."""

    state: str
    version: str


NOWHERE = Package("not-installed", "")


def known() -> dict[str, Package]:
    """Return what dpkg knows by name; names that some installed package provides have no version."""
    form = "${Package}\\t${db:Status-Status}\\t${Version}\\t${Provides}\\n"
    rows = [(*line.split("\t"), "", "", "")[:4] for line in ask("dpkg-query", "--show", "--showformat", form)]
    found = {name: Package(state, version) for name, state, version, _ in rows}
    for _, state, _, provides in rows:
        for item in provides.split(",") if state == INSTALLED else ():
            if item.strip() and found.get(item.split()[0], NOWHERE).state != INSTALLED:
                found[item.split()[0]] = Package(INSTALLED, "")
    return found


def split(asked: str) -> tuple[str, str]:
    """Return name and version of a package as apt is asked for it: `NAME[:ARCHITECTURE][/RELEASE][=VERSION]`."""
    name, _, version = asked.split("/", maxsplit=1)[0].partition("=")
    return name.split(":")[0], version


def note(*, check: bool) -> list[str]:
    """Note the host's own packages once, and mark them as wanted; return what was done in words."""
    done = []
    noted = Path(NOTE).exists() and Path(MARKS).exists()
    auto = ask("apt-mark", "showauto")
    kept = Path(MARKS).read_text().split() if noted else auto
    if not noted:
        own = sorted(name for name, package in known().items() if package.state == INSTALLED and package.version)
        own = [name for name in own if name in COMMON] if Path(OURS).exists() else own
        done.append(f"note {len(own)} packages as this host's own")
        if not check:
            Path(NOTE).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write(MARKS, kept)
            write(NOTE, own)
    if marked := sorted(set(kept) & set(auto)):
        done.append(f"keep {len(marked)} packages that apt would remove by itself")
        if not check:
            ask("apt-mark", *LOCK, "manual", *marked)
    return done


def install(names: list[str], *, check: bool) -> list[str]:
    """Install what is missing, and keep apt from removing by itself what is there; return what was done in words."""
    there = known()
    missing = [asked for asked in names if not _has(there, asked)]
    done = [f"install {' '.join(missing)}"] if missing else []
    if missing and not check:
        finish(there)
        update()
        ours = [word for option in OURS_FIRST for word in ("-o", f"Dpkg::Options::={option}")]
        ask("apt-get", "-y", *LOCK, *ours, "--no-install-recommends", "install", *missing)
    present = [split(asked)[0] for asked in names if asked not in missing]
    present = [name for name in present if there[name].version]
    if present and (brought := ask("apt-mark", "showauto", *present)):
        done.append(f"keep {' '.join(brought)}, which came with other packages")
        if not check:
            ask("apt-mark", *LOCK, "manual", *brought)
    return done


def _has(there: dict[str, Package], asked: str) -> bool:
    name, version = split(asked)
    package = there.get(name, NOWHERE)
    return package.state == INSTALLED and (not version or fnmatch.fnmatch(package.version, version))


def update() -> None:
    """Have apt read its sources; another apt may be at that."""
    for left in reversed(range(UPDATE_TRIES)):
        try:
            ask("apt-get", "-o", "APT::Update::Error-Mode=any", "update")
        except PackageError:
            if not left:
                raise
            time.sleep(2 ** (UPDATE_TRIES - left - 1))
        else:
            return


def finish(there: dict[str, Package]) -> None:
    """Let dpkg finish what it was interrupted in: apt refuses to work until then."""
    if BEGUN & {package.state for package in there.values()} or any(Path(UPDATES).glob("[0-9]*")):
        ask("dpkg", "--configure", "--pending", *OURS_FIRST)


def remove(names: list[str], keep: list[str], alike: list[str], *, check: bool) -> tuple[list[str], list[str]]:
    """Purge packages, except the host's own; return what was done in words, and those that stay."""
    own = Path(NOTE).read_text().split() if Path(NOTE).exists() else COMMON
    stay = {*own, *keep, *(alike if {*own} & {*alike} else ())}
    names = [split(asked)[0] for asked in names]
    there = known()
    going = sorted({name for name in names if name not in stay and there.get(name, NOWHERE).version})
    if going and not check:
        finish(there)
        ask("apt-get", "-y", *LOCK, "purge", "--auto-remove", *going)
    return [f"remove {' '.join(going)}"] if going else [], sorted({*names} & stay)


def forget(*, check: bool) -> list[str]:
    """Give back the marks and forget the note where nothing of the platform is left; return what was done in words."""
    roles = json.loads(Path(OWNER).read_text())["roles"] if Path(OWNER).exists() else []
    if Path(OURS).exists() or len(roles) > 1:
        return []
    done = []
    kept = Path(MARKS).read_text().split() if Path(MARKS).exists() else []
    if marked := sorted(set(kept) & set(ask("apt-mark", "showmanual"))):
        done.append(f"let apt remove {len(marked)} packages by itself again")
        if not check:
            ask("apt-mark", *LOCK, "auto", *marked)
    for path in (MARKS, NOTE):
        if Path(path).exists():
            done.append(f"remove {path}")
            if not check:
                Path(path).unlink()
    return done


def write(path: str, names: list[str]) -> None:
    """Write a list so that it is there whole or not at all."""
    beside = Path(f"{path}.new")
    beside.write_text("".join(f"{name}\n" for name in names))
    beside.replace(path)


def main() -> None:
    """Run as an Ansible module."""
    lists: dict[str, Any] = {name: {"type": "list", "elements": "str", "default": []} for name in LISTS}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["noted", "installed", "removed", "forgotten"]},
            **lists,
        },
        supports_check_mode=True,
    )
    asked, check = module.params, module.check_mode
    kept: list[str] = []
    try:
        if asked["state"] == "noted":
            done = note(check=check)
        elif asked["state"] == "installed":
            done = install(asked["names"], check=check)
        elif asked["state"] == "removed":
            done, kept = remove(*(asked[name] for name in LISTS), check=check)
            done += forget(check=check)
        else:
            done = forget(check=check)
    except (PackageError, OSError) as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(changed=bool(done), actions=done, kept=kept, diff={"before": "", "after": text} if done else {})


if __name__ == "__main__":
    main()
