"""Units: what is done in which order, with a double of systemctl that keeps a table of units."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType

import pytest


class SystemctlDouble:
    """Answers `systemctl show` from a table and changes the table for other verbs; the unit `a` fails by `fatal`."""

    def __init__(self, fatal: str = "", **units: dict[str, str]) -> None:
        self.fatal = fatal
        self.units = {name.replace("_", "-"): unit for name, unit in units.items()}
        self.told: list[str] = []

    @property
    def calls(self) -> list[str]:
        """What changed a unit's state."""
        return [call for call in self.told if not call.startswith("reset-failed")]

    def __call__(self, *words: str) -> str:
        verb, names = words[0], list(words[words.index("--") + 1 :]) if "--" in words else []
        if verb == "show":
            return "\n\n".join(self._show(name) for name in names)
        self.told.append(" ".join([verb, *names]))
        for name in names:
            unit = self.units.setdefault(name, {})
            if verb in ("start", "restart"):
                unit.update(ActiveState="active", LoadState="loaded")
            if verb == "stop":
                unit["ActiveState"] = "inactive"
            if verb in ("enable", "disable"):
                unit["UnitFileState"] = f"{verb}d"
        if verb == self.fatal:
            self.units["a"]["ActiveState"] = "failed"
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


@pytest.mark.parametrize("state", ["failed", "inactive"])
def test_a_unit_that_was_started_often_is_started_once_more(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """A unit that had to be stopped between its crashes is not failed, and systemd counts its starts all the same."""
    double = install(host_units, SystemctlDouble(a={"ActiveState": state, "UnitFileState": "enabled"}), monkeypatch)
    assert host_units.apply({"a": {}}, set(), absent=False, check=False) == ["start a"]
    assert double.told == ["reset-failed a", "start a"]


def test_a_unit_that_systemd_has_not_loaded_needs_no_forgiveness(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = install(host_units, SystemctlDouble(a={"UnitFileState": "enabled"}), monkeypatch)

    def not_loaded(*words: str) -> str:
        if words[0] == "reset-failed":
            raise host_units.UnitError("Failed to reset failed state of unit a: Unit a not loaded.")
        return double(*words)

    monkeypatch.setattr(host_units, "systemctl", not_loaded)
    assert host_units.apply({"a": {}}, set(), absent=False, check=False) == ["start a"]


def test_a_unit_that_dies_at_once_is_reported_with_its_journal(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(host_units, SystemctlDouble(fatal="start", a={}), monkeypatch)
    with pytest.raises(host_units.UnitError, match=r"a is failed .*journal"):
        host_units.apply({"a": {}}, set(), absent=False, check=False)


@pytest.mark.parametrize(("deaths", "fails"), [(1, False), (2, True)])
def test_a_unit_that_systemd_starts_anew_has_one_chance(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch, deaths: int, fails: bool
) -> None:
    double = install(host_units, SystemctlDouble(a={}), monkeypatch)
    dying = [{"SubState": "auto-restart", "ActiveState": "activating"}] * 2 + [RUNNING | {"SubState": "running"}]
    looks = iter(dying * deaths)

    def lives(*words: str) -> str:
        if words[0] == "show" and "start a" in double.told:
            double.units["a"] |= next(looks, double.units["a"])
        return double(*words)

    monkeypatch.setattr(host_units, "systemctl", lives)
    if not fails:
        host_units.apply({"a": {}}, set(), absent=False, check=False)
        return
    with pytest.raises(host_units.UnitError, match="a is activating"):
        host_units.apply({"a": {}}, set(), absent=False, check=False)


def test_a_unit_that_waits_long_for_its_restart_is_reported(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = {"SubState": "auto-restart", "ActiveState": "activating"}
    double = install(host_units, SystemctlDouble(a={}), monkeypatch)
    monkeypatch.setattr(host_units, "RESTART_SECONDS", 0.05)

    def dies(*words: str) -> str:
        double.units["a"] |= dead if "start a" in double.told else {}
        return double(*words)

    monkeypatch.setattr(host_units, "systemctl", dies)
    with pytest.raises(host_units.UnitError, match=r"a is activating .*journal"):
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


@pytest.mark.parametrize("before", ["active", "failed"])
def test_systemd_keeps_no_word_of_an_absent_unit_that_failed(
    host_units: ModuleType, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """One that had to be killed as it stopped has failed only then."""
    units = {"a": {"ActiveState": before}, "b": dict(RUNNING)}
    double = install(host_units, SystemctlDouble(fatal="stop", **units), monkeypatch)
    host_units.apply({"a": {}, "b": {}}, set(), absent=True, check=False)
    assert double.told[-1] == "reset-failed a"


def test_a_rehearsal_forgets_nothing(host_units: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    double = install(host_units, SystemctlDouble(a={"ActiveState": "failed"}), monkeypatch)
    host_units.apply({"a": {}}, set(), absent=True, check=True)
    assert double.told == []


def test_a_oneshot_that_has_run_well_counts_as_running(host_units: ModuleType) -> None:
    unit = {"Type": "oneshot", "ActiveState": "inactive", "Result": "success", "ExecMainStartTimestampMonotonic": "5"}
    assert host_units.active(unit)
    assert not host_units.active(unit | {"RemainAfterExit": "yes"})
    assert not host_units.active(unit | {"ExecMainStartTimestampMonotonic": "0"})
