"""What pyproject.toml cannot say: a wheel carries, in the package, what a plan reads beside it.

These are the roles, whose templates it renders, and the examples, which MLflow's hosts get.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BESIDE = ("examples", "roles")


class WithWhatPlansRead(build_py):
    """Builds the package, and lays these folders into it."""

    def run(self) -> None:
        """Copy them; an editable install finds those of the checkout."""
        super().run()
        if not self.editable_mode:
            for name in BESIDE:
                target = Path(self.build_lib) / "platform_iac" / name
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(name, target, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": WithWhatPlansRead})
