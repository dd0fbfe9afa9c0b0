"""What pyproject.toml cannot say: a wheel carries the roles, in the package, since a plan renders their templates."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithRoles(build_py):
    """Builds the package, and lays the roles into it."""

    def run(self) -> None:
        """Copy them; an editable install finds those of the checkout."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "platform_iac" / "roles"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree("roles", target, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": WithRoles})
