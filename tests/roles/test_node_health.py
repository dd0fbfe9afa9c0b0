"""The nodes' health check: what it finds, and when it drains and resumes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from platform_iac.lab.gpus import xid_line
from tests.kinds.scheduler.slurm.specs import TWIN, file, run

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "slurm_node" / "templates" / "node-health"
GOOD = "".join(f"{index}, NVIDIA H100 80GB HBM3, 0, No, 34\n" for index in range(8))

FOLLOWS = "AABBCCDD,10.0.0.1,3,1795000000.1,{},0.1,0.1,0.1,0.1,0.1,0.1,0.1,64.2,Normal\n"
ALONE = "00000000,,0,0.000000000,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, which has just begun."""
    spec = spec_from_loader("node_health", SourceFileLoader("node_health", str(SCRIPT)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def health(fresh: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, on a node where all is well."""
    monkeypatch.setattr(fresh.os.path, "exists", lambda path: True)
    answers(fresh, monkeypatch)
    return fresh


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, Any]:
    """What the plan of the twin expects of `gpu01`, with a log of our own."""
    text = file(run(TWIN, "slurm_node"), "/etc/platform-iac/node-health.json", "gpu01").content
    data: dict[str, Any] = json.loads(text)
    data["xid"]["log"] = str(tmp_path / "xid.log")
    data["filesystems"]["paths"] = ["/"]
    data["filesystems"]["min_free_percent"] = 0
    return data


def answers(module: ModuleType, monkeypatch: pytest.MonkeyPatch, **changed: tuple[int, str] | str) -> None:
    """Make commands answer as on a healthy node; `changed` by command, a text alone means it cannot be asked."""
    usual: dict[str, tuple[int, str] | str] = {
        "nvidia_smi": (0, GOOD),
        "chronyc": (0, FOLLOWS.format("0.000012")),
        "sh": (0, "STATUS: Success (0)\n"),
        **changed,
    }

    def ask(*argv: str, seconds: float | None = None) -> tuple[int, str]:
        found = usual[argv[0].replace("-", "_")]
        if isinstance(found, str):
            raise module.Skip(found)
        return found

    monkeypatch.setattr(module, "ask", ask)


def test_a_healthy_node_has_no_findings(health: ModuleType, expected: dict[str, Any]) -> None:
    assert health.findings(expected) == []


@pytest.mark.parametrize(
    ("said", "finding"),
    [
        (GOOD.replace("3, NVIDIA H100 80GB HBM3, 0", "3, NVIDIA H100 80GB HBM3, 2"), "FAIL gpu: 2 uncorrected ECC"),
        (GOOD.replace("HBM3, 0, No, 34\n7", "HBM3, 0, Yes, 34\n7"), "FAIL gpu: GPU 6 could not remap"),
        (GOOD.replace("34", "99", 1), "ERROR gpu: GPU 0 has 99 degrees"),
        (GOOD.replace("HBM3, 0", "HBM3, [N/A]", 1), "SKIP ecc: GPU 0 counts no ECC errors"),
        (GOOD.splitlines(keepends=True)[0] * 7, "FAIL gpu: 7 of 8 answer as they should"),
        ("", "FAIL gpu: 0 of 8 answer as they should"),
    ],
)
def test_what_nvidia_smi_says_is_judged(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch, said: str, finding: str
) -> None:
    answers(health, monkeypatch, nvidia_smi=(0, said))
    assert " ".join(health.findings(expected)[0]).startswith(finding)


def test_an_nvidia_smi_that_fails_or_hangs_is_a_failure(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(health, monkeypatch, nvidia_smi=(9, "couldn't communicate with the\nNVIDIA driver"))
    assert health.findings(expected) == [
        ("FAIL", "gpu: nvidia-smi says: couldn't communicate with the NVIDIA driver"),
    ]
    answers(health, monkeypatch, nvidia_smi="nvidia-smi does not answer")
    assert health.findings(expected) == [("FAIL", "gpu: nvidia-smi does not answer")]


def test_a_device_that_is_gone_is_named(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health.os.path, "exists", lambda path: path != "/dev/nvidia3")
    assert ("FAIL", "gpu: no device of GPU 3") in health.findings(expected)


@pytest.mark.parametrize(
    ("code", "level", "end"),
    [(79, "FAIL", "reboot the node"), (48, "FAIL", "reboot the node"), (63, "ERROR", "0000:19:00"), (999, "ERROR", "")],
)
def test_xids_ask_for_a_reboot_or_a_look(
    health: ModuleType, expected: dict[str, Any], code: int, level: str, end: str
) -> None:
    from datetime import UTC, datetime

    line = xid_line("gpu01", "00000000:19:00.0", code, datetime(2026, 11, 23, tzinfo=UTC))
    Path(expected["xid"]["log"]).write_text(f"{line}\n{line}\n")
    ((found_level, sentence),) = health.findings(expected)
    assert found_level == level
    assert sentence.startswith(f"xid: {code} on ")
    assert sentence.endswith(end)


def test_a_full_file_system_fails(health: ModuleType, expected: dict[str, Any]) -> None:
    expected["filesystems"]["min_free_percent"] = 101
    assert {level for level, _ in health.findings(expected)} == {"FAIL"}


@pytest.mark.parametrize(
    ("number", "finding"),
    [
        (errno.EIO, ("FAIL", "filesystem: /: Input/output error")),
        (errno.ENOENT, ("SKIP", "filesystem: /: No such file")),
    ],
)
def test_a_file_system_with_errors_fails(
    health: ModuleType,
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    finding: tuple[str, str],
) -> None:
    def statvfs(path: str) -> Any:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(health.os, "statvfs", statvfs)
    ((level, sentence),) = health.findings(expected)
    assert level == finding[0]
    assert sentence.startswith(finding[1])


def test_a_file_system_that_became_read_only_fails(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = list(os.statvfs("/"))
    space[8] |= os.ST_RDONLY
    monkeypatch.setattr(health.os, "statvfs", lambda path: os.statvfs_result((*space, 0)))
    assert health.findings(expected) == [("FAIL", "filesystem: / is read-only")]


def test_a_clock_that_follows_nobody_fails_once_it_had_time_to_find_a_source(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(health, monkeypatch, chronyc=(0, ALONE))
    assert health.findings(expected) == [("FAIL", "clock: chrony follows no source")]
    said = {"tracking": ALONE}

    def ask(*argv: str, seconds: float | None = None) -> tuple[int, str]:
        if "waitsync" in argv:
            said["tracking"] = FOLLOWS.format("0.000012")
        return 0, said["tracking"]

    monkeypatch.setattr(health, "ask", ask)
    assert list(health.clock(expected)) == []


def test_clock_and_munge_are_told_apart(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(health, monkeypatch, chronyc=(0, FOLLOWS.format("-2.5")))
    assert health.findings(expected) == [("FAIL", "clock: 2500 ms wrong")]
    answers(health, monkeypatch, chronyc="chronyc is not installed")
    assert health.findings(expected) == [("SKIP", "clock: chronyc is not installed")]
    answers(health, monkeypatch, sh=(15, "unmunge: Error: Expired credential"))
    assert health.findings(expected) == [("FAIL", "munge: clock skew")]


def test_a_check_that_breaks_is_an_error_and_hides_nothing(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(health, monkeypatch, sh=(1, "no socket"))
    del expected["xid"]
    levels = [level for level, _ in health.findings(expected)]
    assert levels == ["BROKEN", "FAIL"]


FAILED = [("FAIL", "gpu: no device of GPU 3")]
OURS = "node-health: FAIL gpu: no device of GPU 3"
ECC = "node-health: FAIL gpu: 1 uncorrected ECC errors on GPU 2"


@pytest.mark.parametrize(
    ("found", "state", "reason", "words"),
    [
        (FAILED, "IDLE", "", ["state=drain", f"reason={OURS}"]),
        (FAILED, "IDLE+DRAIN", OURS, []),
        (FAILED, "IDLE+DRAIN", "node-health: FAIL clock: 9 s", ["state=drain", f"reason={OURS}"]),
        (FAILED, "IDLE+DRAIN", "ann looks at it", []),
        ([("ERROR", "xid: 63"), ("SKIP", "clock")], "IDLE", "", []),
        ([("ERROR", "xid: 63")], "IDLE+DRAIN", OURS, ["state=resume"]),
        ([], "IDLE+DRAIN", OURS, ["state=resume"]),
        ([("SKIP", "gpu: nvidia-smi does not answer")], "IDLE+DRAIN", OURS, []),
        ([("BROKEN", "gpu: the check broke")], "IDLE+DRAIN", OURS, []),
        ([("SKIP", "clock: no chrony")], "IDLE+DRAIN", OURS, ["state=resume"]),
        ([("SKIP", "ecc: GPU 0 counts no ECC errors")], "IDLE+DRAIN", OURS, ["state=resume"]),
        ([("SKIP", "ecc: GPU 0 counts no ECC errors")], "IDLE+DRAIN", ECC, []),
        ([("BROKEN", "gpu: the check broke")], "IDLE+DRAIN", ECC, []),
        ([("SKIP", "xid: journalctl says: x")], "IDLE+DRAIN", f"{OURS}; xid: 79 on 0000:19:00, reboot the node", []),
        ([("SKIP", "clock: no chrony")], "IDLE+DRAIN", f"{OURS}; munge: so and...", []),
        ([("SKIP", "clock: no chrony")], "IDLE+DRAIN", "node-health: FAIL", []),
        ([], "IDLE+DRAIN", "ann looks at it", []),
        ([], "MIXED+DRAIN", "ann: see node-health: FAIL gpu", []),
        ([], "IDLE", "", []),
    ],
)
def test_only_failures_drain_and_only_our_own_drain_is_taken_back(
    health: ModuleType, found: list[tuple[str, str]], state: str, reason: str, words: list[str]
) -> None:
    assert health.decide(found, state, reason) == words


def test_a_reason_that_is_cut_says_so(health: ModuleType) -> None:
    (_, words) = health.decide([("FAIL", f"gpu: {'x' * 300}")], "IDLE", "")
    assert words.removeprefix("reason=").endswith("xxx...")
    assert len(words.removeprefix("reason=")) == 200


def test_a_command_that_no_signal_ends_is_left_alone(health: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(health.os, "killpg", lambda group, number: signals.append((group, number)))
    began = time.monotonic()
    one = health.Asked("sleep", "5")
    with pytest.raises(health.Skip, match="sleep does not answer"):
        one.answer(began + 0.2)
    assert time.monotonic() - began < 3
    assert signals == [(one.process.pid, signal.SIGKILL)]
    monkeypatch.undo()
    os.killpg(one.process.pid, signal.SIGKILL)
    one.process.wait(10)


def test_all_checks_together_leave_time_to_tell_slurmctld_within_slurmds_minute(fresh: ModuleType) -> None:
    assert fresh.CHECKS_SECONDS + 2 * fresh.SLURM_SECONDS < 60
    assert fresh.ask("echo", "said") == (0, "said\n")
    fresh.END = time.monotonic()
    with pytest.raises(fresh.Skip, match="no time was left for echo"):
        fresh.ask("echo")
    assert fresh.ask("echo", "said", seconds=5) == (0, "said\n")
    with pytest.raises(fresh.Skip, match="no-such-program is not installed"):
        fresh.ask("no-such-program", seconds=5)


def test_a_log_of_the_kernel_that_cannot_be_read_is_told_apart_from_an_empty_one(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected["xid"]["log"] = None
    answers(health, monkeypatch, journalctl=(1, "-- No entries --\n"))
    assert health.findings(expected) == []
    answers(health, monkeypatch, journalctl=(1, "Failed to open journal: Input/output error\n"))
    assert health.findings(expected) == [
        ("SKIP", "xid: journalctl says: Failed to open journal: Input/output error"),
    ]


def test_state_and_reason_are_read_from_slurm(health: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"NodeName=gpu01 State=IDLE+DRAIN ThreadsPerCore=1 Reason={OURS} [root@2026-11-23T13:48:02]\n"
    answers(health, monkeypatch, scontrol=(0, line))
    assert health.node("gpu01") == ("IDLE+DRAIN", OURS)
    answers(health, monkeypatch, scontrol=(1, "Rewound credential"))
    with pytest.raises(health.Skip, match="clock skew with the controller"):
        health.node("gpu01")


def test_storage_that_is_not_mounted_or_does_not_answer_takes_the_node_out(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected["mounts"] = [{"path": "/proc", "types": ["proc"]}, {"path": "/home-of-nobody", "types": ["nfs4"]}]
    assert health.findings(expected) == [("FAIL", "mount: /home-of-nobody is not mounted")]
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0)
    asked = health.Asked
    monkeypatch.setattr(health, "Asked", lambda *argv: asked("sleep", "60"))
    assert ("FAIL", "mount: /proc does not answer") in health.findings(expected)


def test_several_mounts_that_hang_take_no_longer_than_one(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected["mounts"] = [{"path": path, "types": [kind]} for path, kind in (("/proc", "proc"), ("/sys", "sysfs"))]
    asked = health.Asked
    monkeypatch.setattr(health, "Asked", lambda *argv: asked("sleep", "60"))
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.5)
    began = time.monotonic()
    assert [level for level, _ in health.mounts(expected)] == ["FAIL", "FAIL"]
    assert time.monotonic() - began < 0.9


CONFIGURE = SCRIPT.parents[1] / "tasks" / "configure.yml"


@pytest.mark.parametrize(
    ("uid", "groups", "refused"),
    [(0, "root", False), (1000, "ops sudo users", False), (1000, "ops sudoers users", True), (1000, "ops", True)],
)
def test_who_would_be_locked_out_of_the_node_is_told_before(
    tmp_path: Path, uid: int, groups: str, *, refused: bool
) -> None:
    (task,) = (task for task in YAML(typ="safe", pure=True).load(CONFIGURE) if "ansible.builtin.raw" in task)
    who = tmp_path / "id"
    who.write_text(f'#!/bin/sh\ncase "$*" in -u) echo {uid} ;; -un) echo ops ;; "-nG ops") echo {groups} ;; esac\n')
    who.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", task["ansible.builtin.raw"]],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == refused
    assert ("`adduser ops sudo` on this host, or log in as root" in done.stderr) is refused
    assert task["vars"] == {"ansible_become": False}, "asked as the one who logs in"
    names = [one["name"] for one in YAML(typ="safe", pure=True).load(CONFIGURE)]
    assert names.index(task["name"]) < names.index("Let people log in beside their jobs only")
