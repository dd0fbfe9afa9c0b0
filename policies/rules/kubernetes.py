"""Kubernetes: pods that are no root on the node, images that stay what they were, and a quota for every team.

Pods are found wherever they are: in any kind of workload, also of operators that nobody had heard of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from policies.rule import Rule
from policies.values import UNKNOWN, UnjudgedError, View

if TYPE_CHECKING:
    from policies.rule import Context
    from policies.target import Stack, Target

ALL = ("kubernetes:",)
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
HARMLESS = frozenset({"NET_BIND_SERVICE", "IPC_LOCK"})
"""IPC_LOCK pins memory, which RDMA needs; it opens nothing on the host."""

EVERYONE = ("system:anonymous", "system:unauthenticated", "system:authenticated", "default")
HOLDS_PODS = ("spec", "template", "podTemplate", "jobTemplate", "items", *CONTAINERS)


def _pods(target: Target, context: Context) -> Iterator[View]:
    """Yield the spec of every pod that a resource makes, unless its namespace is exempt."""
    if target.view.text("metadata", "namespace") in context.settings.get("namespaces", ()):
        return
    for view in target.view.walk():
        if view.value is UNKNOWN and view.path.rpartition(".")[2] in HOLDS_PODS:
            raise UnjudgedError(f"{view.path} is not known before the update")
        if isinstance(view.value, dict) and any(name in view.value for name in CONTAINERS):
            yield view


def _containers(target: Target, context: Context) -> Iterator[View]:
    for pod in _pods(target, context):
        for name in CONTAINERS:
            for container in pod.items(name):
                if isinstance(container.known(), dict):
                    yield container


def _name(container: View) -> str:
    return container.text("name") or container.path


def _privileged(target: Target, context: Context) -> Iterator[str]:
    for container in _containers(target, context):
        if container.flag("securityContext", "privileged"):
            yield f"container {_name(container)} is privileged"
        if container.text("securityContext", "procMount").lower() == "unmasked":
            yield f"container {_name(container)} sees all of /proc"


def _escalation(target: Target, context: Context) -> Iterator[str]:
    for container in _containers(target, context):
        if container.flag("securityContext", "allowPrivilegeEscalation", default=True):
            yield f"container {_name(container)} may gain privileges"


def _capabilities(target: Target, context: Context) -> Iterator[str]:
    for container in _containers(target, context):
        added = {
            word.strip().upper().removeprefix("CAP_")
            for word in container.texts("securityContext", "capabilities", "add")
        }
        if more := sorted(added - HARMLESS):
            yield f"container {_name(container)} adds {', '.join(more)}"


def _namespaces(target: Target, context: Context) -> Iterator[str]:
    for pod in _pods(target, context):
        for name in ("hostPID", "hostIPC", "hostNetwork"):
            if pod.flag(name):
                yield f"{pod.path}.{name} is true"


def _host_paths(target: Target, context: Context) -> Iterator[str]:
    for pod in _pods(target, context):
        for volume in pod.items("volumes"):
            path = volume.at("hostPath").known()
            if path is not None:
                yield f"{pod.path} mounts {volume.text('hostPath', 'path') or 'a path'} of its node"
    for volume in _persistent_volumes(target):
        if volume.at("spec", "hostPath").known() is not None:
            name, path = volume.text("metadata", "name"), volume.text("spec", "hostPath", "path")
            yield f"{name or 'the volume'} is {path or 'a path'} of a node"


def _persistent_volumes(target: Target) -> list[View]:
    """Every PersistentVolume; it is of no namespace, so none is exempt."""
    if _of_kind(target, "PersistentVolumeList"):
        return target.view.items("items")
    return [target.view] if _of_kind(target, "PersistentVolume") else []


def _digests(target: Target, context: Context) -> Iterator[str]:
    for container in _containers(target, context):
        if DIGEST.fullmatch(container.text("image").strip()) is None:
            yield f"container {_name(container)} runs {container.text('image') or 'no image'}"


def _limits(target: Target, context: Context) -> Iterator[str]:
    for pod in _pods(target, context):
        for name in CONTAINERS[:2]:
            for container in pod.items(name):
                for group, what in (("limits", "memory"), ("requests", "cpu")):
                    given = container.text("resources", group, what).strip()
                    if group == "requests" and not given:
                        given = container.text("resources", "limits", what).strip()  # a request defaults to its limit
                    if not given or re.fullmatch(r"0+(\.0+)?[A-Za-z]*", given):
                        yield f"container {_name(container)} has no {group}.{what}"


def _of_kind(target: Target, *kinds: str) -> bool:
    return target.type.startswith("kubernetes:") and target.type.rpartition(":")[2].removesuffix("Patch") in kinds


def _quotas(stack: Stack, context: Context) -> Iterator[str]:
    """Every team's namespace has a quota that counts GPUs and memory."""
    cluster = list(stack.of_type("kubernetes:"))
    if not cluster:
        return
    if context.facts.teams is None:
        raise UnjudgedError(f"which teams there are is not known: {context.facts.missing}")
    hard: dict[str, set[str]] = {}
    for target in cluster:
        if _of_kind(target, "ResourceQuota"):
            entries = target.view.entries("spec", "hard")
            hard.setdefault(target.view.text("metadata", "namespace"), set()).update(
                name for name, value in entries.items() if value.text().strip()
            )
    for team in context.facts.teams:
        counted = hard.get(team, set())
        if not any(name.startswith("requests.") and name.endswith("/gpu") for name in counted):
            yield f"team {team} has no quota of GPUs"
        if not counted & {"requests.memory", "limits.memory", "memory"}:
            yield f"team {team} has no quota of memory"


