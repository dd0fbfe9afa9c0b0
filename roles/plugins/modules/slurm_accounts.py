#!/usr/bin/python
"""Bring Slurm's accounts, users and QoS to what is declared, through sacctmgr, in one task."""

from __future__ import annotations

import json
import pwd
import re
import subprocess
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: slurm_accounts
short_description: Declare Slurm accounts, users, shares, QoS and limits
description:
  - Asks the accounting database what it has, and runs C(sacctmgr) only for what differs.
  - Accounts and QoS that this module made and that are no longer declared are removed. Others are left alone.
  - The jobs of a user that leaves an account are cancelled in it, since Slurm keeps a user that has jobs.
  - In check mode an accounting database that is not there yet counts as an empty one.
options:
  cluster:
    description: Name of the cluster, as in slurm.conf.
    type: str
    required: true
  default_qos:
    description: QoS of a job that names none.
    type: str
    required: true
  qos:
    description: Name to priority, max_wall, max_tres_per_user, max_tres_per_job, max_jobs_per_user and preempts.
    type: dict
    required: true
  accounts:
    description: Name to share, gpus (a TRES limit for the whole account, or empty) and users.
    type: dict
    required: true
"""

RETURN = r"""
commands:
  description: What was run, or in check mode would be, without the word sacctmgr; C(scancel) is written out.
  type: list
"""

OWNER = "platform-iac"
"""Organization of the accounts, and description of the QoS, that this module makes."""

TIMEOUT_SECONDS = 60
END_SECONDS = 180
"""How long cancelled jobs may take to end: Slurm gives them KillWait, half a minute, and then kills them."""

NONE = "-1"
"""How sacctmgr is told to clear a limit."""

WALL = re.compile(r"(?:(\d+)-)?(\d+):(\d+):(\d+)")


class AccountingError(RuntimeError):
    """sacctmgr did not do what was asked; says why."""


@dataclass
class Qos:
    """A QoS as sacctmgr shows it; an empty limit is none."""

    priority: str = "0"
    max_wall: str = ""
    max_tres_per_user: str = ""
    max_tres_per_job: str = ""
    max_jobs_per_user: str = ""
    preempts: list[str] = field(default_factory=list)


@dataclass
class Account:
    """An account of the cluster, right below its root."""

    share: str = "1"
    gpus: str = ""
    qos: list[str] = field(default_factory=list)
    default_qos: str = ""
    users: list[str] = field(default_factory=list)


@dataclass
class State:
    """What the accounting database holds of one cluster.

    `ours` is what this module made earlier, `jobs` whose jobs have to end first: user and account by number.
    """

    cluster: bool = False
    qos: dict[str, Qos] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    ours: set[str] = field(default_factory=set)
    jobs: dict[str, str] = field(default_factory=dict)


def sacctmgr(*words: str) -> str:
    """Run sacctmgr and return its output.

    Raises:
        AccountingError: it failed or took longer than TIMEOUT_SECONDS.
    """
    return run("sacctmgr", *words)


def run(*argv: str) -> str:
    """Run a command of Slurm and return its output.

    Raises:
        AccountingError: it failed or took longer than TIMEOUT_SECONDS.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccountingError(f"{' '.join(argv)}: {error}") from error
    if done.returncode != 0:
        raise AccountingError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def rows(*words: str) -> list[list[str]]:
    """Return what `sacctmgr show` lists, one list of cells a row."""
    text = sacctmgr("--noheader", "--parsable2", "show", *words)
    return [line.split("|") for line in text.splitlines() if line.strip()]


def drift(argument: dict[str, Any]) -> dict[str, str]:
    """Return what the database has instead of what is declared, by QoS and account."""
    return differences(current(argument["cluster"]), declared(argument))


