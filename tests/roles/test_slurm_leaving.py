"""The module `slurm_leaving`: no node goes out of slurm.conf while a job is on it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

CONF = """\
# Rendered from the platform's spec.
ClusterName=falcon
NodeName=gpu[029-031],old1 NodeAddr=10.0.0.[1-4] Sockets=2 State=UNKNOWN
NodeName=cpu01 NodeAddr=10.0.1.1 State=UNKNOWN
PartitionName=gpu Nodes=gpu[029-031],old1,cpu01 State=UP
"""
SMALLER = CONF.replace("gpu[029-031],old1", "gpu029")


class EndedError(Exception):
    """How the module ended."""

    def __init__(self, failed: bool, **result: Any) -> None:
        super().__init__(str(result))
        self.failed, self.result = failed, result


class StubHost:
    """Answers as a controller does; `asked` are the programs that were run."""

    def __init__(self, module: ModuleType) -> None:
        self.error = module.LeavingError
        self.active, self.answers = True, True
        self.nodes = "gpu029\ngpu030\ngpu031\nold1\ncpu01\n"
        self.jobs = ""
        self.asked: list[str] = []

    def __call__(self, *argv: str) -> str:
        self.asked.append(argv[0])
        if argv[0] == "systemctl" and not self.active:
            raise self.error("systemctl: inactive")
        if argv[0] in ("sinfo", "squeue") and not self.answers:
            raise self.error(f"{argv[0]}: Unable to contact slurm controller")
        if argv[0] == "scontrol":
            assert argv[1:3] == ("show", "hostlist")
            return {"gpu030,gpu031,old1": "gpu[030-031],old1\n"}.get(argv[3], f"{argv[3]}\n")
        return {"systemctl": "active\n", "sinfo": self.nodes, "squeue": self.jobs}[argv[0]]


@pytest.fixture
def leaving() -> ModuleType:
    return load("slurm_controller/library/slurm_leaving.py")


@pytest.fixture
def host(leaving: ModuleType, monkeypatch: pytest.MonkeyPatch) -> StubHost:
    stub = StubHost(leaving)
    monkeypatch.setattr(leaving, "run", stub)
    return stub


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "slurm.conf"
    path.write_text(CONF)
    return path


def ended(
    leaving: ModuleType, monkeypatch: pytest.MonkeyPatch, path: Path, content: str, *, check: bool = False
) -> EndedError:
    """Run the module's `main`."""

    class Module:
        params = {"file": str(path), "content": content}  # noqa: RUF012
        check_mode = check

        def __init__(self, **_: Any) -> None:
            self.warned: list[str] = []

        def warn(self, text: str) -> None:
            self.warned.append(text)

        def fail_json(self, **result: Any) -> None:
            raise EndedError(True, **result)

        def exit_json(self, **result: Any) -> None:
            raise EndedError(False, warned=self.warned, **result)

    monkeypatch.setattr(leaving, "AnsibleModule", Module)
    with pytest.raises(EndedError) as caught:
        leaving.main()
    return caught.value


@pytest.mark.parametrize(
    ("hostlist", "names"),
    [
        ("gpu01", {"gpu01"}),
        ("gpu[009-011],login1", {"gpu009", "gpu010", "gpu011", "login1"}),
        ("gpu[01-02,07]", {"gpu01", "gpu02", "gpu07"}),
        ("r[1-2]n[01,03]x", {"r1n01x", "r1n03x", "r2n01x", "r2n03x"}),
        ("", set()),
    ],
)
def test_hostlists_are_read_as_slurm_writes_them(leaving: ModuleType, hostlist: str, names: set[str]) -> None:
    assert leaving.expand(hostlist) == names


def test_the_nodes_of_a_file_are_those_it_declares(leaving: ModuleType) -> None:
    assert leaving.declared(CONF) == {"gpu029", "gpu030", "gpu031", "old1", "cpu01"}
    assert leaving.declared("nodename = DEFAULT State=UNKNOWN\n#NodeName=gpu01\n") == set()


