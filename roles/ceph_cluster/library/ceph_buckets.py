#!/usr/bin/python
"""Make buckets of Ceph's object store, each with its own account, in one task."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ceph_buckets
short_description: Make buckets, the accounts that own them, and their quotas
description:
  - An account has the name of its bucket, which is its access key too, and may make no other bucket.
  - Keys come from a file that only root reads; they are in no argument, log or result.
  - Buckets are never removed here, for that would take the data.
  - In check mode a host without Ceph counts as a change, not as a failure.
options:
  buckets:
    description: Name to quota_bytes.
    type: dict
    required: true
  keys_file:
    description: JSON file with the secret key of each account.
    type: path
    required: true
  address:
    description: Where a gateway answers, as in C(http://127.0.0.1:7480).
    type: str
    required: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

TIMEOUT_SECONDS = 120
ANSWER_SECONDS = 120
NO_SUCH = 404


class BucketError(RuntimeError):
    """The object store did not do what was asked; says why."""


def admin(*words: str, secret: str = "", missing: bool = False) -> Any:
    """Return an answer of radosgw-admin as values; None where `missing` is allowed and what was asked for is not there.

    A secret travels in the environment, which only root can read of root's processes.

    Raises:
        BucketError: it failed; with its words.
    """
    environment = {**os.environ, **({"CEPH_ARGS": f"--secret-key={secret}"} if secret else {})}
    argv = ["radosgw-admin", *words]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, cwd="/", env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BucketError(str(error).replace(secret, "…") if secret else str(error)) from error
    if done.returncode != 0:
        if missing:
            return None
        said = done.stderr.strip()[-400:]
        raise BucketError(f"radosgw-admin {' '.join(words[:2])}: {said.replace(secret, '…') if secret else said}")
    return json.loads(done.stdout) if done.stdout.strip().startswith(("{", "[")) else {}


def signed(method: str, url: str, access: str, secret: str, moment: time.struct_time) -> dict[str, str]:
    """Return the headers of a request without a body, signed by version 4 (AWS, "Signature Calculations")."""
    host, _, path = url.partition("://")[2].partition("/")
    stamp, day = time.strftime("%Y%m%dT%H%M%SZ", moment), time.strftime("%Y%m%d", moment)
    empty = hashlib.sha256(b"").hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    lines = [
        method,
        f"/{path}",
        "",
        f"host:{host}",
        f"x-amz-content-sha256:{empty}",
        f"x-amz-date:{stamp}",
        "",
        names,
        empty,
    ]
    scope = f"{day}/us-east-1/s3/aws4_request"
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    login = f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"x-amz-content-sha256": empty, "x-amz-date": stamp, "Authorization": login}


def ask(method: str, url: str, access: str, secret: str) -> int:
    """Return the status of a request, after waiting for a gateway that has just been started.

    Raises:
        BucketError: no gateway answers.
    """
    end = time.monotonic() + ANSWER_SECONDS
    while True:
        request = urllib.request.Request(url, method=method)  # noqa: S310  the plan's own address
        for name, text in signed(method, url, access, secret, time.gmtime()).items():
            request.add_header(name, text)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            if error.code < 500 or time.monotonic() > end:
                return error.code
        except OSError as error:
            if time.monotonic() > end:
                raise BucketError(f"no gateway answers at {url}: {error}") from error
        time.sleep(0.5)


def bring(name: str, wanted: dict[str, Any], secret: str, address: str, *, check: bool) -> list[str]:
    """Make one account, its bucket and its quota; return what was done."""
    done: list[str] = []

    def act(sentence: str, *words: str, **more: Any) -> None:
        done.append(sentence)
        if not check:
            admin(*words, **more)

    account = admin("user", "info", f"--uid={name}", missing=True)
    access = f"--access-key={name}"
    if account is None:
        one = ("user", "create", f"--uid={name}", f"--display-name={name}", access, "--max-buckets=1")
        act(f"add account {name}", *one, secret=secret)
        account = {} if check else admin("user", "info", f"--uid={name}")
    elif [(key["access_key"], key["secret_key"]) for key in account["keys"]] != [(name, secret)]:
        for key in account["keys"]:
            if key["access_key"] != name:
                act(
                    f"remove a strange key of {name}", "key", "rm", f"--uid={name}", f"--access-key={key['access_key']}"
                )
        act(f"set the key of {name}", "key", "create", f"--uid={name}", "--key-type=s3", access, secret=secret)
    quota = account.get("user_quota", {})
    if (quota.get("enabled"), quota.get("max_size")) != (True, wanted["quota_bytes"]):
        scope = (f"--uid={name}", "--quota-scope=user")
        act(
            f"quota of {name} becomes {wanted['quota_bytes']} bytes",
            "quota",
            "set",
            *scope,
            f"--max-size={wanted['quota_bytes']}",
        )
        if not check:
            admin("quota", "enable", *scope)
    if check and "add account" in " ".join(done):
        return [*done, f"add bucket {name}"]
    if ask("HEAD", f"{address}/{name}", name, secret) == NO_SUCH:
        done.append(f"add bucket {name}")
        if not check and (status := ask("PUT", f"{address}/{name}", name, secret)) != 200:
            raise BucketError(f"the gateway answers {status} when bucket {name} is made")
    return done


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "buckets": {"type": "dict", "required": True},
            "keys_file": {"type": "path", "required": True, "no_log": False},
            "address": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    done: list[str] = []
    try:
        if module.check_mode and not (shutil.which("radosgw-admin") and Path(asked["keys_file"]).exists()):
            module.exit_json(changed=True, actions=["everything"])
        keys = json.loads(Path(asked["keys_file"]).read_text())
        for name, wanted in sorted(asked["buckets"].items()):
            done += bring(name, wanted, keys[name], asked["address"], check=module.check_mode)
    except (BucketError, OSError, KeyError, ValueError) as error:
        module.fail_json(
            msg=f"{type(error).__name__}: {error}" if isinstance(error, (KeyError, ValueError)) else str(error)
        )
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(changed=bool(done), actions=done, diff={"before": "", "after": text} if done else {})


if __name__ == "__main__":
    main()