def current(cluster: str) -> State:
    """Return the state of the cluster."""
    state = State(cluster=bool(rows("cluster", "where", f"name={cluster}", "format=cluster")))
    fields = "name,description,priority,maxwall,maxtrespu,maxtres,maxjobspu,preempt"
    for name, description, priority, wall, per_user, per_job, jobs, preempts in rows("qos", f"format={fields}"):
        state.qos[name] = Qos(priority, canonical(wall), per_user, per_job, jobs, listed(preempts))
        if description == OWNER:
            state.ours.add(f"qos {name}")
    for name, organization in rows("account", "format=account,organization"):
        if organization == OWNER:
            state.ours.add(f"account {name}")
    if not state.cluster:
        return state
    where = ("assoc", "where", f"cluster={cluster}", "format=account,user,share,grptres,qos,defaultqos")
    for account, user, share, gpus, qos, default_qos in rows(*where):
        known = state.accounts.setdefault(account, Account())
        if user:
            known.users.append(user)
        else:
            known.share, known.gpus, known.qos, known.default_qos = share, gpus, listed(qos), default_qos
    for known in state.accounts.values():
        known.users.sort()
    return state


def declared(parameters: dict[str, Any]) -> State:
    """Return the state that the task's arguments ask for."""
    names = sorted(parameters["qos"])
    return State(
        cluster=True,
        qos={
            name: Qos(
                str(item.get("priority", 0)),
                canonical(item.get("max_wall") or ""),
                item.get("max_tres_per_user") or "",
                item.get("max_tres_per_job") or "",
                str(item.get("max_jobs_per_user") or ""),
                sorted(item.get("preempts") or []),
            )
            for name, item in parameters["qos"].items()
        },
        accounts={
            name: Account(
                str(item.get("share", 1)),
                item.get("gpus") or "",
                names,
                parameters["default_qos"],
                sorted(item.get("users") or []),
            )
            for name, item in parameters["accounts"].items()
        },
    )


def canonical(wall: str) -> str:
    """Return a wall time as Slurm writes it: `36:00:00` is `1-12:00:00`."""
    match = WALL.fullmatch(wall)
    if match is None:
        return wall
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    days, hours = days + hours // 24, hours % 24
    clock = f"{hours:02}:{minutes:02}:{seconds:02}"
    return f"{days}-{clock}" if days else clock


def listed(text: str) -> list[str]:
    """Return a list that sacctmgr shows with commas, sorted."""
    return sorted(name for name in text.split(",") if name)


def commands(cluster: str, old: State, new: State) -> list[list[str]]:
    """Return what has to be run, in an order in which each command finds what it names."""
    todo: list[list[str]] = []
    if not old.cluster:
        todo.append(["add", "cluster", cluster])
    todo += [["add", "qos", name, f"description={OWNER}"] for name in sorted(new.qos.keys() - old.qos.keys())]
    for name, qos in sorted(new.qos.items()):
        if settings := _qos_settings(old.qos.get(name, Qos()), qos):
            todo.append(["modify", "qos", "where", f"name={name}", "set", *settings])
    for name, account in sorted(new.accounts.items()):
        todo += _account(cluster, name, old.accounts.get(name), account)
    return todo + _removals(cluster, old, new)


def _qos_settings(old: Qos, new: Qos) -> list[str]:
    settings = []
    if old.priority != new.priority:
        settings.append(f"priority={new.priority}")
    if old.max_wall != new.max_wall:
        settings.append(f"maxwall={new.max_wall or NONE}")
    settings += _tres("maxtresperuser", old.max_tres_per_user, new.max_tres_per_user)
    settings += _tres("maxtresperjob", old.max_tres_per_job, new.max_tres_per_job)
    if old.max_jobs_per_user != new.max_jobs_per_user:
        settings.append(f"maxjobsperuser={new.max_jobs_per_user or NONE}")
    if old.preempts != new.preempts:
        settings.append(f"preempt={','.join(new.preempts)}")
    return settings


