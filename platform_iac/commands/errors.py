"""What a command may end with: one clear line per problem, never a traceback for bad input."""

from __future__ import annotations

FAILED = 1
BAD_INPUT = 2


class CommandError(Exception):
    """A command cannot do what it is asked. Says why and what to do; `status` is the exit status."""

    def __init__(self, message: str, *, status: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.status = status


def bad_input() -> tuple[type[Exception], ...]:
    """Return the errors whose message is all that a person needs."""
    from platform_iac.commands.pulumi import EngineError
    from platform_iac.lab.paths import LabError
    from platform_iac.plan.context import PlanError
    from platform_iac.promotion.evidence import EvidenceError
    from platform_iac.promotion.signature import SignatureError
    from platform_iac.review.proof import ProofError
    from platform_iac.spec.errors import SpecError

    return (CommandError, EngineError, EvidenceError, LabError, PlanError, ProofError, SignatureError, SpecError)
