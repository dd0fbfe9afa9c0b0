"""The words a spec is written with: strings and numbers that are safe wherever the plan puts them.

Every check here says what is wrong and what to do, because the message goes to the reader as it is.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from platform_iac.spec.hostlist import HostlistError, expand
from platform_iac.spec.references import Refers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PATH = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._+-]*)+")
_FILE = re.compile(r"(/?\.?[A-Za-z0-9_][A-Za-z0-9._+-]*)(/\.?[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{40,2000}={0,2}( [A-Za-z0-9@._+-]{1,128})?"
)
_WALL = re.compile(r"((?P<days>\d{1,4})-)?(?P<hours>\d{1,2}):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d)")

_RESERVED = re.compile(
    r"root|daemon|bin|sys|sync|games|man|lp|mail|news|uucp|proxy|www-data|backup|list|irc|nobody|sshd|messagebus"
    r"|slurm|munge|mysql|postgres|mlflow|chrony|_.*|systemd-.*"
)
"""Accounts that Debian or our roles own; a member of a team may not take them over."""

_RESERVED_GROUPS = re.compile(
    r"adm|tty|disk|kmem|dialout|fax|voice|cdrom|floppy|tape|sudo|audio|dip|operator|src|shadow|utmp|video|sasl"
    r"|plugdev|staff|users|nogroup|crontab|input|sgx|kvm|render|netdev|docker|wheel"
)
"""Groups that Debian or our roles own; a team becomes a group of its name."""


def is_system_group(name: str) -> bool:
    """Return whether a group of this name belongs to the system."""
    return bool(_RESERVED.fullmatch(name) or _RESERVED_GROUPS.fullmatch(name))


def wrong(message: str) -> PydanticCustomError:
    """Return the error for a value: `what is wrong — what to do`."""
    return PydanticCustomError("spec", "{message}", {"message": message})


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise wrong(f"{text[:80]!r} is no {what}")
        return text

    return check


def _label(text: str) -> str:
    if _LABEL.fullmatch(text) is None:
        reason = "has characters that look like others" if not text.isascii() else "is no name"
        raise wrong(
            f"{text[:80]!r} {reason} — use up to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
        )
    return text


def _domain(text: str) -> str:
    if len(text) > 190 or not all(_LABEL.fullmatch(part) for part in text.split(".")):
        raise wrong(f"{text[:80]!r} is no domain — write names of a-z, 0-9 and - with dots, as in lab.example.net")
    return text


def _hostlist(text: str) -> str:
    try:
        names = expand(text)
    except HostlistError as error:
        raise wrong(str(error)) from error
    for name in names:
        _label(name)
        if name.isdigit():
            raise wrong(f"host `{name}` is only digits — begin it with a letter, or it reads as an address")
    return text


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise wrong(f"{text[:80]!r} is no IPv4 address — write four numbers from 0 to 255, as in 10.77.0.21") from error


def _cidr(text: str) -> str:
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError) as error:
        raise wrong(f"{text[:80]!r} is no network — write an address and a length, as in 10.77.0.0/24") from error
    except ValueError as error:
        right = IPv4Network(text, strict=False)
        raise wrong(f"{text} has host bits set — write {right}") from error
    if "/" not in text or not 8 <= network.prefixlen <= 30:
        raise wrong(f"{text} is no network of 2 to 16 million hosts — write a length from /8 to /30")
    return str(network)


def _beside_the_spec(text: str, info: ValidationInfo) -> str:
    folder: Path | None = (info.context or {}).get("folder")
    if folder is not None and not text.startswith("/") and not (folder / text).is_file():
        raise wrong(f"no file {text!r} in the spec's folder {folder} — put it there, or write an absolute path")
    return text


def _user(text: str) -> str:
    if _USER.fullmatch(text) is None:
        raise wrong(f"{text[:80]!r} is no user name — use up to 31 of a-z, 0-9, _ and -, beginning with a letter")
    if is_system_group(text):  # everybody has a group of their name
        raise wrong(f"`{text}` is an account or a group of the system — choose another user name")
    return text


def _safe_text(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise wrong("the text has line breaks, unprintable characters or spaces around it — write one plain line")
    return text


def _editor(pattern: re.Pattern[str]) -> WithJsonSchema:
    """Tell editors the pattern; our own check has the better words."""
    return WithJsonSchema({"type": "string", "pattern": f"^{re.sub(r'[?]P<[a-z]+>', '', pattern.pattern)}$"})


def wall_seconds(text: str) -> int:
    """Return the seconds of a wall time as Slurm writes it: `days-hours:minutes:seconds`."""
    match = _WALL.fullmatch(text)
    if match is None:
        raise wrong(f"{text[:80]!r} is no wall time — write days-hours:minutes:seconds, as in 7-00:00:00")
    days, hours, minutes, seconds = (int(match[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _wall_time(text: str) -> str:
    if wall_seconds(text) == 0:
        raise wrong("the wall time is zero — write the longest time a job may take, as in 7-00:00:00")
    return text


Label = Annotated[str, Field(max_length=63), AfterValidator(_label), _editor(_LABEL)]
"""A name by RFC 1123: what hosts, pools, sites, teams and services are called."""

Domain = Annotated[str, AfterValidator(_domain)]
"""A DNS domain in lower case, without the final dot."""

Hostlist = Annotated[str, Field(max_length=4096), AfterValidator(_hostlist)]
"""Host names in Slurm's short form, see `spec.hostlist`."""

