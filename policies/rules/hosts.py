"""Every host: who gets in, whose time it keeps, and what its files give away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from platform_iac.plan.floors import floors
from policies.parse import lines, versions
from policies.rule import Rule
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from policies.rule import Context
    from policies.target import Stack, Target

SSHD = ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/")
ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
}
SECRET = re.compile(r"@@secret/[^@\s]+@@")
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
PASSWORD = re.compile(
    r"(?im)(?:^[ \t]*(?:export[ \t]+)?[\"']?|[{,][ \t]*(?P<quote>[\"']))"
    r"(?P<name>[\w.-]*(?:password|passwd|secret_?key|access_?key|token|storagepass))"
    r"(?(quote)(?P=quote)|[\"']?)[ \t]*[:=](?:[ \t]*|\s*(?=[\"']))(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s#;]+)"
)
ENVIRONMENT = re.compile(r"(?im)^[ \t]*\w*environment[ \t]*=(.*)$")
UNSIGNED = re.compile(
    r"(?:(?<![\w./-])trusted\s*[=:]|allow-?(?:unauthenticated|(?:downgrade-?to-?)?insecure)[\w-]*[\s=:\"])[\s=:\"]*"
    r"(?!(?:no|false|without|off|disable|0)\b)[^\s=:\"]"
)
"""Of apt, which takes many words for yes (its StringToBool): what is none of those for no."""

POWERFUL = frozenset(
    {"root", "sudo", "wheel", "admin", "adm", "disk", "docker", "lxd", "incus", "kmem", "shadow", "libvirt"}
)
"""Groups whose members are root, or can become it without a password."""

CIS = "CIS Debian Linux 12"


def _sshd(keyword: str, good: Callable[[str], bool], default: str) -> Callable[[Target, Context], Iterator[str]]:
    """Judge one keyword of sshd wherever it stands: any file, any Match block; `base` must set it for everyone."""

    def each(target: Target, context: Context) -> Iterator[str]:
        del context
        for hosts, files in target.groups:
            set_for_all = False
            for path, file in files.items():
                if path not in SSHD and not path.startswith(SSHD[1]):
                    continue
                for setting in lines.sshd(file.content):
                    if setting.name == "include" and not setting.value.startswith(SSHD[1]):
                        raise UnjudgedError(f"{path} includes {setting.value}, which the plan does not hold")
                    if ALIASES.get(setting.name, setting.name) != keyword.lower():
                        continue
                    if not good(setting.value.lower()):
                        yield f"{hosts}: {path}: {keyword} {setting.value}" + (
                            f" ({setting.section})" if setting.section else ""
                        )
                    set_for_all |= not setting.section
            if target.role == "base" and not set_for_all:
                yield f"{hosts}: no file sets {keyword}, and OpenSSH's default is {default}"

    return each


def _tries(value: str) -> bool:
    return value.isdigit() and 1 <= int(value) <= 4


def _users(target: Target, context: Context) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, user in target.view.entries("users").items():
        uid = user.text("uid")
        if not uid.isdigit() or not context.settings["lowest_uid"] <= int(uid) < 65_534:
            yield f"user {name} has uid {uid or 'none'}"
        if (other := seen.setdefault(uid, name)) != name:
            yield f"users {other} and {name} share uid {uid}"


def _groups(target: Target, context: Context) -> Iterator[str]:
    del context
    for name, user in target.view.entries("users").items():
        if powers := sorted({group.strip().lower() for group in user.texts("groups")} & POWERFUL):
            yield f"user {name} is in {', '.join(powers)}"


def _time(target: Target, context: Context) -> Iterator[str]:
    del context
    unit = next(
        (about for name, about in target.units.items() if name.removesuffix(".service") in ("chrony", "chronyd")), None
    )
    if unit is None or not unit.flag("enabled", default=True) or not unit.flag("running", default=True):
        yield "chrony.service is not enabled and running"
    for hosts, files in target.groups:
        config = [file.content for path, file in files.items() if path.startswith("/etc/chrony/")]
        found = {setting.name for text in config for setting in lines.keywords(text, "#!;%")}
        if not found & {"server", "pool", "peer", "refclock", "local"}:
            yield f"{hosts}: chrony has no source of time"


def _secrets(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, file in target.files("/"):
        if not SECRET.search(file.content):
            continue
        if file.mode is None:
            yield f"{hosts}: {file.path} holds a secret, and its mode says nothing"
        elif file.mode & 0o007:
            yield f"{hosts}: {file.path} holds a secret and has mode {file.mode:04o}"


def _literal(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, file in target.files("/"):
        if PRIVATE_KEY.search(file.content):
            yield f"{hosts}: {file.path} holds a private key"
        for found in PASSWORD.finditer(ENVIRONMENT.sub(_variables, file.content)):
            value = found["value"].strip("\"',")
            if value and not SECRET.search(value) and not value.startswith(("$", "/", "{")) and len(value) > 5:
                yield f"{hosts}: {file.path}: {found['name']} is written out"


def _variables(found: re.Match[str]) -> str:
    """The words of a unit's Environment=, a line each."""
    pairs = [word.replace('"', "'").partition("=") for word in lines.words(found[1])]
    return "\n".join(f'{name}="{value}"' for name, _, value in pairs)


