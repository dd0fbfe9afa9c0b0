"""Ask hosts, and tell what differs."""

from __future__ import annotations

import difflib
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
from platform_iac.provider.drift import connections
from platform_iac.provider.reach import ReachError, Target

PARALLEL = 32
SECONDS = 60
DIFF_LINES = 40
SCRIPT = Path(__file__).with_name("probe.py")
BOOT = (
    "import json,sys;m=json.load(sys.stdin);g={'__name__':'probe'};"
    "exec(compile(m['script'],'probe','exec'),g);print(json.dumps(g['probe'](m['expected'])))"
)


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
    return {
        "salt": salt,
        "files": files,
        "packages": list(inputs.get("packages") or []),
        "units": {name: _bare(unit, ("enabled", "running")) for name, unit in (inputs.get("units") or {}).items()},
        "users": {name: _bare(user, ("uid", "groups", "shell")) for name, user in (inputs.get("users") or {}).items()},
    }


def tell(answer: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]], users: Mapping[str, Any]) -> dict[str, str]:
    """Return each thing that differs with a sentence about how."""
    things: dict[str, str] = {}
    for path, wrong in sorted(answer["files"].items()):
        things[f"file {path}"] = "; ".join(_about_file(wrong, files[path]))
    for name in answer["packages"]:
        things[f"package {name}"] = "not installed"
    for name, words in sorted(answer["units"].items()):
        things[f"unit {name}"] = ", ".join(words)
    for name, wrong in sorted(answer["users"].items()):
        things[f"user {name}"] = "; ".join(_about_user(wrong, users[name]))
    return things


def _ask(inputs: Mapping[str, Any], host: str, cancelled: threading.Event) -> dict[str, str]:
    if cancelled.is_set():
        return {"host": "not asked: stopped"}
    message = {
        "script": SCRIPT.read_text(encoding="utf-8"),
        "expected": expectations(inputs, host, random.token_hex(16)),
    }
    try:
        target = reach.target(host, inputs["hosts"][host], str(inputs.get("sshConfig", reach.LOCAL)))
        answer = json.loads(_run(target, json.dumps(message)))
    except (ReachError, OSError, ValueError) as error:
        return {"host": f"unreachable: {error}"}
    return tell(answer, wanted.files(inputs, host), inputs.get("users") or {})


def _run(target: Target, text: str) -> str:
    command = f'python3 -c "{BOOT}"'
    if not target.local:
        prefix = "" if target.user == "root" else "sudo -n "
        return connections.run(target, f"{prefix}timeout {SECONDS} {command}", text, timeout_seconds=SECONDS + 10)
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
    said = [f"{name} {wrong[name]} instead of {user[name]}" for name in ("uid", "shell") if name in wrong]
    return said + ([f"not in {', '.join(wrong['groups'])}"] if "groups" in wrong else [])


def _unified(planned: str, found: str) -> str:
    lines = list(difflib.unified_diff(planned.splitlines(), found.splitlines(), "planned", "found", n=1, lineterm=""))
    return "\n".join(lines[:DIFF_LINES])


def _bare(entry: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: entry[name] for name in names if name in entry}