IPv4 = Annotated[str, AfterValidator(_ipv4), WithJsonSchema({"type": "string", "format": "ipv4"})]
"""An IPv4 address as text."""

Cidr = Annotated[str, AfterValidator(_cidr)]
"""An IPv4 network as text, /8 to /30."""

AbsolutePath = Annotated[
    str,
    Field(max_length=255),
    AfterValidator(_matching(_PATH, "absolute path — begin with / and use a-z, A-Z, 0-9, . _ + - without `..`")),
]
"""A path on a host, without `.`, `..`, spaces or anything a shell would read."""

FilePath = Annotated[
    str,
    Field(max_length=255),
    AfterValidator(_matching(_FILE, "path — use a-z, A-Z, 0-9, . _ + - and / without `..`")),
    AfterValidator(_beside_the_spec),
]
"""A file where the spec is read. A relative one begins at the spec's folder and must be there; an
absolute one may be on another machine, so it is looked for only when it is used."""

UserName = Annotated[str, AfterValidator(_user), _editor(_USER)]
"""A POSIX account that a person owns."""

Uid = Annotated[int, Field(ge=1000, le=59999)]
"""A numeric account id. Debian gives 0-999 to the system and 60000 and up to systemd (Debian policy 9.2.2)."""

SafeText = Annotated[str, Field(max_length=200), AfterValidator(_safe_text)]
"""One line for people: printable, no line breaks."""

PublicKey = Annotated[
    str, AfterValidator(_matching(_KEY, "SSH public key — paste one line of ~/.ssh/id_ed25519.pub, without options"))
]
"""One line of authorized_keys, without options."""

WallTime = Annotated[str, AfterValidator(_wall_time), _editor(_WALL)]
"""The longest time a job may take, as Slurm writes it."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP or UDP port."""

SiteName = Annotated[str, Refers("sites"), WithJsonSchema({"type": "string"})]
PoolName = Annotated[str, Refers("pools"), WithJsonSchema({"type": "string"})]
TeamName = Annotated[str, Refers("teams"), WithJsonSchema({"type": "string"})]
StorageName = Annotated[str, Refers("storage"), WithJsonSchema({"type": "string"})]
ServiceName = Annotated[str, Refers("services"), WithJsonSchema({"type": "string"})]