def test_a_node_with_a_job_stays_and_one_line_says_whose_it_is_and_what_to_do(
    leaving: ModuleType, host: StubHost, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.jobs = "12|alice|gpu[029-030]\n13_4|bob|gpu031\n14|carol|gpu029\n"
    done = ended(leaving, monkeypatch, conf, SMALLER)
    assert done.failed
    assert done.result["msg"] == (
        "gpu030,gpu031 would leave Slurm with jobs: 12 of alice; 13_4 of bob — "
        "`scontrol update nodename=gpu[030-031],old1 state=drain reason=leaving`, wait until "
        "`squeue --nodelist=gpu[030-031],old1` is empty or `scancel` them, and run again; to keep the nodes, put them "
        "back into the spec. Nothing of Slurm was changed"
    )
    assert conf.read_text() == CONF


def test_many_jobs_of_one_member_are_counted(leaving: ModuleType) -> None:
    jobs = [leaving.Job(str(number), "alice", frozenset({"gpu030"})) for number in range(1, 9)]
    assert leaving.said(jobs) == "1, 2, 3, 4, 5 and 3 more of alice"


def test_idle_nodes_go(leaving: ModuleType, host: StubHost, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.jobs = "14|carol|gpu029\n15|carol|cpu01\n"
    done = ended(leaving, monkeypatch, conf, SMALLER)
    assert not done.failed
    assert done.result["leaving"] == ["gpu030", "gpu031", "old1"]
    assert done.result["changed"] is False


@pytest.mark.parametrize("content", [CONF, CONF.replace("gpu[029-031]", "gpu[029-040]")])
def test_where_no_node_goes_jobs_are_not_asked_for(
    leaving: ModuleType, host: StubHost, conf: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    assert not ended(leaving, monkeypatch, conf, content).failed
    assert "squeue" not in host.asked


def test_a_node_that_only_the_running_slurmctld_still_has_counts(
    leaving: ModuleType, host: StubHost, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed between the file and the restart has left it so."""
    conf.write_text(SMALLER)
    host.jobs = "12|alice|gpu030\n"
    assert "12 of alice" in ended(leaving, monkeypatch, conf, SMALLER).result["msg"]


def test_without_a_controller_there_is_nothing_to_ask(
    leaving: ModuleType, host: StubHost, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.active, host.jobs = False, "12|alice|gpu030\n"
    assert not ended(leaving, monkeypatch, conf, SMALLER).failed
    assert host.asked == ["systemctl"]
    conf.unlink()
    assert not ended(leaving, monkeypatch, conf, SMALLER).failed
    assert host.asked == ["systemctl"]


def test_a_controller_that_runs_and_does_not_answer_lets_no_node_go(
    leaving: ModuleType, host: StubHost, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answers = False
    done = ended(leaving, monkeypatch, conf, SMALLER)
    assert done.failed
    assert "cannot be asked (squeue: Unable to contact slurm controller) — once slurmctld answers" in done.result["msg"]
    assert not ended(leaving, monkeypatch, conf, CONF).failed


def test_a_dry_run_tells_and_does_not_fail(
    leaving: ModuleType, host: StubHost, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.jobs = "12|alice|gpu030\n"
    done = ended(leaving, monkeypatch, conf, SMALLER, check=True)
    assert not done.failed
    (warned,) = done.result["warned"]
    assert "12 of alice" in warned
    assert done.result["diff"]["after"] == f"refused: {warned}\n"


def test_a_command_that_hangs_or_is_not_there_is_a_reason(leaving: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(leaving.LeavingError, match="timed out"):
        leaving.run(sys.executable, "-c", "import time; time.sleep(9)")
    with pytest.raises(leaving.LeavingError, match="no-such-program"):
        leaving.run("no-such-program")
    assert leaving.run("echo", "x") == "x\n"
