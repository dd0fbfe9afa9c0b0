"""Ask hosts, and tell what differs."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import secrets as random
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from platform_iac.provider import reach, wanted
from platform_iac.provider.drift import asked, connections, derive
from platform_iac.provider.reach import ReachError, Target

PARALLEL = 32
SECONDS = 60
DIFF_LINES = 40
HOST = Path(__file__).with_name("host")
PACKAGE = "platform_iac.provider.drift.host"
BOOT = """\
import json,sys,types
m=json.load(sys.stdin)
for n,t in m['modules']:
    s=sys.modules[n]=types.ModuleType(n)
    exec(compile(t,n,'exec'),s.__dict__)
print(json.dumps(s.probe(m['expected'])))
"""
"""Every module comes as text and under its own name, so that they import each other as they do here."""

WITHOUT_ANSIBLE = ("ansible.module_utils.basic", "AnsibleModule = None")
"""What a role's module imports and a host does not have."""


def scan(inputs: Mapping[str, Any], hosts: Sequence[str], cancelled: threading.Event) -> dict[str, dict[str, str]]:
    """Return by host what differs from `inputs`, each thing with a sentence. Hosts without a difference are left out.

    A host that cannot be asked differs, too: `host: unreachable: …`.
    """
    with ThreadPoolExecutor(max(1, min(PARALLEL, len(hosts)))) as pool:
        answers = pool.map(lambda host: _ask(inputs, host, cancelled), hosts)
        return {host: things for host, things in zip(hosts, answers, strict=True) if things}


def expectations(inputs: Mapping[str, Any], host: str, salt: str) -> dict[str, Any]:
    """Return what the probe compares with. Contents go as digests, so that no secret travels."""
    secrets = inputs.get("secrets") or {}
    files = {}
    for path, file in wanted.files(inputs, host).items():
        content = wanted.fill(file["content"], secrets)
        files[path] = {
            "sha256": hashlib.sha256(salt.encode() + content.encode()).hexdigest(),
            "mode": f"{int(str(file.get('mode', '0644')), 8):04o}",
            "owner": f"{file.get('owner', 'root')}:{file.get('group', 'root')}",
            "secret": bool(wanted.PLACEHOLDER.search(file["content"])),
        }
    unit, user = ("enabled", "running", "restart_on", "reload_on"), ("uid", "groups", "shell")
    return {
        "salt": salt,
        "files": files,
        "packages": list(inputs.get("packages") or []),
        "floors": dict(wanted.variables(inputs, host).get("floors") or {}),
        "units": {name: _bare(about, unit) for name, about in (inputs.get("units") or {}).items()},
        "users": {name: _bare(about, user) for name, about in (inputs.get("users") or {}).items()},
        "settings": derive.settings(inputs, host),
        "mounts": derive.mounts(inputs, host),
        "asked": {asked.NAME + name: argument for name, argument in asked.arguments(inputs, host).items()},
        "platform": inputs.get("platform") or "",
    }


def modules(inputs: Mapping[str, Any], host: str) -> list[tuple[str, str]]:
    """Return what runs on the host, name and text, each after what it imports; the last one has `probe`."""
    role = str(inputs.get("role", ""))
    own = [(asked.NAME + name, asked.text(name, role)) for name in asked.arguments(inputs, host)]
    return [*([WITHOUT_ANSIBLE, *own] if own else []), *_modules()]


def tell(answer: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]], users: Mapping[str, Any]) -> dict[str, str]:
    """Return each thing that differs with a sentence about how; a second line says who touched it, where known."""
    things: dict[str, str] = {}
    for path, wrong in sorted(answer["files"].items()):
        things[f"file {path}"] = "; ".join(_about_file(wrong, files[path]))
    for name, word in sorted(answer["packages"].items()):
        things[f"package {name}"] = word
    for name, words in sorted(answer["units"].items()):
        things[f"unit {name}"] = ", ".join(words)
    for name, wrong in sorted(answer["users"].items()):
        things[f"user {name}"] = "; ".join(_about_user(wrong, users.get(name, {})))
    things |= {f"setting {name}": said for name, said in sorted(answer["settings"].items())}
    things |= {f"mount {path}": said for path, said in sorted(answer["mounts"].items())}
    things |= dict(sorted(answer["asked"].items()))
    if answer["owner"]:
        things["host"] = answer["owner"]
    for thing, said in answer["touched"].items():
        first, *more = things[thing].split("\n")
        things[thing] = "\n".join([first, said, *more])
    return things


def _ask(inputs: Mapping[str, Any], host: str, cancelled: threading.Event) -> dict[str, str]:
    if cancelled.is_set():
        return {"host": "not asked: stopped"}
    message = {
        "modules": modules(inputs, host),
        "expected": expectations(inputs, host, random.token_hex(16)),
    }
    try:
        target = reach.target(host, inputs["hosts"][host], str(inputs.get("sshConfig", reach.LOCAL)))
        answer = json.loads(_run(target, json.dumps(message)))
    except (ReachError, OSError, ValueError) as error:
        return {"host": f"unreachable: {error}"}
    return tell(answer, wanted.files(inputs, host), inputs.get("users") or {})


@functools.cache
def _modules() -> tuple[tuple[str, str], ...]:
    names = ("tools", "files", "packages", "units", "accounts", "kernel", "ownership", "touched", "probe")
    texts = [(f"{PACKAGE}.{name}", (HOST / f"{name}.py").read_text(encoding="utf-8")) for name in names]
    return ((PACKAGE, ""), *texts)


def _run(target: Target, text: str) -> str:
    if not target.local:
        prefix = "" if target.user == "root" else "sudo -n "
        command = f'{prefix}timeout {SECONDS} python3 -c "{BOOT}"'
        return connections.run(target, command, text, timeout_seconds=SECONDS + 10)
    try:
        done = subprocess.run(
            [sys.executable, "-c", BOOT], input=text, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ReachError(f"no answer in {SECONDS} s") from error
    if done.returncode != 0:
        raise ReachError(done.stderr.strip()[-300:])
    return done.stdout


def _about_file(wrong: Mapping[str, Any], file: Mapping[str, Any]) -> list[str]:
    if wrong.get("missing"):
        return ["missing"]
    if "kind" in wrong:
        return [f"a {wrong['kind']} instead of a file"]
    said = []
    if "mode" in wrong:
        said.append(f"mode {wrong['mode']} instead of {int(str(file.get('mode', '0644')), 8):04o}")
    if "owner" in wrong:
        said.append(f"owner {wrong['owner']} instead of {file.get('owner', 'root')}:{file.get('group', 'root')}")
    if "content" in wrong:
        secret = wanted.PLACEHOLDER.search(file["content"])
        said.append("content differs" + ("" if secret else f"\n{_unified(file['content'], wrong['content'])}"))
    return said


def _about_user(wrong: Mapping[str, Any], user: Mapping[str, Any]) -> list[str]:
    if wrong.get("missing"):
        return ["missing"]
    if wrong.get("extra"):
        return ["is here, and no longer planned"]
    said = [f"{name} {wrong[name]} instead of {user[name]}" for name in ("uid", "shell") if name in wrong]
    said += [f"not in {', '.join(wrong['groups'])}"] if "groups" in wrong else []
    return said + ([f"also in {', '.join(wrong['more_groups'])}"] if "more_groups" in wrong else [])


def _unified(planned: str, found: str) -> str:
    lines = list(difflib.unified_diff(planned.splitlines(), found.splitlines(), "planned", "found", n=1, lineterm=""))
    return "\n".join(lines[:DIFF_LINES])


def _bare(entry: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: entry[name] for name in names if name in entry}