def _writable(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, file in target.files("/"):
        if file.mode is None:
            yield f"{hosts}: {file.path} has a mode that says nothing"
        elif file.mode & 0o022:
            yield f"{hosts}: {file.path} has mode {file.mode:04o}"


def _sources(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, file in target.files("/etc/apt/"):
        text = "\n".join(line for line in file.content.splitlines() if line.strip()[:1] not in ("#", "/"))
        words = text.lower()
        if UNSIGNED.search(words):
            yield f"{hosts}: {file.path} takes unsigned packages"
        stanzas = [stanza for stanza in re.split(r"\n\s*\n", words) if re.search(r"(?m)^\s*types\s*:", stanza)]
        for stanza in stanzas:
            if not re.search(r"(?m)^\s*signed-by\s*:\s*\S", stanza):
                yield f"{hosts}: {file.path} names no key for a source"
        for line in words.splitlines():
            if re.match(r"\s*deb(-src)?\s", line) and "signed-by=" not in line.replace(" ", ""):
                yield f"{hosts}: {file.path} names no key for a source"


def _journal(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, files in target.groups:
        found = [
            setting.value.lower()
            for path, file in sorted(files.items())
            if path.startswith("/etc/systemd/journald.conf")
            for setting in lines.sections(file.content)
            if setting.name == "storage" and setting.section == "journal"
        ]
        if not found or found[-1] != "persistent":
            yield f"{hosts}: the journal is gone after a reboot (Storage={found[-1] if found else 'auto'})"


def _floors(stack: Stack, context: Context) -> Iterator[str]:
    """A host with a package of the list also runs a role that refuses older ones."""
    del context
    needs: dict[str, dict[str, str]] = {}
    given: dict[str, set[str]] = {}
    of = {package: source for source, floor in floors("debian").items() for package in floor.packages}
    for target in stack.roles():
        for text in target.view.texts("packages"):
            package, _, pinned = text.strip().lower().partition("=")
            source = of.get(package.split(":")[0])
            if source and pinned and versions.compare(pinned, floors("debian")[source].floor) < 0:
                yield f"{target.name} pins {package} to {pinned}, below {floors('debian')[source].floor}"
        sources = {of[package]: package for package in target.packages if package in of}
        for package, floor in target.var("floors").entries().items():
            if package in of and versions.compare(floor.text(), floors("debian")[of[package]].floor) >= 0:
                for host in target.hosts:
                    given.setdefault(host, set()).add(of[package])
            elif package in of:
                yield f"{target.name} accepts {package} {floor.text()}, below {floors('debian')[of[package]].floor}"
        for host in target.hosts:
            for source, package in sources.items():
                needs.setdefault(host, {})[source] = package
    for host, sources in needs.items():
        for source in sorted(sources.keys() - given.get(host, set())):
            least = floors("debian")[source].floor
            yield f"{host} installs {sources[source]}, and no role there refuses one below {least}"


RULES = (
    Rule(
        id="hosts-sshd-passwords",
        why="A password can be guessed from anywhere; a key cannot.",
        do="Set `PasswordAuthentication no` in /etc/ssh/sshd_config.d/.",
        reference="sshd_config(5) PasswordAuthentication",
        each=_sshd("PasswordAuthentication", lambda value: value == "no", "yes"),
    ),
    Rule(
        id="hosts-sshd-interactive",
        why="Keyboard-interactive login asks PAM for a password even where passwords are off.",
        do="Set `KbdInteractiveAuthentication no`.",
        reference="sshd_config(5) KbdInteractiveAuthentication",
        each=_sshd("KbdInteractiveAuthentication", lambda value: value == "no", "yes"),
    ),
    Rule(
        id="hosts-sshd-root",
        why="root by password is the first thing that is tried.",
        do="Set `PermitRootLogin prohibit-password`, or `no` where nobody administers by root's key.",
        reference=f"{CIS} 5.1.20",
        each=_sshd(
            "PermitRootLogin",
            lambda value: value in ("no", "prohibit-password", "without-password", "forced-commands-only"),
            "prohibit-password, which an administrator's own file may change",
        ),
    ),
    Rule(
        id="hosts-sshd-empty-passwords",
        why="An account without a password would be open to all.",
        do="Set `PermitEmptyPasswords no`.",
        reference=f"{CIS} 5.1.19",
        each=_sshd(
            "PermitEmptyPasswords", lambda value: value == "no", "no, which an administrator's own file may change"
        ),
    ),
    Rule(
        id="hosts-sshd-tries",
        why="Few tries per connection make guessing slow and visible.",
        do="Set `MaxAuthTries` to 4 or less.",
        reference=f"{CIS} 5.1.16",
        each=_sshd("MaxAuthTries", _tries, "6"),
    ),
    Rule(
        id="hosts-users-uid",
        why="A person with a system's uid owns its files, and uid 0 owns all of them.",
        do="Give each person a uid of their own at or above `lowest_uid`.",
        reference=f"{CIS} 5.4.2.1, 7.2.5",
        settings={"lowest_uid": 1000},
        each=_users,
    ),
    Rule(
        id="hosts-users-groups",
        why="Members of these groups are root, or become it without being asked.",
        do="Take the person out of the group; administrators have accounts of the site's own.",
        reference=f"{CIS} 5.2.4",
        each=_groups,
    ),
    Rule(
        id="hosts-time",
        why="munge refuses credentials that are five minutes apart: a host without time stops taking jobs.",
        do="Run chrony with a server, a pool, or the site's own clock.",
        reference=f"{CIS} 2.3.3.1, 2.3.3.3",
        roles=("base",),
        each=_time,
    ),
    Rule(
        id="hosts-secrets-readable",
        why="A secret that every account reads is none.",
        do="Give the file a mode without rights for others, 0400 or 0640.",
        each=_secrets,
    ),
    Rule(
        id="hosts-secrets-literal",
        why="What is in a file of the plan is in git, in state and in every preview.",
        do="Declare a `Secret` and write its placeholder.",
        reference="decision 0003",
        each=_literal,
    ),
    Rule(
        id="hosts-files-writable",
        why="A file of root's that others may write is root for them.",
        do="Take the right to write from group and others.",
        reference=f"{CIS} 7.1.11",
        each=_writable,
    ),
    Rule(
        id="hosts-packages-signed",
        why="An unsigned package source lets whoever answers first install what he likes, as root.",
        do="Name the key in `Signed-By`, and take `trusted=yes` and AllowUnauthenticated out.",
        reference=f"{CIS} 1.2.1.1",
        each=_sources,
    ),
    Rule(
        id="hosts-packages-floors",
        why="Older packages have known holes; backported fixes make upstream versions tell nothing.",
        do="Give the role the floor of platform_iac/plan/floors.json in its variable `floors`.",
        reference="platform_iac/plan/floors.json",
        whole=_floors,
    ),
    Rule(
        id="hosts-journal",
        severity="advisory",
        why="After a crash the journal is what tells why.",
        do="Set `Storage=persistent` in a file of /etc/systemd/journald.conf.d/.",
        reference=f"{CIS} 6.1.1.3",
        roles=("base",),
        each=_journal,
    ),
)
