"""The module `slurm_accounts`: from what sacctmgr shows to what is run."""

from __future__ import annotations

from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load
from tests.kinds.scheduler.slurm.specs import METAL, run


@pytest.fixture
def module() -> ModuleType:
    return load("plugins/modules/slurm_accounts.py")


@pytest.fixture
def parameters() -> dict[str, Any]:
    return deepcopy(run(METAL, "slurm_controller").host_vars["ctl01"]["accounts"])


def words(module: ModuleType, old: Any, new: Any) -> list[str]:
    return [" ".join(command) for command in module.commands("falcon", old, new)]


def test_an_empty_database_gets_everything_in_an_order_that_works(
    module: ModuleType, parameters: dict[str, Any]
) -> None:
    old = module.State(qos={"normal": module.Qos()})
    assert words(module, old, module.declared(parameters)) == [
        "add cluster falcon",
        "add qos urgent description=platform-iac",
        "modify qos where name=normal set priority=100",
        (
            "modify qos where name=urgent set priority=1000 maxwall=1-12:00:00 maxtresperuser=gres/gpu=16"
            " maxjobsperuser=4 preempt=normal"
        ),
        "add account vision cluster=falcon description=vision organization=platform-iac",
        (
            "modify account where name=vision cluster=falcon set fairshare=30 grptres=gres/gpu=64 qos=normal,urgent"
            " defaultqos=normal"
        ),
        "add user alice account=vision cluster=falcon defaultaccount=vision",
    ]


def test_what_is_declared_already_needs_no_command(module: ModuleType, parameters: dict[str, Any]) -> None:
    assert words(module, module.declared(parameters), module.declared(parameters)) == []


def test_a_limit_that_is_no_longer_declared_is_cleared(module: ModuleType, parameters: dict[str, Any]) -> None:
    old = module.declared(parameters)
    parameters["accounts"]["vision"]["gpus"] = ""
    parameters["qos"]["urgent"] |= {"max_wall": "", "max_jobs_per_user": "", "max_tres_per_user": "gres/gpu=8"}
    assert words(module, old, module.declared(parameters)) == [
        "modify qos where name=urgent set maxwall=-1 maxtresperuser=gres/gpu=8 maxjobsperuser=-1",
        "modify account where name=vision cluster=falcon set grptres=gres/gpu=-1",
    ]


def test_only_what_the_module_made_is_removed(module: ModuleType, parameters: dict[str, Any]) -> None:
    old = module.declared(parameters)
    old.accounts |= {"root": module.Account(users=["root"]), "gone": module.Account(users=["zoe"])}
    old.qos |= {"theirs": module.Qos(), "stale": module.Qos()}
    old.ours = {"account gone", "account vision", "qos stale", "qos urgent"}
    old.accounts["vision"].users = ["alice", "mallory"]
    assert words(module, old, module.declared(parameters)) == [
        "delete user where name=zoe account=gone cluster=falcon",
        "delete user where name=mallory account=vision cluster=falcon",
        "delete account where name=gone cluster=falcon",
        "delete qos where name=stale",
    ]


