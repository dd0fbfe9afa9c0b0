"""Slurm: jobs are accounted and confined, memory is left for the system, and its keys are kept."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from platform_iac.spec.hostlist import HostlistError, expand
from policies.mounts import network_mounts
from policies.parse import lines
from policies.rule import Rule
from policies.target import NO_HOST
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from policies.rule import Context
    from policies.target import Stack, Target

CONF = "/etc/slurm/slurm.conf"
CGROUP = "/etc/slurm/cgroup.conf"
KEY = "/etc/munge/munge.key"


def _pairs(target: Target, path: str) -> Iterator[tuple[str, dict[str, str], list[dict[str, str]]]]:
    """Yield (hosts, settings, lines of several pairs) of a Slurm file; the last setting of a name counts."""
    for hosts, file in target.files(path):
        settings: dict[str, str] = {}
        entries: list[dict[str, str]] = []
        for line in lines.equals(file.content):
            pairs = {pair.name: pair.value for pair in line}
            if "include" in pairs:
                raise UnjudgedError(f"{path} includes {pairs['include']}, which the plan does not hold")
            if line[0].name in ("nodename", "partitionname", "downnodes", "nodeset", "slurmctldhost"):
                entries.append(pairs)
            else:
                settings |= pairs
        yield hosts, settings, entries


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",") if word.strip()}


def _accounting(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, settings, _ in _pairs(target, CONF):
        if settings.get("accountingstoragetype", "").lower() != "accounting_storage/slurmdbd":
            yield f"{hosts}: AccountingStorageType={settings.get('accountingstoragetype') or 'none'}"
        enforced = _words(settings.get("accountingstorageenforce", ""))
        implied = {"associations"} if enforced & {"limits", "qos", "wckeys", "safe"} else set()
        implied |= {"limits"} if "safe" in enforced else set()
        if "all" not in enforced and (missing := sorted({"associations", "limits", "qos"} - enforced - implied)):
            yield f"{hosts}: AccountingStorageEnforce lacks {', '.join(missing)}"


def _confined(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, settings, _ in _pairs(target, CONF):
        if settings.get("proctracktype", "").lower() != "proctrack/cgroup":
            yield f"{hosts}: ProctrackType={settings.get('proctracktype') or 'default'}"
        if "task/cgroup" not in _words(settings.get("taskplugin", "")):
            yield f"{hosts}: TaskPlugin={settings.get('taskplugin') or 'none'} lacks task/cgroup"


def _constrained(target: Target, context: Context) -> Iterator[str]:
    del context
    found = False
    for hosts, settings, _ in _pairs(target, CGROUP):
        found = True
        for name in ("ConstrainCores", "ConstrainDevices", "ConstrainRAMSpace"):
            if settings.get(name.lower(), "no").lower() != "yes":
                yield f"{hosts}: {name}={settings.get(name.lower()) or 'no'}"
    if not found:
        yield f"no {CGROUP}: Slurm's default confines nothing"


def _headroom(target: Target, context: Context) -> Iterator[str]:
    least = context.settings["percent"]
    for _, _, entries in _pairs(target, CONF):
        for entry in entries:
            names = entry.get("nodename", "")
            if not names or names.lower() == "default":
                continue
            try:
                hosts = expand(names)
            except HostlistError as error:
                raise UnjudgedError(f"NodeName={names}: {error}") from None
            if not entry.get("realmemory", "").isdigit():
                yield f"{names}: no RealMemory"
                continue
            usable = int(entry["realmemory"]) - int(entry.get("memspeclimit", "0") or 0)
            has = min(context.facts.memory_of(host) for host in hosts)
            if usable > has * (100 - least) / 100:
                yield f"{names}: jobs may take {usable} of {has} MiB, which leaves less than {least} percent"


def _munge_file(target: Target, context: Context) -> Iterator[str]:
    del context
    found = False
    for hosts, file in target.files(KEY):
        found = True
        if file.mode is None or file.mode & 0o177:
            yield f"{hosts}: {KEY} has mode {'none' if file.mode is None else format(file.mode, '04o')}"
        if file.owner != "munge":
            yield f"{hosts}: {KEY} belongs to {file.owner}"
    if not found:
        yield f"no {KEY}: the package would make another one on every host"


def _munge_size(target: Target, context: Context) -> Iterator[str]:
    least = context.settings["bytes"]
    if target.name == "munge.key" and (target.view.number("length") or 0) < least:
        yield f"the key has {target.view.text('length') or 'no'} bytes, less than {least}"


def _munge_age(target: Target, context: Context) -> Iterator[str]:
    if target.name != "munge.key":
        return
    if not target.created or not context.facts.today:
        raise UnjudgedError("the key's age is in the stack's state — give it with `--state FILE`")
    made = dt.date.fromisoformat(target.created[:10])
    days = (dt.date.fromisoformat(context.facts.today) - made).days
    if days > context.settings["days"]:
        yield f"the key is {days} days old, more than {context.settings['days']}"


def _state(stack: Stack, context: Context) -> Iterator[str]:
    """Two controllers, one state: below a path that the plan mounts on each, or that the stack says is mounted."""
    mounted = _mounted(stack)
    for target in stack.roles("slurm_controller"):
        for hosts, settings, entries in _pairs(target, CONF):
            controllers = [entry for entry in entries if "slurmctldhost" in entry]
            if len(controllers) < 2 and not settings.get("backupcontroller") and len(target.hosts) < 2:
                continue
            path = settings.get("statesavelocation", "/var/spool").rstrip("/")
            shared = [*context.settings["mounted"], *(set.intersection(*(mounted[host] for host in target.hosts)))]
            if not any(where.strip("/") and f"{path}/".startswith(f"{where.rstrip('/')}/") for where in shared):
                yield f"{hosts}: StateSaveLocation={path} is on nothing that is mounted on both controllers"


def _mounted(stack: Stack) -> defaultdict[str, set[str]]:
    """Where each host mounts a file system that others see too: NFS by mount units and fstab, CephFS by services."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for target in stack.roles():
        for place in network_mounts(target):
            for host in expand(place.hosts) if place.hosts != NO_HOST else ():
                found[host].add(place.where)
    return found


