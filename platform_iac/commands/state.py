"""`platform-iac state`: copies of a stack's state, kept around every `up`, and the way back to one.

What `pulumi stack export` gives is kept: secrets are in it only as the backend has them, encrypted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from platform_iac.commands import layout
from platform_iac.commands.errors import CommandError
from platform_iac.commands.pulumi import PROJECT, TOP, EngineError, captured, pulumi, put, select
from platform_iac.lab.paths import private_dir, write
from platform_iac.spec.load import stacks

KEPT = 30
"""Copies of one stack; the oldest go."""

SKEW = timedelta(minutes=10)
"""By how much the clocks of two computers that work on one stack may differ."""

NAME = re.compile(r"(\d{6})-(\d{8}T\d{12}Z)-([0-9a-f]{16})\.json")
STAMP = "%Y%m%dT%H%M%S%fZ"
IDENTITY = "platform:index:Identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One copy. Its name holds its number, when the state was written, and the digest of its bytes."""

    path: Path
    serial: int
    time: datetime
    digest: str

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.serial:06}"

    def __str__(self) -> str:
        return f"copy {self.name} of {_said(self.time)}"

    def read(self) -> str:
        """Return the copy's text.

        Raises:
            CommandError: it is not what was written.
        """
        content = self.path.read_bytes()
        if _digest(content) != self.digest:
            raise CommandError(f"{self.path} is not what was written: its digest differs — take another: `state list`")
        return content.decode()


def state(action: str, stack: str, *, backup: str | None) -> int:
    """List the copies of a stack's state, or make one of them its state again."""
    if action == "list":
        if backup is not None:
            raise CommandError("--backup is for `state restore` — leave it out")
        rows = _rows(stack)
        said = layout.table(f"{stack}: {len(rows)} copies in {folder(stack)}", rows)
        print(said or f"{stack}: no copy is kept here\n", end="")
        return 0
    select(stack, quiet=True)
    restore(stack, backup)
    return 0


def _rows(stack: str) -> list[tuple[str, ...]]:
    """Return a line for each copy of a stack.

    Raises:
        CommandError: there is none, nor a stack of this name.
    """
    rows: list[tuple[str, ...]] = [(one.name, _said(one.time), one.digest, _about(one)) for one in backups(stack)]
    if rows or stack in stacks():
        return rows
    top = folder(stack).parent
    there = sorted({path.name.rpartition("-")[0] for path in top.iterdir()}) if top.is_dir() else []
    raise CommandError(
        f"there is no stack {stack!r} and no copy of one here; copies in {top}: {', '.join(there) or 'none'}"
    )


def restore(stack: str, name: str | None, *, top: Path = TOP, project: str = PROJECT) -> None:
    """Make a copy the stack's state, the newest where `name` is None; the present state is kept first.

    Raises:
        CommandError: there is no such copy, or it is broken, or of another stack.
        EngineError: Pulumi does not take the copy.
    """
    known = backups(stack)
    chosen = [one for one in known if name in (None, one.name, str(one.serial), one.path.name)]
    if not chosen:
        raise CommandError(f"{stack} has no copy {name or ''} here — `platform-iac state list {stack}` shows which")
    text = chosen[-1].read()
    _of_this_stack(json.loads(text), stack, project)
    try:
        keep(stack, top=top)
    except EngineError as error:
        print(f"The present state is not kept: {error}")
    put(stack, text, top=top)
    kept = keep(stack, top=top)
    print(f"{stack}: the state is {chosen[-1]}, kept as {kept.name}")
    print(f"`pulumi refresh --stack {stack}` and `pulumi preview --stack {stack}` say how the hosts differ from it")


def apply(stack: str, *, top: Path = TOP, project: str = PROJECT) -> int:
    """Run `pulumi up` between two copies of the state; return its exit status.

    Raises:
        EngineError: the state is refused; nothing was touched.
    """
    guard(stack, top=top, project=project)
    done = pulumi("up", "--yes", "--skip-preview", "--stack", stack, top=top)
    keep(stack, top=top)
    return done


def guard(stack: str, *, top: Path = TOP, project: str = PROJECT) -> None:
    """Keep a copy of the state, if it is one to go on from.

    Raises:
        EngineError: it is torn, another stack's, another platform's, older than one that was seen here, or
            encrypted with another passphrase; says what to do.
    """
    text = _export(stack, top)
    now = json.loads(text)
    _of_this_stack(now, stack, project)
    if "ciphertext" in text:
        _decrypts(stack, top)
    known = backups(stack)
    if known and (why := _not_the_next(now, _digest(text.encode()), known)):
        raise EngineError(f"the state of {stack} {why}; nothing was touched")
    keep(stack, text=text)


def keep(stack: str, *, top: Path = TOP, text: str = "") -> Backup:
    """Keep a copy of the state, which is `text` if given, unless the newest copy is the same; return the newest.

    Raises:
        EngineError: the state cannot be read.
    """
    text = text or _export(stack, top)
    content, known = text.encode(), backups(stack)
    digest = _digest(content)
    if known and known[-1].digest == digest:
        return known[-1]
    serial = known[-1].serial + 1 if known else 1
    moment = _time(json.loads(text))
    path = private_dir(folder(stack)) / f"{serial:06}-{moment.strftime(STAMP)}-{digest}.json"
    write(path, text, 0o600)
    for old in known[: max(0, len(known) + 1 - KEPT)]:
        old.path.unlink(missing_ok=True)
    return Backup(path=path, serial=serial, time=moment, digest=digest)


