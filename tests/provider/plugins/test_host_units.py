"""Units: what is done in which order, with a double of systemctl that keeps a table of units."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType

import pytest


class SystemctlDouble:
    """Answers `systemctl show` from a table and changes the table for other verbs."""

    def __init__(self, **units: dict[str, str]) -> None:
        self.units = {name.replace("_", "-"): unit for name, unit in units.items()}
        self.calls: list[str] = []

    def __call__(self, *words: str) -> str:
        verb, names = words[0], list(words[words.index("--") + 1 :]) if "--" in words else []
        if verb == "show":
            return "\n\n".join(self._show(name) for name in names)
        self.calls.append(" ".join([verb, *names]))
        for name in names:
            unit = self.units.setdefault(name, {})
            if verb in ("start", "restart"):
                unit.update(ActiveState="active", LoadState="loaded")
            if verb == "stop":
                unit["ActiveState"] = "inactive"
            if verb in ("enable", "disable"):
                unit["UnitFileState"] = f"{verb}d"
        return ""

    def _show(self, name: str) -> str:
        unit = {"LoadState": "loaded" if name in self.units else "not-found", "ActiveState": "inactive"}
        return "".join(f"{key}={value}\n" for key, value in (unit | self.units.get(name, {})).items()).strip()


RUNNING = {"ActiveState": "active", "UnitFileState": "enabled"}


def install(module: ModuleType, double: SystemctlDouble, monkeypatch: pytest.MonkeyPatch) -> SystemctlDouble:
    monkeypatch.setattr(module, "systemctl", double)
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(module, "_journal", lambda name: "journal")
    return double


def test_units_are_enabled_and_started_together(host_units: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    double = install(host_units, SystemctlDouble(munge={}, slurmd={}), monkeypatch)
    host_units.apply({"slurmd": {}, "munge": {}}, set(), absent=False, check=False)
    assert double.calls == ["enable munge slurmd", "start munge slurmd"]


def test_a_second_run_does_nothing(host_units: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    double = install(host_units, SystemctlDouble(munge=dict(RUNNING)), monkeypatch)
    assert host_units.apply({"munge": {"restart_on": ["/etc/munge/munge.key"]}}, set(), absent=False, check=False) == []
    assert double.calls == []


def test_check_mode_on_a_virgin_host_says_what_it_would_do(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = install(host_units, SystemctlDouble(), monkeypatch)
    assert host_units.apply({"slurmd": {}}, set(), absent=False, check=True) == ["enable slurmd", "start slurmd"]
    assert double.calls == []


def test_a_unit_that_is_not_there_is_an_error_when_applied(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(host_units, SystemctlDouble(), monkeypatch)
    with pytest.raises(host_units.UnitError, match="no such unit on this host: slurmd"):
        host_units.apply({"slurmd": {}}, set(), absent=False, check=False)


@pytest.mark.parametrize(("setting", "verb"), [("restart_on", "restart"), ("reload_on", "reload")])
def test_only_units_that_name_a_changed_file_are_touched(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch, setting: str, verb: str
) -> None:
    double = install(host_units, SystemctlDouble(a=dict(RUNNING), b=dict(RUNNING)), monkeypatch)
    units = {"a": {setting: ["/etc/a"]}, "b": {setting: ["/etc/b"]}}
    host_units.apply(units, {"/etc/a"}, absent=False, check=False)
    assert double.calls == [f"{verb} a"]


def test_a_file_younger_than_the_start_restarts_although_this_run_changed_nothing(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "slurm.conf"
    file.write_text("x")
    start = int((time.monotonic() - 60) * 1e6)
    double = install(
        host_units, SystemctlDouble(a=RUNNING | {"ActiveEnterTimestampMonotonic": str(start)}), monkeypatch
    )
    units = {"a": {"restart_on": [str(file)]}}
    host_units.apply(units, set(), absent=False, check=False)
    os.utime(file, (time.time() - 3600, time.time() - 3600))
    host_units.apply(units, set(), absent=False, check=False)
    assert double.calls == ["restart a"]


def test_a_changed_unit_file_reloads_systemd_first(host_units: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    double = install(host_units, SystemctlDouble(a=dict(RUNNING)), monkeypatch)
    path = "/etc/systemd/system/a.service"
    host_units.apply({"a": {"restart_on": [path]}}, {path}, absent=False, check=False)
    assert double.calls == ["daemon-reload", "restart a"]


def test_a_failed_unit_is_reset_before_it_is_started(host_units: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    double = install(host_units, SystemctlDouble(a={"ActiveState": "failed", "UnitFileState": "enabled"}), monkeypatch)
    host_units.apply({"a": {}}, set(), absent=False, check=False)
    assert double.calls == ["reset-failed a", "start a"]


def test_a_unit_that_dies_at_once_is_reported_with_its_journal(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = install(host_units, SystemctlDouble(a={}), monkeypatch)

    def dies(*words: str) -> str:
        text = SystemctlDouble.__call__(double, *words)
        if words[0] == "start":
            double.units["a"]["ActiveState"] = "failed"
        return text

    monkeypatch.setattr(host_units, "systemctl", dies)
    with pytest.raises(host_units.UnitError, match=r"a is failed .*journal"):
        host_units.apply({"a": {}}, set(), absent=False, check=False)


def test_units_that_shall_not_run_are_stopped_and_disabled(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = install(host_units, SystemctlDouble(a=dict(RUNNING)), monkeypatch)
    host_units.apply({"a": {"enabled": False, "running": False}}, set(), absent=False, check=False)
    assert double.calls == ["disable a", "stop a"]


def test_absent_units_are_stopped_and_missing_ones_are_fine(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = install(host_units, SystemctlDouble(a=dict(RUNNING)), monkeypatch)
    host_units.apply({"a": {}, "gone": {}}, set(), absent=True, check=False)
    assert double.calls == ["stop a", "disable a"]


def test_a_oneshot_that_has_run_well_counts_as_running(host_units: ModuleType) -> None:
    unit = {"Type": "oneshot", "ActiveState": "inactive", "Result": "success", "ExecMainStartTimestampMonotonic": "5"}
    assert host_units.active(unit)
    assert not host_units.active(unit | {"RemainAfterExit": "yes"})
    assert not host_units.active(unit | {"ExecMainStartTimestampMonotonic": "0"})
