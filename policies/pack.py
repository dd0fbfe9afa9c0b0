"""The rules as Pulumi's policies: two that judge each resource before it is made, two that judge all of them.

One policy per severity and not one per rule: Pulumi decodes a resource's properties anew for every policy, and a role
on a thousand hosts is large. The stack's policies judge the inputs that the resources' policies saw, because Pulumi
gives them outputs, of which a preview knows little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from platform_iac.plan.make import make
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import load
from policies import config, facts
from policies.judge import Verdict, one, whole
from policies.rule import Rule
from policies.rules import all_rules
from policies.target import Stack, Target
from policies.values import UNKNOWN

PLATFORM = "platform:index:Platform"
LEVELS = {"mandatory": EnforcementLevel.MANDATORY, "advisory": EnforcementLevel.ADVISORY}


def policies() -> list[Policy]:
    """Return the pack's policies."""
    pack = _Pack()
    return [policy for severity in LEVELS for policy in pack.of(severity)]


def plain(value: Any) -> Any:
    """Return Pulumi's properties as plain data with `UNKNOWN` where a value is not known yet."""
    if isinstance(value, Mapping):
        return {str(key): _known(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(value, place) for place in range(len(value))]
    return value


def _known(parent: Any, key: Any) -> Any:
    try:
        return plain(parent[key])
    except UnknownValueError:
        return UNKNOWN


class _Pack:
    """One run of the engine: its stack's settings, and every resource that it has shown so far.

    Neither the stack's name nor its configuration reaches a policy pack in Python (the SDK drops ConfigureStack's), so
    the name is taken from a resource's URN and the spec from the input of `platform:index:Platform`, the first of all.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Target] = {}
        self._config: dict[str, config.Config] = {}
        self._facts = facts.Facts(missing="the program declares no platform:index:Platform")

    def of(self, severity: str) -> list[Policy]:
        """Return the two policies of one severity."""

        def each(args: ResourceValidationArgs, report: ReportViolation) -> None:
            target = Target(args.resource_type, args.name, plain(args.props))
            if args.urn not in self._seen and target.type == PLATFORM:
                self._facts = _facts(target.view.text("spec"))
            self._seen[args.urn] = target
            settings = self._settings(args.urn)
            for rule in _of_severity(severity, settings):
                _say(one(rule, target, settings, self._facts), report)

        def all_of_them(args: StackValidationArgs, report: ReportViolation) -> None:
            there = [resource.urn for resource in args.resources]
            if not there:
                return
            stack = Stack(tuple(self._seen[urn] for urn in sorted(there) if urn in self._seen))
            settings = self._settings(there[0])
            for rule in _of_severity(severity, settings):
                _say(whole(rule, stack, settings, self._facts), report)

        level = LEVELS[severity]
        return [
            ResourceValidationPolicy(f"{severity}-resource", f"{severity} rules on one resource", each, level),
            StackValidationPolicy(f"{severity}-stack", f"{severity} rules on the whole stack", all_of_them, level),
        ]

    def _settings(self, urn: str) -> config.Config:
        """The settings of the stack that a URN names: `urn:pulumi:<stack>::<project>::…`."""
        stack = urn.partition("::")[0].rpartition(":")[2]
        if stack not in self._config:
            self._config[stack] = config.load(stack, all_rules())
        return self._config[stack]


def _of_severity(severity: str, settings: config.Config) -> list[Rule]:
    """The rules of one severity. What a change does to hosts is judged with `platform-iac policy --base` alone."""
    return [rule for rule in all_rules() if settings.severity(rule) == severity and rule.subject != "impact"]


def _facts(spec: str) -> facts.Facts:
    try:
        platform = load(spec)
    except SpecError as error:
        return facts.Facts(missing=str(error))  # another program than ours: rules that ask for facts could not judge
    return facts.of(platform, make(platform))


def _say(verdicts: list[Verdict], report: ReportViolation) -> None:
    for verdict in verdicts:
        report(f"{verdict} — {verdict.rule.do}", None)