def backups(stack: str) -> list[Backup]:
    """Return the copies of a stack, the oldest first."""
    found = []
    for path in sorted(folder(stack).glob("*.json")):
        if match := NAME.fullmatch(path.name):
            time = datetime.strptime(match[2], STAMP).replace(tzinfo=UTC)
            found.append(Backup(path=path, serial=int(match[1]), time=time, digest=match[3]))
    return found


def folder(stack: str) -> Path:
    """Where a stack's copies are; stacks of the same name in two backends have two."""
    top = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "platform-iac" / "backups"
    backend = hashlib.sha256(os.environ.get("PULUMI_BACKEND_URL", "").encode()).hexdigest()[:8]
    return top / f"{stack}-{backend}"


def _export(stack: str, top: Path) -> str:
    done = captured("stack", "export", "--stack", stack, top=top)
    try:
        whole = done.returncode == 0 and isinstance(json.loads(done.stdout).get("deployment"), dict)
    except ValueError:
        whole = False
    if not whole:
        known = backups(stack)
        todo = (
            f"`platform-iac state restore {stack}` brings back {known[-1]}"
            if known
            else "no copy of it is kept here: the backend's own `.bak` may be one"
        )
        raise EngineError(f"the state of {stack} cannot be read: {done.stderr.strip() or 'it is torn'} — {todo}")
    return done.stdout


def _of_this_stack(state: dict[str, Any], stack: str, project: str) -> None:
    for resource in state["deployment"].get("resources") or []:
        _, _, its_stack, its_project, *_ = [*str(resource["urn"]).replace("::", ":").split(":"), "", "", "", ""]
        if (its_stack, its_project) != (stack, project):
            raise EngineError(
                f"the state of {stack} is that of {its_stack} in the project {its_project}; nothing was touched — "
                f"`platform-iac state restore {stack}` brings its own back"
            )


def _decrypts(stack: str, top: Path) -> None:
    """Have Pulumi decrypt the state; what it says is dropped."""
    done = captured("stack", "export", "--show-secrets", "--stack", stack, top=top)
    if done.returncode != 0:
        raise EngineError(
            f"the secrets in the state of {stack} cannot be decrypted; nothing was touched — "
            f"is PULUMI_CONFIG_PASSPHRASE(_FILE) the one that the stack was made with? {done.stderr.strip()[-300:]}"
        )


def _not_the_next(now: dict[str, Any], digest: str, known: list[Backup]) -> str:
    """Return why a state cannot come after the newest copy; empty where it can."""
    last, moment = known[-1], _time(now)
    todo = "`platform-iac state list` shows the copies, `platform-iac state restore` takes one, also an older one"
    if not now["deployment"].get("resources"):
        if not _is_new(now) or not (had := _resources(last)):
            return ""  # destroyed since, or begun anew after that
        return (
            f"is a new one without resources, and {last} had {had}: was it lost? {todo}; if they were destroyed on "
            f"purpose, move the copies away: {last.path.parent}"
        )
    again = any(one.digest == digest for one in known[:-1])
    if last.digest != digest and moment < last.time and (again or last.time - moment > SKEW):
        return f"is of {_said(moment)} and older than {last} that was seen here — {todo}"
    try:
        before, after = _identity(json.loads(last.read())), _identity(now)
    except CommandError:
        return ""  # a copy that broke is no reason to do nothing
    if before and after and before[0] != after[0] and after[1] < last.time:
        return f"is that of another platform ({after[0]}) than {last} ({before[0]}) — {todo}"
    return ""


def _time(state: dict[str, Any]) -> datetime:
    """When Pulumi wrote a state; now, where it never did."""
    return datetime.now(UTC) if _is_new(state) else _moment(state["deployment"]["manifest"]["time"])


def _is_new(state: dict[str, Any]) -> bool:
    """Whether nothing was ever done in a stack: Pulumi gives its state no time."""
    text = str((state["deployment"].get("manifest") or {}).get("time") or "")
    return not text or text.startswith("0001")


def _moment(text: str) -> datetime:
    """Read Go's RFC 3339 time, which has up to nine digits of a second."""
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", text))


def _identity(state: dict[str, Any]) -> tuple[str, datetime] | None:
    """Return the platform's id and when it was drawn."""
    for resource in state["deployment"].get("resources") or []:
        if resource["type"] == IDENTITY and resource.get("id"):
            return str(resource["id"]), _moment(str(resource.get("created") or "1970-01-01T00:00:00Z"))
    return None


def _about(one: Backup) -> str:
    count = _resources(one)
    return "broken: not what was written" if count is None else f"{count} resources"


def _resources(one: Backup) -> int | None:
    """How many resources a copy has; None where it is broken."""
    try:
        return len(json.loads(one.read())["deployment"].get("resources") or [])
    except (CommandError, OSError, ValueError):
        return None


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
