"""Connections to hosts that several questions share. Host keys are always verified."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from platform_iac.provider.reach import ReachError, Target

if TYPE_CHECKING:
    from paramiko import Channel, SSHClient

CONNECT_SECONDS = 30
REFUSED_SECONDS = 60
SESSIONS = 4  # at once over one connection; sshd allows ten, a hardened one fewer

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its traces would go to standard error
logging.getLogger("paramiko").propagate = False


@dataclass
class _Slot:
    """One host's connection; the lock makes two who want it first wait for the same one."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    sessions: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(SESSIONS))
    client: SSHClient | None = None
    refusal: tuple[float, str] | None = None
    """When the host last did not answer, and how: those who ask at the same time need not wait again."""


_slots: dict[Target, _Slot] = {}
_guard = threading.Lock()


def run(target: Target, command: str, text: str, *, timeout_seconds: float) -> str:
    """Run a command on the host with `text` as its input and return its output.

    Raises:
        ReachError: the host does not answer in time, its key is not the known one, or the command fails.
    """
    import paramiko

    with _guard:
        slot = _slots.setdefault(target, _Slot())
    try:
        with slot.sessions:
            status, out, said = _exchange(_open(slot, target), command, text, timeout_seconds)
    except (paramiko.SSHException, OSError, EOFError) as error:
        if not _alive(slot) or isinstance(error, TimeoutError):
            _end(slot)
        raise ReachError(str(error).strip() or type(error).__name__) from error
    if status != 0:
        raise ReachError(f"the probe ended with status {status}: {said[-300:]}")
    return out


def _exchange(channel: Channel, command: str, text: str, timeout_seconds: float) -> tuple[int, str, str]:
    """Run a command with an input; return its exit status, output and what it said about errors."""
    end = time.monotonic() + timeout_seconds
    with channel:
        channel.settimeout(timeout_seconds)
        channel.exec_command(command)
        channel.sendall(text.encode())
        channel.shutdown_write()
        chunks = []
        while chunk := channel.recv(1 << 16):
            chunks.append(chunk)
            if time.monotonic() > end:
                raise ReachError(f"no answer in {timeout_seconds:g} s")
        said = channel.recv_stderr(1 << 12).decode(errors="replace").strip()
        return channel.recv_exit_status(), b"".join(chunks).decode(), said


def close(hostname: str | None = None) -> None:
    """Close all connections, or those to one host, and forget which hosts did not answer."""
    with _guard:
        targets = [target for target in _slots if hostname in (None, target.name, target.hostname)]
        slots = [_slots.pop(target) for target in targets]
    for slot in slots:
        _end(slot)


def _end(slot: _Slot) -> None:
    client, slot.client = slot.client, None
    if client is not None:
        client.close()


def _alive(slot: _Slot) -> bool:
    transport = slot.client.get_transport() if slot.client else None
    return transport is not None and transport.is_active()


def _open(slot: _Slot, target: Target) -> Channel:
    """Open a session over the host's one connection; many who want it first wait for the same attempt."""
    with slot.lock:
        if slot.refusal and time.monotonic() < slot.refusal[0] + REFUSED_SECONDS:
            raise ReachError(slot.refusal[1])
        if slot.client is None or not _alive(slot):
            try:
                slot.client = _connect(target)
            except Exception as error:
                slot.refusal = time.monotonic(), str(error).strip() or type(error).__name__
                raise
        client = slot.client
    transport = client.get_transport()
    if transport is None:
        raise ReachError("the connection ended at once")
    return transport.open_session(timeout=CONNECT_SECONDS)


def _connect(target: Target) -> SSHClient:
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    known = target.hostname if target.port == 22 else f"[{target.hostname}]:{target.port}"
    if target.host_key:
        kind, _, text = target.host_key.partition(" ")
        line = paramiko.hostkeys.HostKeyEntry.from_line(f"{known} {kind} {text}")
        if line is None or line.key is None:
            raise ReachError("its host key in the plan is no key")
        client.get_host_keys().add(known, kind, line.key)
    else:
        _add_known(client, target, known)
    keys = [path for path in target.identity_files if Path(path).is_file()]  # ssh names its defaults, there or not
    sock = _through(target.proxy_command) if target.proxy_command else None
    try:
        client.connect(
            target.hostname,
            target.port,
            target.user,
            key_filename=keys,  # type: ignore[arg-type]  # a list is fine, says paramiko's manual
            look_for_keys=False,
            sock=sock,
            timeout=CONNECT_SECONDS,
            banner_timeout=CONNECT_SECONDS,
            auth_timeout=CONNECT_SECONDS,
        )
    except BaseException:
        client.close()
        if sock is not None:
            sock.close()
        raise
    return client


def _through(command: str) -> socket.socket:
    """Return a socket whose other end is this command's input and output.

    Unlike paramiko's own ProxyCommand it notices at once when the command ends, and the command ends
    when the socket is closed.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return ours


def _add_known(client: SSHClient, target: Target, known: str) -> None:
    """Take the host's keys from the files that ssh would look in, under every name ssh would use."""
    import paramiko

    for path in target.known_hosts:
        with contextlib.suppress(OSError):
            found = paramiko.HostKeys(path)
            for name in filter(None, (target.alias, known, target.name)):
                for kind, key in (found.lookup(name) or {}).items():
                    client.get_host_keys().add(known, kind, key)