def _rendered(target: Target, context: Context) -> Iterator[str]:
    del context
    if re.fullmatch(r"kubernetes:helm\.sh/v\d+:Release", target.type):
        yield "what a helm Release makes is seen by no policy"


def _pod_security(target: Target, context: Context) -> Iterator[str]:
    if not _of_kind(target, "Namespace") or target.view.text("metadata", "name") in context.settings["namespaces"]:
        return
    level = target.view.text("metadata", "labels", "pod-security.kubernetes.io/enforce").lower()
    if level not in ("baseline", "restricted"):
        yield f"its pods may be {level or 'privileged, as by default'}"


def _wildcards(target: Target, context: Context) -> Iterator[str]:
    del context
    if _of_kind(target, "Role", "ClusterRole"):
        for rule in target.view.items("rules"):
            wide = [
                part
                for part in ("apiGroups", "resources", "verbs")
                if "*" in [word.strip() for word in rule.texts(part)]
            ]
            if {"resources", "verbs"} & set(wide):
                yield f"{rule.path} allows every one of {', '.join(wide)}"
    if _of_kind(target, "ClusterRoleBinding", "RoleBinding") and target.view.text("roleRef", "name") == "cluster-admin":
        for subject in target.view.items("subjects"):
            if subject.text("name") in (
                "system:anonymous",
                "system:unauthenticated",
                "system:authenticated",
                "default",
            ):
                yield f"{subject.text('name')} is cluster-admin"


def _rule(
    name: str, judge: Callable[[Target, Context], Iterator[str]], why: str, do: str, reference: str, *exempt: str
) -> Rule:
    settings = {"namespaces": list(exempt)} if exempt else {}
    return Rule(id=f"kubernetes-{name}", why=why, do=do, reference=reference, on=ALL, settings=settings, each=judge)


RULES = (
    _rule(
        "privileged",
        _privileged,
        "A privileged container is root on its node, and reaches every job there.",
        "Take `privileged` out; a device plugin hands out what a container needs.",
        "CKV_K8S_16",
        "kube-system",
    ),
    _rule(
        "escalation",
        _escalation,
        "A setuid program in the image turns any user into root of the container.",
        "Set securityContext.allowPrivilegeEscalation to false.",
        "CKV_K8S_20",
        "kube-system",
    ),
    _rule(
        "capabilities",
        _capabilities,
        "SYS_ADMIN and its like are root by another name.",
        "Add none but NET_BIND_SERVICE, and IPC_LOCK where RDMA pins memory.",
        "CKV_K8S_25, CKV_K8S_39",
        "kube-system",
    ),
    _rule(
        "host-namespaces",
        _namespaces,
        "A pod in the host's namespaces sees, and may kill, what others run.",
        "Take hostPID, hostIPC and hostNetwork out.",
        "CKV_K8S_17, CKV_K8S_18, CKV_K8S_19",
        "kube-system",
    ),
    _rule(
        "host-paths",
        _host_paths,
        "A path of the node outlives the pod and goes around every other limit.",
        "Use a PersistentVolumeClaim.",
        "Pod Security Standards, baseline: HostPath Volumes",
        "kube-system",
    ),
    _rule(
        "digests",
        _digests,
        "A tag is what somebody pushed last; a digest is what was tested.",
        "Name the image by its digest: name@sha256:….",
        "CKV_K8S_43",
    ),
    _rule(
        "limits",
        _limits,
        "A container without a limit takes the memory of its neighbours, and the kernel picks who dies.",
        "Set resources.limits.memory and resources.requests.cpu.",
        "CKV_K8S_10, CKV_K8S_13",
    ),
    Rule(
        id="kubernetes-quotas",
        why="Without a quota the first team to ask has all GPUs.",
        do="Give each team's namespace a ResourceQuota with requests.nvidia.com/gpu and requests.memory.",
        whole=_quotas,
    ),
    _rule(
        "rendered",
        _rendered,
        "Policies judge objects; a helm Release makes them where nobody looks.",
        "Render the chart to objects (helm.v4.Chart).",
        "",
    ),
    _rule(
        "pod-security",
        _pod_security,
        "What is made past Pulumi is judged by the cluster alone.",
        "Label the namespace pod-security.kubernetes.io/enforce: baseline or restricted.",
        "Pod Security Standards",
        "kube-system",
    ),
    _rule(
        "wildcards",
        _wildcards,
        "A role of `*` includes what the next release adds.",
        "Name resources and verbs.",
        "CKV_K8S_49",
    ),
)
