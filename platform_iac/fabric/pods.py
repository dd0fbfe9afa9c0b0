"""How the upper tiers are put together: leaves into pods with their spines, pods under cores.

Two tiers are one pod without cores. In three tiers a pod is a two-tier fabric whose spines have half
their ports up. Where all pods are alike and even in number, core group j is reached by spine j of every
pod (the classic fat tree); elsewhere every pod's uplinks go round all cores. Either way the counts are
those of the rule: as many spines' ports down as leaves' uplinks, as many cores' ports as spines' uplinks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """Leaves and spines of every pod, in order, and the cores above them."""

    each: tuple[tuple[int, int], ...]
    cores: int = 0
    groups: int = 1
    """Core groups: 1 where every spine's uplinks go round all cores."""
    even: bool = True
    """Every two neighbouring switches of two tiers have the same number of cables."""

    @property
    def spines(self) -> int:
        """Spines of all pods."""
        return sum(spines for _, spines in self.each)


def choose(tiers: int, leaves: int, up: int, radix: int, unit_leaves: int) -> Pods:
    """Return the pods over `leaves` leaves with `up` uplinks each, where a switch has `radix` ports.

    There are at most `radix` leaves in two tiers and `radix`^2/2 in three, as `sizes` has seen to.
    Pods of whole units (`unit_leaves`) and large pods are preferred: more pairs meet below the cores.
    """
    if tiers == 2:
        spines = next(spines for spines in divisors(up) if spines * radix >= leaves * up)
        return Pods(each=((leaves, spines),))
    half = radix // 2
    shapes = [(spines * half // up, spines) for spines in divisors(up) if spines * half % up == 0]
    alike = [
        (half % (leaves // pod // 2) == 0, pod % unit_leaves == 0, pod, spines)
        for pod, spines in shapes
        if leaves % pod == 0 and leaves // pod % 2 == 0 and leaves // pod <= radix
    ]
    if alike:
        even, _, pod, spines = max(alike)
        count = leaves // pod
        return Pods(each=((pod, spines),) * count, cores=spines * count // 2, groups=spines, even=even)
    cores = -(-leaves * up // radix)
    wide = [
        (_rated(leaves, up, pod, half, unit_leaves), pod, spines) for pod, spines in shapes if spines * half >= cores
    ]
    _, pod, spines = max(wide)
    each = ((pod, spines),) * (leaves // pod)
    if rest := leaves % pod:
        each += ((rest, _needed(rest, up, half)),)
    return Pods(each=each, cores=cores, even=False)


def divisors(number: int) -> list[int]:
    """Return every divisor, ascending."""
    return [one for one in range(1, number + 1) if number % one == 0]


def _needed(leaves: int, up: int, half: int) -> int:
    """Spines for the uplinks of a pod's leaves."""
    return -(-leaves * up // half)


def _rated(leaves: int, up: int, pod: int, half: int, unit_leaves: int) -> tuple[bool, bool, bool, int]:
    """Rate pods of this size, better ones greater: all alike, the last one even, whole units, no small rest."""
    rest = leaves % pod or pod
    return rest == pod, up % _needed(rest, up, half) == 0, pod % unit_leaves == 0, rest
