"""A stack's settings are understood wholly or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from platform_iac.spec.load import stacks
from policies import config
from policies.rules import all_rules

RULES = all_rules()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "not of the form"),
        ({"rule": {}}, "not of the form"),
        ({"rules": {"slurm-headrom": {}}}, "there is no rule 'slurm-headrom'"),
        ({"rules": {"slurm-headroom": None}}, "slurm-headroom is no map"),
        ({"rules": {"slurm-headroom": {"percents": 1}}}, "no setting 'percents' — there are: percent"),
        ({"rules": {"slurm-headroom": {"percent": "2"}}}, "percent is '2' — write one like 2"),
        ({"rules": {"slurm-headroom": {"percent": True}}}, "percent is True"),
        ({"rules": {"slurm-headroom": {"severity": "none"}}}, "severity 'none' — one of"),
        ({"rules": {"slurm-headroom": {"severity": "off"}}}, "off is less than mandatory — say why"),
        ({"rules": {"slurm-headroom": {"severity": "advisory", "because": " "}}}, "say why"),
        ({"rules": {"slurm-headroom": {"severity": "advisory", "because": 1}}}, "say why"),
        ({"rules": {"slurm-headroom": {"percent": 1, "because": "two\nlines"}}}, "say why, in one line"),
        ({"rules": {"slurm-headroom": {"percent": -1000}}}, "percent is -1000 and not 2 — say why"),
        ({"rules": {"aws-tags": {"tags": []}}}, "say why in `because`"),
    ],
)
def test_what_no_rule_understands_is_refused(data: Any, says: str) -> None:
    with pytest.raises(config.ConfigError, match=says):
        config.read(data, RULES, "x.json")


def test_a_rule_can_be_set_lowered_with_a_reason_and_raised_without() -> None:
    data = {
        "rules": {
            "slurm-headroom": {"percent": 9, "severity": "off", "because": "it is a toy"},
            "slurm-munge-age": {"severity": "mandatory"},
        }
    }
    found = config.read(data, RULES, "x.json")
    by_id = {rule.id: rule for rule in RULES}
    assert found.of(by_id["slurm-headroom"]) == {"percent": 9}
    assert found.severity(by_id["slurm-headroom"]) == "off"
    assert found.severity(by_id["slurm-munge-age"]) == "mandatory"
    assert found.severity(by_id["slurm-user"]) == "mandatory"


def test_what_is_not_the_rules_own_is_told_with_its_reason() -> None:
    data = {
        "rules": {
            "slurm-munge-age": {"severity": "mandatory", "days": 365},
            "slurm-headroom": {"percent": 9, "severity": "off", "because": "it is a toy"},
        }
    }
    found = config.read(data, RULES, "x.json").differences(RULES)
    assert [(each.rule, each.what, each.default, each.configured, each.because, each.off) for each in found] == [
        ("slurm-headroom", "severity", "mandatory", "off", "it is a toy", True),
        ("slurm-headroom", "percent", 2, 9, "it is a toy", False),
        ("slurm-munge-age", "severity", "advisory", "mandatory", "", False),
    ]
    assert config.Config().differences(RULES) == ()


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_bytes(b"\xff{}")
    with pytest.raises(config.ConfigError, match="no UTF-8"):
        config.load("lab", RULES, tmp_path)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text('{"rules": {}, "rules": {"slurm-user": {"severity": "off", "because": "x"}}}')
    with pytest.raises(config.ConfigError, match="a key is there twice"):
        config.load("lab", RULES, tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"change": "a", "by": "b"},
        {"change": "a", "by": " ", "why": "c"},
        {"change": "a", "by": "b", "why": "c", "x": 1},
        {"change": "a", "by": "b", "why": "c\nd"},
    ],
)
def test_an_approval_names_its_change_who_and_why(tmp_path: Path, entry: dict[str, Any]) -> None:
    (tmp_path / "lab.json").write_text(json.dumps([entry]))
    with pytest.raises(config.ConfigError, match="an approval has `change`, `by` and `why`"):
        config.approvals("lab", tmp_path)


def test_every_settings_file_is_of_a_stack_and_is_understood() -> None:
    for path in config.FOLDER.glob("*.json"):
        assert path.stem in stacks(), path
        config.load(path.stem, RULES)
