"""`platform-iac doctor`: is this machine fit for the twin?"""

from __future__ import annotations

from platform_iac import doctor as examination


def doctor() -> int:
    """Print what was examined; 1 where something is missing."""
    return examination.main()
