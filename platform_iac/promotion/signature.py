"""Signatures by OpenSSH (`ssh-keygen -Y`): with the key that people have already."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

NAMESPACE: Final = "platform-iac-evidence"
TIMEOUT_SECONDS = 30


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


def principal(key: Path, allowed: Path) -> str:
    """Return who signs with `key`, as the file of allowed signers says.

    Raises:
        SignatureError: nobody.
    """
    with tempfile.TemporaryDirectory(prefix="platform-iac-signature-") as folder:
        signature = Path(folder) / "signature"
        signature.write_text(sign(b"who am I", key), encoding="utf-8")
        done = _ssh_keygen(["-Y", "find-principals", "-f", str(allowed), "-s", str(signature)], b"")
    if done.returncode != 0 or not done.stdout.strip():
        raise SignatureError(f"{allowed} names nobody with the key {key} — add a line: `NAME {NAMESPACE_HINT}`")
    return done.stdout.decode().split()[0]


NAMESPACE_HINT: Final = f'namespaces="{NAMESPACE}" ssh-ed25519 AAAA…'


def why_not(content: bytes, signature: str, who: str, allowed: Path) -> str:
    """Return why `signature` is not that of `who` over `content`; empty where it is."""
    with tempfile.TemporaryDirectory(prefix="platform-iac-signature-") as folder:
        file = Path(folder) / "signature"
        file.write_text(signature, encoding="utf-8")
        argv = ["-Y", "verify", "-n", NAMESPACE, "-f", str(allowed), "-I", who, "-s", str(file)]
        done = _ssh_keygen(argv, content)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).decode(errors="replace").strip()[:300]


def _ssh_keygen(argv: list[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["ssh-keygen", *argv], input=content, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
    )
