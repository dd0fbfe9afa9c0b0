"""A stack's settings for the policies: `policies/config/<stack>.json`, checked against the rules there are.

    {"rules": {"<rule id>": {"severity": "off", "because": "why this is right here", "<setting>": 5}}}

Unknown rules, unknown settings and other types are refused. A severity below the rule's own needs a `because`, and so
does a setting that is not the rule's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args

from policies.facts import Approval
from policies.rule import Rule, Severity

FOLDER: Final = Path(__file__).parent / "config"
APPROVALS: Final = Path(__file__).parent / "approvals"
_ORDER: Final = ("off", "advisory", "mandatory")


class ConfigError(ValueError):
    """A settings file says something that no rule understands. Says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that a stack has otherwise than a rule's own: its `severity`, or a setting by its name; and why."""

    rule: str
    what: str
    default: Any
    configured: Any
    because: str

    @property
    def off(self) -> bool:
        """Whether it switches the rule off."""
        return self.what == "severity" and self.configured == "off"

    def data(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Config:
    """Severities, settings and reasons by rule; what is not named is the rule's own."""

    severities: Mapping[str, Severity] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def severity(self, rule: Rule) -> Severity:
        """The rule's severity in this stack."""
        return self.severities.get(rule.id, rule.severity)

    def of(self, rule: Rule) -> Mapping[str, Any]:
        """The rule's settings in this stack, all of them."""
        return {**rule.settings, **self.settings.get(rule.id, {})}

    def differences(self, rules: Iterable[Rule]) -> tuple[Difference, ...]:
        """Everything that is otherwise than these rules' own, in their order; of a rule its severity first."""
        return tuple(
            Difference(rule=rule.id, what=what, default=default, configured=here, because=self.reasons.get(rule.id, ""))
            for rule in rules
            for what, default, here in (
                ("severity", rule.severity, self.severity(rule)),
                *((name, rule.settings[name], value) for name, value in sorted(self.settings.get(rule.id, {}).items())),
            )
            if here != default
        )


def load(stack: str, rules: tuple[Rule, ...], folder: Path = FOLDER) -> Config:
    """Return a stack's settings; the rules' own where it has no file.

    Raises:
        ConfigError: with what is wrong.
    """
    path = folder / f"{stack}.json"
    return read(_json(path), rules, path.name) if path.is_file() else Config()


def read(data: Any, rules: tuple[Rule, ...], name: str) -> Config:
    """Return the settings that plain data describes; `name` is what errors call it."""
    if not isinstance(data, dict) or set(data) - {"rules"} or not isinstance(data.get("rules", {}), dict):
        raise ConfigError(f'{name}: not of the form {{"rules": {{…}}}} — see docs/policies.md')
    known = {rule.id: rule for rule in rules}
    severities: dict[str, Severity] = {}
    reasons: dict[str, str] = {}
    settings: dict[str, Mapping[str, Any]] = {}
    for rule_id, found in data.get("rules", {}).items():
        if rule_id not in known:
            raise ConfigError(f"{name}: there is no rule {rule_id!r} — `docs/policies.md` lists them")
        if not isinstance(found, dict):
            raise ConfigError(f"{name}: {rule_id} is no map — write {{…}}")
        own = dict(found)
        where, rule = f"{name}: {rule_id}", known[rule_id]
        severity, because = own.pop("severity", None), own.pop("because", None)
        if because is not None and not _said(because):
            raise ConfigError(f"{where}: because is {because!r} — say why, in one line")
        if severity is not None:
            severities[rule_id] = _severity(where, severity, rule, why=because is not None)
        settings[rule_id] = MappingProxyType(_settings(where, own, rule, why=because is not None))
        reasons[rule_id] = because or ""
    return Config(severities, reasons, settings)


def _severity(where: str, severity: Any, rule: Rule, *, why: bool) -> Severity:
    if severity not in get_args(Severity):
        raise ConfigError(f"{where}: severity {severity!r} — one of {', '.join(_ORDER)}")
    if _ORDER.index(severity) < _ORDER.index(rule.severity) and not why:
        raise ConfigError(f"{where}: {severity} is less than {rule.severity} — say why in `because`")
    lowered: Severity = severity
    return lowered


def _settings(where: str, own: dict[str, Any], rule: Rule, *, why: bool) -> dict[str, Any]:
    for key, value in own.items():
        if key not in rule.settings:
            there = ", ".join(rule.settings) or "none"
            raise ConfigError(f"{where}: there is no setting {key!r} — there are: {there}")
        default = rule.settings[key]
        if type(value) is not type(default):
            raise ConfigError(f"{where}: {key} is {value!r} — write one like {default!r}")
        if value != default and not why:
            raise ConfigError(f"{where}: {key} is {value!r} and not {default!r} — say why in `because`")
    return own


def approvals(stack: str, folder: Path = APPROVALS) -> tuple[Approval, ...]:
    """Return the approvals that are written down for a stack: a list of `{"change", "by", "why"}`.

    Raises:
        ConfigError: one of them lacks its change, its name or its reason.
    """
    path = folder / f"{stack}.json"
    if not path.is_file():
        return ()
    data = _json(path)
    if not isinstance(data, list):
        raise ConfigError(f"{path.name}: no list — write [{{…}}]")
    return tuple(_approval(entry, path.name) for entry in data)


def _approval(entry: Any, name: str) -> Approval:
    words = entry if isinstance(entry, dict) else {}
    if set(words) != {"change", "by", "why"} or not all(_said(word) for word in words.values()):
        raise ConfigError(f"{name}: {entry!r} — an approval has `change`, `by` and `why`, each one line and not empty")
    return Approval(**words)


def _said(word: Any) -> bool:
    """Whether somebody said something, in one line: nothing that a terminal or a comment would show as more."""
    return isinstance(word, str) and bool(word.strip()) and word.isprintable()


def _json(path: Path) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ConfigError(f"{path.name}: a key is there twice — keep one")
        return found

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path.name}:{error.lineno}: no JSON ({error.msg}) — mend it") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: no UTF-8 ({error.reason}) — mend it") from None
