"""Ansible's job events, told as the fate of each host and as lines for the engine's log."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from platform_iac.provider.handlers import Severity

REASON_LENGTH = 1500
DIFF_LINES = 400


@dataclass(slots=True)
class Outcome:
    """What became of one host. `reason` is empty when all is well."""

    changed: int = 0
    reason: str = ""
    unreachable: bool = False
    finished: bool = False


@dataclass(slots=True)
class Reporter:
    """Takes events as they come. Secrets are replaced by their placeholders in everything it says.

    `former` are those that the hosts may still have from the run before.
    """

    log: Callable[[Severity, str], None]
    secrets: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)
    show_diffs: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _task: str = ""
    _changed: list[str] = field(default_factory=list)
    _diffs: dict[str, list[str]] = field(default_factory=dict)
    _last_failure: dict[str, str] = field(default_factory=dict)

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event; kinds that say nothing new are passed over."""
        data = event.get("event_data") or {}
        act = getattr(self, f"_{event.get('event', '')}", None)
        if act is not None:
            act(data)

    def redact(self, text: str) -> str:
        """Return `text` without a secret."""
        for name, value in (*self.secrets.items(), *self.former.items()):
            if value:
                text = text.replace(value, f"@@secret/{name}@@")
        return text

    def close(self) -> None:
        """Say what is left to say about the last task."""
        if self._changed:
            self.log("info", f"changed on {_few(self._changed)}: {self._task}")
        for text, hosts in self._diffs.items():
            self.log("info" if self.show_diffs else "debug", f"{_few(hosts)}: {self._task}\n{text}")
        self._changed = []
        self._diffs = {}

    def _playbook_on_task_start(self, data: Mapping[str, Any]) -> None:
        self.close()
        self._task = str(data.get("name") or data.get("task") or "").rpartition(" : ")[2]
        self.log("status", self._task)

    def _runner_on_ok(self, data: Mapping[str, Any]) -> None:
        host, result = str(data.get("host")), data.get("res") or {}
        if result.get("changed"):
            self._outcome(host).changed += 1
            self._changed.append(host)
        for text in diffs(result):
            self._diffs.setdefault(self.redact(text), []).append(host)

    def _runner_on_failed(self, data: Mapping[str, Any]) -> None:
        host, result = str(data.get("host")), data.get("res") or {}
        if data.get("ignore_errors"):
            return
        self._last_failure[host] = self.redact(f"{self._task}: {reason(result)}")[:REASON_LENGTH]

    def _runner_on_unreachable(self, data: Mapping[str, Any]) -> None:
        host, result = str(data.get("host")), data.get("res") or {}
        outcome = self._outcome(host)
        outcome.unreachable = True
        outcome.reason = self.redact(f"unreachable: {reason(result)}")[:REASON_LENGTH]

    def _playbook_on_stats(self, data: Mapping[str, Any]) -> None:
        self.close()
        failed = data.get("failures") or {}
        for host in data.get("processed") or {}:
            outcome = self._outcome(host)
            outcome.finished = True
            if failed.get(host):
                outcome.reason = self._last_failure.get(host, "failed")

    def _outcome(self, host: str) -> Outcome:
        return self.outcomes.setdefault(host, Outcome())


def reason(result: Mapping[str, Any]) -> str:
    """Return why a task failed: its message, what the command said, or that of the items of a loop."""
    parts = [str(result.get("msg") or result.get("reason") or "").strip()]
    parts += [str(result.get(name) or "").strip()[-600:] for name in ("stderr", "module_stderr")]
    if parts[0] == "non-zero return code" and any(parts[1:]):
        del parts[0]  # which says nothing beside what the command said
    if not any(parts[-2:]):
        parts.append(str(result.get("stdout") or result.get("module_stdout") or "").strip()[-600:])
    items = [item for item in result.get("results") or [] if isinstance(item, dict) and item.get("failed")]
    parts += [f"{item.get('item', '')}: {reason(item)}" for item in items[:3]]
    lines = (line.strip("@ ") for part in dict.fromkeys(filter(None, parts)) for line in [*part.splitlines(), "—"])
    return " ".join(filter(None, lines)).removesuffix("—").strip() or "no reason was given"


def diffs(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield unified diffs from one task's result, loops included; a module without its own says nothing."""
    for item in [result, *(item for item in result.get("results") or [] if isinstance(item, dict))]:
        found = item.get("diff") or []
        for part in [found] if isinstance(found, dict) else found:
            text = part.get("prepared") or _unified(part)
            if text:
                yield text


def _unified(part: Mapping[str, Any]) -> str:
    before, after = _lines(part.get("before")), _lines(part.get("after"))
    names = str(part.get("before_header") or "before"), str(part.get("after_header") or "after")
    lines: Iterable[str] = difflib.unified_diff(before, after, *names, n=2, lineterm="")
    return "\n".join(list(lines)[:DIFF_LINES])


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return value.splitlines()
    if isinstance(value, Mapping):
        return [f"{key}: {item}" for key, item in sorted(value.items())]
    return [str(value)]


def _few(hosts: list[str]) -> str:
    names = sorted(set(hosts))
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
