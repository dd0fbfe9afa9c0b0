"""`platform:ansible:Role`: one Ansible role on a group of hosts, with a record for each host.

Outputs beside the inputs, all by host: `applied` (digest of what is done there), `failed` (why it is
not), `drift` (what a refresh found), `leftovers` (what is still to be removed there). Besides, `begun` has the
inputs of a run that died in the middle.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from platform_iac.provider import arguments, diff, locks, sites, stale, wanted
from platform_iac.provider.diff import entry
from platform_iac.provider.drift import mend
from platform_iac.provider.handlers import Change, Context, Diff, Failure, HandlerError, PartialFailure, Values
from platform_iac.provider.runner import owner
from platform_iac.provider.runner.play import Job
from platform_iac.provider.values import Unknown, known

RECORDS = ("applied", "failed", "drift", "leftovers", "begun")
WHOLE = frozenset({"role", "digest", "packages", "sshConfig", "secrets", "platform"})


class Role:
    """See the module."""

    token = "platform:ansible:Role"  # noqa: S105
    secret_outputs = frozenset({"secrets"})

    def check(self, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Judge the inputs by the role's argument spec; inputs that passed before are not judged again."""
        inputs = {name: value for name, value in news.items() if name not in RECORDS}
        return inputs, [] if olds == inputs else [*_of_another_site(olds, inputs), *arguments.check(inputs)]

    def diff(self, id: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Name inputs that differ, and hosts whose record says that something is to be done."""
        changes = diff.inputs(old_inputs, news, whole=WHOLE)
        for record in ("failed", "leftovers"):
            for host in old_outputs.get(record) or {}:
                changes[entry(record, host)] = Change("delete", recorded=True)
        for host, things in (old_outputs.get("drift") or {}).items():
            for thing in things:
                changes[entry(entry("drift", host), thing)] = Change("delete", recorded=True)
        if not changes:
            applied = old_outputs.get("applied") or {}
            for host, digest in wanted.digests(news, salt=id).items():
                if applied.get(host) != digest:
                    changes[entry("applied", host)] = Change("update", recorded=True)
        return Diff(changes, ("role",) if "role" in changes else ())

    def create(self, inputs: Values, ctx: Context) -> tuple[str, Values]:
        """Run the role on every host."""
        id = "" if ctx.preview else uuid.uuid4().hex
        outputs = self._converge(id, {}, {}, inputs, ctx)
        return id, outputs

    def update(self, id: str, old_inputs: Values, old_outputs: Values, news: Values, ctx: Context) -> Values:
        """Run the role on the hosts that differ, and its teardown on those that are no longer wanted."""
        return self._converge(id, old_inputs, old_outputs, news, ctx)

    def read(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> tuple[Values, Values]:
        """Ask every host once what it has; what differs becomes `drift`. One that failed keeps what was found there."""
        del id
        from platform_iac.provider.drift import scan

        asked = [host for host in wanted.hosts(inputs) if host in (outputs.get("applied") or {})]
        found = scan.scan(inputs, asked, ctx.cancelled)
        for host, things in sorted(found.items()):
            for thing, sentence in things.items():
                ctx.log("warning", f"{host}: {thing}: {sentence}")
        failed = outputs.get("failed") or {}
        kept = {host: things for host, things in (outputs.get("drift") or {}).items() if host in failed}
        return inputs, {**outputs, "drift": kept | found}

    def delete(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> None:
        """Run the role's teardown on every host that has something of it."""
        del id
        hosts = [
            host
            for host in wanted.hosts(inputs)
            if host in (outputs.get("applied") or {}) or host in (outputs.get("failed") or {})
        ]
        reasons = _torn_down(Job(inputs, tuple(hosts), teardown=True, whole=True), ctx)
        for leaver, left in stale.owed(inputs, outputs).items():
            if left.get("teardown"):
                reasons |= _torn_down(replace(stale.teardown_of(left, leaver, inputs), whole=True), ctx)
        if reasons := _forgiven(reasons, ctx):
            raise HandlerError("; ".join(f"{host}: {reason}" for host, reason in sorted(reasons.items())))

    def _converge(self, id: str, old_inputs: Values, olds: Values, news: Values, ctx: Context) -> Values:
        digests = wanted.digests(news, salt=id)
        applied = {host: digest for host, digest in (olds.get("applied") or {}).items() if host in digests}
        behind = tuple(sorted(host for host in digests if _behind(host, digests, olds)))
        leftovers = stale.find(old_inputs, olds, news)
        former = dict(olds.get("secrets") or {})
        if ctx.preview:
            _rehearse(Job(news, behind, check=True, former=former), ctx)
            done = {host: digests[host] for host in digests} if known(news) else {**applied}
            return {**news, "applied": done, "failed": {}, "drift": {}, "leftovers": {}}
        failed: dict[str, str] = {}
        remaining: dict[str, Any] = {}
        for host, left in leftovers.items():
            if left.get("teardown") and (
                reasons := _forgiven(_torn_down(replace(stale.teardown_of(left, host, news), former=former), ctx), ctx)
            ):
                failed |= reasons
                remaining[host] = left
        here = {host: left for host, left in leftovers.items() if host in behind and not left.get("teardown")}
        again = {host: units for host in behind if (units := mend.units(olds, news, host))}
        left_here = {host: stale.for_play(left) for host, left in here.items()}
        job = Job(news, behind, stale=left_here, again=again, former=former)
        reasons = {host: _hinted(host, reason) for host, reason in _run(job, ctx).items()}
        failed |= reasons
        remaining |= {host: left for host, left in here.items() if host in reasons}
        applied |= {host: digests[host] for host in behind if host not in reasons}
        for host in reasons:
            applied.pop(host, None)
        drift = {host: things for host, things in (olds.get("drift") or {}).items() if host in reasons}
        outputs = {**news, "applied": applied, "failed": failed, "drift": drift, "leftovers": remaining}
        if failed:
            raise PartialFailure(id, outputs, [f"{host}: {reason}" for host, reason in sorted(failed.items())])
        return outputs


def _of_another_site(olds: Values, inputs: Values) -> list[Failure]:
    why = sites.usurped(olds.get("site"), wanted.hosts(olds), inputs.get("site"), wanted.hosts(inputs))
    return [Failure("site", why)] if why else []


def _behind(host: str, digests: Mapping[str, str], olds: Mapping[str, Any]) -> bool:
    done = (olds.get("applied") or {}).get(host) == digests[host]
    return not done or any(host in (olds.get(record) or {}) for record in ("failed", "drift", "leftovers"))


def _run(job: Job, ctx: Context) -> dict[str, str]:
    """Run the job under the locks of its hosts and return why some failed, by host."""
    if not job.hosts:
        return {}
    from platform_iac.provider.runner import run

    hosts = {name: job.inputs["hosts"][name] for name in job.hosts}
    over = tuple(name.strip() for name in str(ctx.config.get("takeOver", "")).split(",") if name.strip())
    job = replace(job, me=_me(job, ctx), over=over)
    ctx.log("status", "waits for its turn on the hosts")
    try:
        with locks.hold(hosts, ctx.cancelled):
            outcomes = run.run(job, ctx.log, ctx.cancelled)
    except locks.CancelledError as error:
        return dict.fromkeys(job.hosts, str(error))
    return {host: outcome.reason for host, outcome in outcomes.items() if outcome.reason}


def _torn_down(job: Job, ctx: Context) -> dict[str, str]:
    """Run a teardown; on a host that belongs to another platform by now there is nothing of ours."""
    reasons = _run(job, ctx)
    others = {host for host, reason in reasons.items() if owner.FOREIGN in reason}
    for host in sorted(others):
        ctx.log("warning", f"{host} is left as it is: {reasons[host]}")
    return {host: reason for host, reason in reasons.items() if host not in others}


def _hinted(host: str, reason: str) -> str:
    hint = f" — once that one is gone for good: `pulumi config set platform:takeOver {host}`"
    return reason + hint if owner.FOREIGN in reason else reason


def _me(job: Job, ctx: Context) -> dict[str, Any]:
    """Return who works on the hosts, for `owner.take`; nobody for a role that belongs to no platform."""
    platform = job.inputs.get("platform")
    if not isinstance(platform, str):
        return {}
    _, _, stack, *_ = [*ctx.urn.split(":"), "", "", ""]
    return {
        "platform": platform,
        "stack": stack,
        "role": ctx.urn.rpartition("::")[2].partition("@")[0],
        **locks.place(),
    }


def _rehearse(job: Job, ctx: Context) -> None:
    """With `platform:check`, log what Ansible's check mode says about hosts that can be reached already."""
    news = job.inputs
    if not ctx.asked("check") or isinstance(news.get("sshConfig"), Unknown) or not known(news.get("secrets", {})):
        return
    there = tuple(host for host in job.hosts if known(news["hosts"][host]))
    for host, reason in _run(replace(job, hosts=there), ctx).items():
        ctx.log("warning", f"{host}: could not be checked: {reason}")


def _forgiven(reasons: dict[str, str], ctx: Context) -> dict[str, str]:
    """Leave out hosts that do not answer when the user said that such hosts are gone for good."""
    gone = {host for host, reason in reasons.items() if reason.startswith("unreachable")}
    if gone and not ctx.asked("forgetUnreachable"):
        hint = " — if it is gone for good: `pulumi config set platform:forgetUnreachable true`"
        return {host: reason + (hint if host in gone else "") for host, reason in reasons.items()}
    for host in sorted(gone):
        ctx.log("warning", f"{host} does not answer and is forgotten, as platform:forgetUnreachable says")
    return {host: reason for host, reason in reasons.items() if host not in gone}