def _tres(option: str, old: str, new: str) -> list[str]:
    """A TRES that is in `old` and not in `new` is cleared, for sacctmgr only adds to the list."""
    if old == new:
        return []
    kept = {limit.split("=")[0] for limit in listed(new)}
    cleared = [f"{limit.split('=')[0]}={NONE}" for limit in listed(old) if limit.split("=")[0] not in kept]
    return [f"{option}={','.join([*listed(new), *cleared])}"]


def _account(cluster: str, name: str, old: Account | None, new: Account) -> list[list[str]]:
    todo: list[list[str]] = []
    if old is None:
        todo.append(["add", "account", name, f"cluster={cluster}", f"description={name}", f"organization={OWNER}"])
        old = Account()
    settings = []
    if old.share != new.share:
        settings.append(f"fairshare={new.share}")
    settings += _tres("grptres", old.gpus, new.gpus)
    if old.qos != new.qos:
        settings.append(f"qos={','.join(new.qos)}")
    if old.default_qos != new.default_qos:
        settings.append(f"defaultqos={new.default_qos}")
    if settings:
        todo.append(["modify", "account", "where", f"name={name}", f"cluster={cluster}", "set", *settings])
    added = sorted(set(new.users) - set(old.users))
    where = [f"account={name}", f"cluster={cluster}", f"defaultaccount={name}"]
    return todo + [["add", "user", user, *where] for user in added]


def _removals(cluster: str, old: State, new: State) -> list[list[str]]:
    """Users of accounts that are declared or ours, then accounts, then QoS: each is free of what comes before."""
    todo: list[list[str]] = [["scancel", *old.jobs]] if old.jobs else []
    for name, users in leavers(old, new).items():
        where = [f"account={name}", f"cluster={cluster}"]
        todo += [["delete", "user", "where", f"name={user}", *where] for user in users]
    accounts = [name for name in sorted(old.accounts.keys() - new.accounts.keys()) if f"account {name}" in old.ours]
    todo += [["delete", "account", "where", f"name={name}", f"cluster={cluster}"] for name in accounts]
    qos = [name for name in sorted(old.qos.keys() - new.qos.keys()) if f"qos {name}" in old.ours]
    return todo + [["delete", "qos", "where", f"name={name}"] for name in qos]


def leavers(old: State, new: State) -> dict[str, list[str]]:
    """Return by account who is in it and no longer declared, of accounts that are declared or ours."""
    found = {}
    for name, account in sorted(old.accounts.items()):
        if name in new.accounts or f"account {name}" in old.ours:
            wanted = new.accounts[name].users if name in new.accounts else []
            if gone := sorted(set(account.users) - set(wanted)):
                found[name] = gone
    return found


def active(gone: dict[str, list[str]]) -> dict[str, str]:
    """Return the jobs of those who leave, user and account by number.

    A person whose account this host has removed already is `nobody` to Slurm; everybody declared is known here.
    """
    if not gone:
        return {}
    found = {}
    shown = run("squeue", "--noheader", "--all", f"--account={','.join(gone)}", "--format=%A|%T|%a|%U|%u")
    for number, state, account, uid, user in (line.split("|") for line in shown.splitlines() if line.strip()):
        removed = not _is_known(int(uid))
        leaves = account in gone and (removed or user in gone[account])
        if leaves and state != "COMPLETING":  # it has ended, for the accounting
            found[number] = f"{f'uid {uid}' if removed else user} in {account}"
    return {number: found[number] for number in sorted(found, key=int)}


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def cancel(gone: dict[str, list[str]]) -> None:
    """End the jobs of those who leave, also those that they submit meanwhile, and return when none is left.

    Raises:
        AccountingError: some have not ended within END_SECONDS; says whose.
    """
    deadline = time.monotonic() + END_SECONDS
    told: set[str] = set()
    refused = ""
    while jobs := active(gone):
        if time.monotonic() > deadline:
            said = ", ".join(f"{number} of {whose}" for number, whose in jobs.items())
            raise AccountingError(
                f"jobs have not ended {END_SECONDS} s after scancel: {said}{refused} — `scontrol show job` says on "
                "which node; set that down, and run again"
            )
        if new := sorted(jobs.keys() - told, key=int):
            try:
                run("scancel", "--quiet", *new)
                told.update(new)
            except AccountingError as error:  # as of a job that has ended meanwhile
                refused = f" ({error})"
        time.sleep(1)


