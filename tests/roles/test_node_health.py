"""The nodes' health check: what it finds, and when it drains and resumes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from platform_iac.lab.gpus import xid_line
from tests.kinds.scheduler.slurm.specs import TWIN, file, run

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "slurm_node" / "templates" / "node-health"
GOOD = "".join(f"{index}, NVIDIA H100 80GB HBM3, 0, No, 34\n" for index in range(8))

Answer = Callable[..., tuple[int, str]]


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, on a node where all is well."""
    spec = spec_from_loader("node_health", SourceFileLoader("node_health", str(SCRIPT)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.os.path, "exists", lambda path: True)
    answers(module, monkeypatch)
    return module


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
        "chronyc": (0, "AABBCCDD,10.0.0.1,3,1795000000.1,0.000012,0.1,0.1\n"),
        "sh": (0, "STATUS: Success (0)\n"),
        **changed,
    }

    def ask(*argv: str) -> tuple[int, str]:
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
        (GOOD.replace("HBM3, 0", "HBM3, [N/A]", 1), "SKIP gpu: GPU 0 counts no ECC errors"),
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
    [(79, "FAIL", "reboot the node"), (48, "FAIL", "reset the GPU"), (63, "ERROR", "0000:19:00"), (999, "ERROR", "")],
)
def test_xids_ask_for_a_reboot_a_reset_or_a_look(
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


def test_clock_and_munge_are_told_apart(
    health: ModuleType, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(health, monkeypatch, chronyc=(0, "AABBCCDD,10.0.0.1,3,1795000000.1,-2.5,0.1,0.1\n"))
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
    assert levels == ["ERROR", "FAIL"]


FAILED = [("FAIL", "gpu: no device of GPU 3")]
OURS = "node-health: FAIL gpu: no device of GPU 3"


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
        ([], "IDLE+DRAIN", "ann looks at it", []),
        ([], "MIXED+DRAIN", "ann: see node-health: FAIL gpu", []),
        ([], "IDLE", "", []),
    ],
)
def test_only_failures_drain_and_only_our_own_drain_is_taken_back(
    health: ModuleType, found: list[tuple[str, str]], state: str, reason: str, words: list[str]
) -> None:
    assert health.decide(found, state, reason) == words


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
    answers(health, monkeypatch, stat=(0, ""))
    assert health.findings(expected) == [("FAIL", "mount: /home-of-nobody is not mounted")]
    answers(health, monkeypatch, stat="stat does not answer")
    assert ("FAIL", "mount: /proc does not answer") in health.findings(expected)
