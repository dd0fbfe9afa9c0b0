"""A stack's settings for the policies: `policies/config/<stack>.json`, checked against the rules there are.

    {"rules": {"<rule id>": {"severity": "off", "because": "why this is right here", "<setting>": 5}}}

Unknown rules, unknown settings and other types are refused; a severity below the rule's own needs a `because`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Config:
    """Severities and settings by rule; what is not named is the rule's own."""

    severities: Mapping[str, Severity] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def severity(self, rule: Rule) -> Severity:
        """The rule's severity in this stack."""
        return self.severities.get(rule.id, rule.severity)

    def of(self, rule: Rule) -> Mapping[str, Any]:
        """The rule's settings in this stack, all of them."""
        return {**rule.settings, **self.settings.get(rule.id, {})}


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
        severity, because = own.pop("severity", None), own.pop("because", "")
        if severity is not None:
            severities[rule_id] = _severity(f"{name}: {rule_id}", severity, because, known[rule_id])
            reasons[rule_id] = because
        settings[rule_id] = MappingProxyType(_settings(f"{name}: {rule_id}", own, known[rule_id]))
    return Config(severities, reasons, settings)


def _severity(where: str, severity: Any, because: Any, rule: Rule) -> Severity:
    if severity not in get_args(Severity):
        raise ConfigError(f"{where}: severity {severity!r} — one of {', '.join(_ORDER)}")
    if _ORDER.index(severity) < _ORDER.index(rule.severity) and not (isinstance(because, str) and because.strip()):
        raise ConfigError(f"{where}: {severity} is less than {rule.severity} — say why in `because`")
    lowered: Severity = severity
    return lowered


def _settings(where: str, own: dict[str, Any], rule: Rule) -> dict[str, Any]:
    for key, value in own.items():
        if key not in rule.settings:
            there = ", ".join(rule.settings) or "none"
            raise ConfigError(f"{where}: there is no setting {key!r} — there are: {there}")
        default = rule.settings[key]
        if type(value) is not type(default):
            raise ConfigError(f"{where}: {key} is {value!r} — write one like {default!r}")
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
        raise ConfigError(f"{name}: {entry!r} — an approval has `change`, `by` and `why`, none of them empty")
    return Approval(**words)


def _said(word: Any) -> bool:
    return isinstance(word, str) and bool(word.strip())


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
