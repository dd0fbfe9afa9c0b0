"""What proves datasets on the running platform: the version is there and whole, and its retraining passed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from platform_iac.kinds.service.datasets import rules
from platform_iac.kinds.service.datasets.plan import COMMAND
from platform_iac.plan.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.kinds.service.datasets.spec import Spec
    from platform_iac.plan.context import Context

WAIT_SECONDS: Final = 300
"""How long a check waits for a move or a job that is under way; what takes longer is told as it then stands."""


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:
    """Return the proof of every dataset."""
    return tuple(_checks(rules.mover(name, spec, context).name, spec))


def _checks(host: str, spec: Spec) -> Iterator[Check]:
    for label, dataset in sorted(spec.sets.items()):
        version, seconds = re.escape(dataset.version), WAIT_SECONDS + 60
        wait = ("--wait", str(WAIT_SECONDS))
        yield Check(
            name=f"dataset {label} is version {dataset.version}, as its manifest says",
            host=host,
            argv=(*COMMAND, "verify", label, *wait),
            expect=rf"^{label} {version}: \d+ files are as its manifest says$",
            timeout_seconds=seconds,
        )
        if dataset.retrain:
            yield Check(
                name=f"the model retrained on {label} {dataset.version} passed",
                host=host,
                argv=(*COMMAND, "verdict", label, *wait),
                expect=rf"^{label} {version}: passed, ",
                timeout_seconds=seconds,
            )
