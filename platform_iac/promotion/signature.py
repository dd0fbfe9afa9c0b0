"""Signatures by OpenSSH (`ssh-keygen -Y`): with the key that people have already."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platform_iac.promotion.evidence import EvidenceError, moment

if TYPE_CHECKING:
    from platform_iac.promotion.evidence import Entry

NAMESPACE: Final = "platform-iac-evidence"
LINE: Final = f'NAME namespaces="{NAMESPACE}" ssh-ed25519 AAAA…'
"""A line of allowed signers, for messages."""
TIMEOUT_SECONDS = 60
"""A security key waits for a touch."""


class SignatureError(RuntimeError):
    """Nothing could be signed; says why."""


def sign(content: bytes, key: Path, namespace: str = NAMESPACE) -> str:
    """Return the armoured signature of `content` by a private key, or by the agent's key that a public one names.

    The namespace says what the signature is for: one of evidence is none of anything else.

    Raises:
        SignatureError: ssh-keygen refuses.
    """
    done = _ssh_keygen(["-Y", "sign", "-q", "-n", namespace, "-f", str(key)], content)
    if done.returncode != 0:
        raise SignatureError(
            f"cannot sign with {key}: {done.stderr.decode(errors='replace').strip()[:300]} — is it an SSH key?"
        )
    return done.stdout.decode()


def principal(key: Path, allowed: str) -> str:
    """Return who signs with `key`, as the lines of allowed signers say.

    Raises:
        SignatureError: nobody.
    """
    with tempfile.TemporaryDirectory(prefix="platform-iac-signature-") as folder:
        signers, signed = _files(Path(folder), allowed, sign(b"who am I", key))
        done = _ssh_keygen(["-Y", "find-principals", "-f", str(signers), "-s", str(signed)], b"")
    if done.returncode != 0 or not done.stdout.strip():
        raise SignatureError(f"allowed_signers names nobody with the key {key} — have a line merged: `{LINE}`")
    return done.stdout.decode().split()[0]


def why_not(entry: Entry, allowed: str, *, merged: bool) -> str:
    """Return why an entry is not signed by who it says; empty where it is.

    The key must have been good when the entry was made, so that one that is retired since (`valid-before`) does not
    take its lines with it. For a line that is not merged yet it must be good now too: the time in it is only said.
    """
    try:
        when = moment(entry)
    except EvidenceError as error:
        return str(error)
    reason = _why_not_at(when, entry, allowed)
    if reason or merged:
        return reason
    if reason := _why_not_at(datetime.now().astimezone(), entry, allowed):
        return (
            f"{reason} — a line that is not merged yet needs a key that is good now: whoever it is of signs it again, "
            "`platform-iac evidence --onto origin/main --key FILE`"
        )
    return ""


def _why_not_at(when: datetime, entry: Entry, allowed: str) -> str:
    with tempfile.TemporaryDirectory(prefix="platform-iac-signature-") as folder:
        signers, signed = _files(Path(folder), allowed, entry.signature)
        argv = ["-Y", "verify", "-n", NAMESPACE, "-O", f"verify-time={when:%Y%m%d%H%M%S}"]
        done = _ssh_keygen([*argv, "-f", str(signers), "-I", entry.who, "-s", str(signed)], entry.signed_bytes())
    return "" if done.returncode == 0 else (done.stderr or done.stdout).decode(errors="replace").strip()[:300]


def _files(folder: Path, allowed: str, signature: str) -> tuple[Path, Path]:
    signers, signed = folder / "allowed_signers", folder / "signature"
    signers.write_text(allowed, encoding="utf-8")
    signed.write_text(signature, encoding="utf-8")
    return signers, signed


def _ssh_keygen(argv: list[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *argv], input=content, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SignatureError(
            f"ssh-keygen did not end within {TIMEOUT_SECONDS} s — a key that asks for a passphrase or a touch: "
            "take it into the agent first (`ssh-add`)"
        ) from error