def delete(words: list[str]) -> None:
    """Delete something with sacctmgr, which hears a little later than squeue that jobs have ended.

    Raises:
        AccountingError: sacctmgr refuses, for jobs also after END_SECONDS.
    """
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            sacctmgr("--immediate", *words)
        except AccountingError as error:
            if "Job(s) active" not in str(error):
                raise
            if time.monotonic() > deadline:
                hint = "`sacctmgr show runawayjobs` ends jobs that only the database still has"
                raise AccountingError(f"{error} — {hint}") from error
            time.sleep(2)
        else:
            return


def differences(found: State, wanted: State) -> dict[str, str]:
    """Return in words what differs of each QoS and account that is declared, or that this module made."""
    said = {}
    for kind, has, asked in (("qos", found.qos, wanted.qos), ("account", found.accounts, wanted.accounts)):
        for name in sorted({*asked, *(name for name in has if f"{kind} {name}" in found.ours)}):
            if name not in has or name not in asked:
                said[f"accounting {kind} {name}"] = "missing" if name in asked else "is here, and no longer declared"
                continue
            before, after = asdict(has[name]), asdict(asked[name])
            words = [
                f"{key} {_value(before[key])} instead of {_value(after[key])}"
                for key in before
                if before[key] != after[key]
            ]
            if words:
                said[f"accounting {kind} {name}"] = "; ".join(words)
    return said


def _value(value: str | list[str]) -> str:
    return (value if isinstance(value, str) else ", ".join(value)) or "none"


def shown(state: State, beside: State) -> str:
    """Return the state for a diff: only what is declared in it or `beside`, or was made by this module."""
    names = {f"qos {name}" for name in beside.qos} | {f"account {name}" for name in beside.accounts}
    names |= state.ours | {f"qos {name}" for name in state.qos if name in beside.qos}
    data = {f"qos {name}": asdict(qos) for name, qos in state.qos.items()}
    data |= {f"account {name}": asdict(account) for name, account in state.accounts.items()}
    kept: dict[str, Any] = {name: data[name] for name in sorted(data) if name in names}
    if state.jobs:
        kept["jobs of those who leave"] = state.jobs
    return json.dumps(kept, indent=1) + "\n"


def apply(words: list[str], gone: dict[str, list[str]]) -> None:
    """Do one of the commands.

    Raises:
        AccountingError: it cannot be done; says why.
    """
    if words[0] == "scancel":
        cancel(gone)
    elif words[0] == "delete":
        delete(words)
    else:
        sacctmgr("--immediate", *words)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "default_qos": {"type": "str", "required": True},
            "qos": {"type": "dict", "required": True},
            "accounts": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    cluster = module.params["cluster"]
    wanted = declared(module.params)
    done: list[list[str]] = []
    try:
        try:
            found = current(cluster)
        except AccountingError:
            if not module.check_mode:
                raise
            found = State()
        gone = leavers(found, wanted)
        try:
            found.jobs = active(gone)
        except AccountingError:
            if not module.check_mode:
                raise
        todo = commands(cluster, found, wanted)
        for words in todo:
            if not module.check_mode:
                apply(words, gone)
            done.append(words)
    except AccountingError as error:
        module.fail_json(msg=str(error), commands=[" ".join(words) for words in done])
    difference = {"before": shown(found, wanted), "after": shown(wanted, wanted)} if todo else {}
    module.exit_json(changed=bool(todo), commands=[" ".join(words) for words in todo], diff=difference)


if __name__ == "__main__":
    main()