def test_the_state_is_read_from_what_sacctmgr_shows(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {
        "cluster": "falcon\n",
        "qos": "normal|Normal QOS default|0|||||\nurgent|platform-iac|1000|1-12:00:00|gres/gpu=16||4|normal\n",
        "account": "root|root\nvision|platform-iac\n",
        "assoc": "root||1||normal|\nroot|root|1||normal|\nvision||30|gres/gpu=64|normal,urgent|normal\n"
        "vision|alice|1||normal,urgent|normal\n",
    }
    monkeypatch.setattr(module, "sacctmgr", lambda *argv: shown[argv[3]])
    state = module.current("falcon")
    assert state.ours == {"qos urgent", "account vision"}
    assert state.qos["urgent"] == module.Qos("1000", "1-12:00:00", "gres/gpu=16", "", "4", ["normal"])
    assert state.accounts["vision"] == module.Account("30", "gres/gpu=64", ["normal", "urgent"], "normal", ["alice"])


@pytest.mark.parametrize(
    ("written", "shown"),
    [("36:00:00", "1-12:00:00"), ("7-00:00:00", "7-00:00:00"), ("1:00:00", "01:00:00"), ("", "")],
)
def test_wall_times_are_compared_as_slurm_writes_them(module: ModuleType, written: str, shown: str) -> None:
    assert module.canonical(written) == shown


def test_a_diff_shows_only_what_is_declared_or_ours(module: ModuleType, parameters: dict[str, Any]) -> None:
    old = module.State(accounts={"root": module.Account()}, qos={"theirs": module.Qos(), "normal": module.Qos()})
    text = module.shown(old, module.declared(parameters))
    assert "qos normal" in text
    assert "theirs" not in text
    assert "root" not in text


def test_what_the_database_has_instead_is_told_by_qos_and_account(module: ModuleType) -> None:
    found = module.State(
        cluster=True,
        qos={"normal": module.Qos(priority="7"), "old": module.Qos(), "theirs": module.Qos()},
        accounts={"vision": module.Account(share="60", users=["alice", "mallory"])},
        ours={"qos normal", "qos old", "account vision"},
    )
    wanted = module.State(
        cluster=True,
        qos={"normal": module.Qos(priority="100"), "long": module.Qos()},
        accounts={"vision": module.Account(share="60", users=["alice"], gpus="gres/gpu=8")},
    )
    assert module.differences(found, wanted) == {
        "accounting qos normal": "priority 7 instead of 100",
        "accounting qos long": "missing",
        "accounting qos old": "is here, and no longer declared",
        "accounting account vision": "gpus none instead of gres/gpu=8; users alice, mallory instead of alice",
    }
    assert module.differences(wanted, wanted) == {}


class Slurm:
    """A controller whose jobs end some seconds after scancel, and the words it hears. Time passes by sleeping only."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch, *jobs: str, lasts: int = 3) -> None:
        self.now = 0.0
        self.jobs = {line.split("|")[0]: line for line in jobs}
        self.ends: dict[str, float] = {}
        self.heard: list[str] = []
        self._lasts = lasts
        monkeypatch.setattr(module, "run", self.run)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.time, "sleep", self.sleep)
        monkeypatch.setattr(module, "_is_known", lambda uid: uid < 30000)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self, *argv: str) -> str:
        running = {number: line for number, line in self.jobs.items() if self.ends.get(number, 1e9) > self.now}
        if argv[0] == "squeue":
            wanted = argv[3].removeprefix("--account=").split(",")
            return "".join(f"{line}\n" for line in running.values() if line.split("|")[2] in wanted)
        self.heard.append(" ".join(argv))
        if argv[0] == "scancel":
            self.ends |= dict.fromkeys(argv[2:], self.now + self._lasts)
        return ""


LEAVES = {"vision": ["mallory"]}
JOBS = (
    "5|RUNNING|vision|20009|mallory",
    "6|RUNNING|vision|20001|alice",
    "7|PENDING|vision|20009|mallory",
    "8|RUNNING|language|20009|mallory",
    "9|COMPLETING|vision|20009|mallory",
    "11|RUNNING|vision|30007|nobody",
)


def test_only_jobs_in_the_account_that_is_left_are_cancelled(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = Slurm(module, monkeypatch, *JOBS)
    # The role `base` may have removed the person from this host before: then Slurm knows a number only.
    assert module.active(LEAVES) == {"5": "mallory in vision", "7": "mallory in vision", "11": "uid 30007 in vision"}
    module.cancel(LEAVES)
    assert slurm.heard == ["scancel --quiet 5 7 11"]
    assert slurm.now == 3
    assert module.active({}) == {}


def test_the_user_is_deleted_after_the_jobs_have_ended(
    module: ModuleType, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = module.declared(parameters)
    old.accounts["vision"].users = ["alice", "mallory"]
    gone = module.leavers(old, module.declared(parameters))
    assert gone == LEAVES
    slurm = Slurm(module, monkeypatch, *JOBS)
    old.jobs = module.active(gone)
    todo = module.commands("falcon", old, module.declared(parameters))
    for command in todo:
        module.apply(command, gone)
    assert [" ".join(command) for command in todo] == [
        "scancel 5 7 11",
        "delete user where name=mallory account=vision cluster=falcon",
    ]
    assert slurm.heard == [
        "scancel --quiet 5 7 11",
        "sacctmgr --immediate delete user where name=mallory account=vision cluster=falcon",
    ]
    assert '"5": "mallory in vision"' in module.shown(old, module.declared(parameters))


def test_jobs_that_do_not_end_are_an_error_in_time(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = Slurm(module, monkeypatch, JOBS[0], lasts=10_000)
    with pytest.raises(module.AccountingError, match=r"180 s after scancel: 5 of mallory in vision — `scontrol show"):
        module.cancel(LEAVES)
    assert slurm.now < 2 * module.END_SECONDS


def test_sacctmgr_may_hear_of_the_end_a_little_later(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = Slurm(module, monkeypatch)
    late = [20.0]

    def sacctmgr(*words: str) -> str:
        if slurm.now < late[0]:
            raise module.AccountingError("Error with request: Job(s) active, cancel job(s) before remove")
        return ""

    monkeypatch.setattr(module, "sacctmgr", sacctmgr)
    module.delete(["delete", "user", "where", "name=mallory"])
    assert slurm.now == 20
    late[0] = 1e9
    with pytest.raises(module.AccountingError, match="runawayjobs"):
        module.delete(["delete", "user", "where", "name=mallory"])
