#!/usr/bin/python
"""Note which packages a host has of its own, so that no teardown takes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_packages
short_description: Keep the packages that a host had before the platform
description:
  - Before a platform installs anything, C(/var/lib/platform-iac/packages) gets a line for each package that is
    installed. Roles never remove those.
  - Those of them that apt may remove by itself (C(apt-mark showauto)) are marked as wanted meanwhile, so that the
    C(autoremove) of a teardown takes only what roles brought; V(absent) gives the marks back.
  - On a host that has the platform from before there was such a note, only the C(common) ones count as its own; what
    came as somebody's dependency stays too.
options:
  common:
    description: Packages that hosts often have of their own.
    type: list
    elements: str
    required: true
  state:
    description: V(absent) gives the marks back and forgets the note.
    choices: [present, absent]
    default: present
    type: str
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

NOTE = "/var/lib/platform-iac/packages"
MARKS = "/var/lib/platform-iac/packages-auto"
OURS = "/etc/ssh/sshd_config.d/10-platform.conf"  # the role base wrote it on every host that it has been on
TIMEOUT_SECONDS = 300
LOCK = ("-o", "DPkg::Lock::Timeout=120")


class PackageError(RuntimeError):
    """The package system did not answer; says why."""


def ask(*command: str) -> list[str]:
    """Run a command and return its lines.

    Raises:
        PackageError: it failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise PackageError(f"{' '.join(command[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.splitlines()


def installed() -> list[str]:
    """Return the packages that are installed."""
    rows = (line.split() for line in ask("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n"))
    return sorted({row[0] for row in rows if row[1:] == ["installed"]})


def present(common: list[str], *, check: bool) -> list[str]:
    """Note the host's own packages once, and mark them as wanted; return what was done in words."""
    done = []
    known = Path(NOTE).exists() and Path(MARKS).exists()
    auto = ask("apt-mark", "showauto")
    kept = Path(MARKS).read_text().split() if known else auto
    if not known:
        own = installed()
        own = [name for name in own if name in common] if Path(OURS).exists() else own
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


def absent(*, check: bool) -> list[str]:
    """Give back the marks and forget the note; return what was done in words."""
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
    module = AnsibleModule(
        argument_spec={
            "common": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        supports_check_mode=True,
    )
    try:
        if module.params["state"] == "present":
            done = present(module.params["common"], check=module.check_mode)
        else:
            done = absent(check=module.check_mode)
    except (PackageError, OSError) as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(changed=bool(done), actions=done, diff={"before": "", "after": text} if done else {})


if __name__ == "__main__":
    main()