def _credentials(target: Target, context: Context) -> Iterator[str]:
    del context
    for path in (CONF, "/etc/slurm/slurmdbd.conf"):
        for hosts, settings, _ in _pairs(target, path):
            kind = settings.get("authtype", "auth/munge").lower()
            if kind not in ("auth/munge", "auth/slurm"):
                yield f"{hosts}: {path}: AuthType={kind}"
            if (kind := settings.get("credtype", "cred/munge").lower()) not in ("cred/munge", "auth/slurm"):
                yield f"{hosts}: {path}: CredType={kind}"


def _user(target: Target, context: Context) -> Iterator[str]:
    del context
    for path in (CONF, "/etc/slurm/slurmdbd.conf"):
        for hosts, settings, _ in _pairs(target, path):
            if settings.get("slurmuser", "root").lower() in ("root", "0"):
                yield f"{hosts}: {path}: SlurmUser={settings.get('slurmuser') or 'root by default'}"


def _database(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, file in target.files("/etc/slurm/slurmdbd.conf"):
        if file.mode is None or file.mode & 0o177:
            yield f"{hosts}: {file.path} has mode {'none' if file.mode is None else format(file.mode, '04o')}"
    for hosts, files in target.groups:
        settings = [
            setting
            for path, file in sorted(files.items())
            if path.startswith("/etc/mysql/")
            for setting in lines.sections(file.content)
            if setting.section.startswith(("mysqld", "mariadb", "server"))
        ]
        closed = any(
            setting.name == "skip_networking" and setting.value.lower() in ("", "1", "on", "true")
            for setting in settings
        )
        opened = any(
            setting.name == "skip_networking" and setting.value.lower() in ("0", "off", "false") for setting in settings
        )
        binds = [setting.value for setting in settings if setting.name == "bind_address"]
        local = bool(binds) and all(bind in ("127.0.0.1", "::1", "localhost") for bind in binds)
        if (opened or not closed) and not local:
            yield f"{hosts}: MariaDB listens on the network"


def _bounded(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, settings, entries in _pairs(target, CONF):
        defaults = next((entry for entry in entries if entry.get("partitionname", "").lower() == "default"), {})
        for entry in entries:
            name = entry.get("partitionname", "")
            if not name or name.lower() == "default":
                continue
            longest = entry.get("maxtime", defaults.get("maxtime", "unlimited")).lower()
            if longest in ("unlimited", "infinite", "-1"):
                yield f"{hosts}: partition {name} has no MaxTime"
            memory = {"defmempercpu", "defmempernode", "defmempergpu"}
            if not memory & (entry.keys() | defaults.keys() | settings.keys()):
                yield f"{hosts}: partition {name} gives a job a whole node's memory"


def _logins(target: Target, context: Context) -> Iterator[str]:
    del context
    if not target.units:
        return
    for hosts, files in target.groups:
        stacked = [
            line.split()
            for path, file in files.items()
            if path.startswith("/etc/pam.d/")
            for line in file.content.splitlines()
        ]
        adopts = [words for words in stacked if any(word.rpartition("/")[2] == "pam_slurm_adopt.so" for word in words)]
        if not any(
            words[0].lower() == "account" and words[1].lower() in ("required", "requisite")
            for words in adopts
            if len(words) > 1
        ):
            yield f"{hosts}: people may log in to a node without a job there"


def _contain(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, settings, _ in _pairs(target, CONF):
        if "contain" not in _words(settings.get("prologflags", "")):
            yield f"{hosts}: PrologFlags={settings.get('prologflags') or 'none'}, so a login joins no job"


CONTROLLER = ("slurm_controller",)
READERS = ("slurm_controller", "slurm_login")
RULES = (
    Rule(
        id="slurm-accounting",
        why="Shares and limits of teams hold only where every job must belong to an account.",
        do="Account with accounting_storage/slurmdbd and set AccountingStorageEnforce=associations,limits,qos.",
        reference="slurm.conf(5) AccountingStorageEnforce",
        roles=READERS,
        each=_accounting,
    ),
    Rule(
        id="slurm-confined",
        why="A process that leaves its job's cgroup uses what others were promised.",
        do="Set ProctrackType=proctrack/cgroup and TaskPlugin=task/affinity,task/cgroup.",
        reference="slurm.conf(5) ProctrackType, TaskPlugin",
        roles=READERS,
        each=_confined,
    ),
    Rule(
        id="slurm-constrained",
        why="Without them a job sees every core, all memory and all GPUs of its node.",
        do="Set ConstrainCores, ConstrainRAMSpace and ConstrainDevices to yes in cgroup.conf.",
        reference="cgroup.conf(5)",
        roles=CONTROLLER,
        each=_constrained,
    ),
    Rule(
        id="slurm-headroom",
        why="A node whose jobs may take all memory loses its daemons first.",
        do="Raise `scheduler.memory_reserved_gib`.",
        reference="slurm.conf(5) RealMemory, MemSpecLimit",
        roles=CONTROLLER,
        settings={"percent": 2},
        each=_headroom,
    ),
    Rule(
        id="slurm-munge-file",
        why="Whoever reads the key may submit jobs as anyone; munged refuses to start with an open one.",
        do="Write the key with mode 0400 and owner munge.",
        reference="munged(8)",
        roles=("munge",),
        each=_munge_file,
    ),
    Rule(
        id="slurm-munge-size",
        why="The key stands for every account of the cluster.",
        do="Make it at least `bytes` long; munge takes up to 1024.",
        reference="munged(8): 32 bytes at least",
        on=("platform:secret:Key",),
        settings={"bytes": 32},
        each=_munge_size,
    ),
    Rule(
        id="slurm-munge-age",
        severity="advisory",
        why="Everyone who was ever root on a node may still have the key.",
        do="Replace the secret `munge.key` while no job runs: `pulumi up --replace` on its URN.",
        on=("platform:secret:Key",),
        settings={"days": 365},
        each=_munge_age,
    ),
    Rule(
        id="slurm-shared-state",
        why="A second controller that does not see the first one's state kills its jobs when it takes over.",
        do="Set `scheduler.state_directory` to shared storage; name in `mounted` what the site mounts itself.",
        reference="slurm.conf(5) StateSaveLocation",
        settings={"mounted": []},
        whole=_state,
    ),
    Rule(
        id="slurm-credentials",
        why="With AuthType=auth/none everyone is who they say they are.",
        do="Set AuthType=auth/munge and CredType=cred/munge.",
        reference="slurm.conf(5) AuthType",
        roles=(*READERS, "slurm_database"),
        each=_credentials,
    ),
    Rule(
        id="slurm-user",
        why="A hole in a daemon that runs as root is a hole in the host.",
        do="Set SlurmUser=slurm.",
        reference="slurm.conf(5) SlurmUser",
        roles=(*READERS, "slurm_database"),
        each=_user,
    ),
    Rule(
        id="slurm-database",
        why="Who reaches the accounting database sets his own limits.",
        do="Keep slurmdbd.conf at mode 0600 and MariaDB on its socket (`skip_networking`).",
        reference="slurmdbd.conf(5)",
        roles=("slurm_database",),
        each=_database,
    ),
    Rule(
        id="slurm-bounded",
        severity="advisory",
        why="A job without an end, or with a whole node's memory, keeps others waiting.",
        do="Set MaxTime and DefMemPerCPU on each partition.",
        reference="slurm.conf(5) MaxTime, DefMemPerCPU",
        roles=CONTROLLER,
        each=_bounded,
    ),
    Rule(
        id="slurm-logins",
        why="A login beside the jobs uses cores and GPUs that nobody gave it.",
        do="Put `account required pam_slurm_adopt.so` into sshd's PAM stack.",
        reference="slurm.schedmd.com/pam_slurm_adopt.html",
        roles=("slurm_node",),
        each=_logins,
    ),
    Rule(
        id="slurm-contain",
        why="pam_slurm_adopt puts a login into its job's cgroup only where PrologFlags has Contain.",
        do="Set PrologFlags=Alloc,Contain.",
        reference="slurm.conf(5) PrologFlags",
        roles=READERS,
        each=_contain,
    ),
)
