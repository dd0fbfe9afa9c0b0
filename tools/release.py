"""Make a release of the tool from this commit: wheel, source, SBOM, sums, and their signature.

The same commit gives the same bytes. What is not committed is not in it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from platform_iac.promotion import signature

TOP = Path(__file__).resolve().parents[1]
NAMESPACE = "platform-iac-release"
SECONDS = 300


class ReleaseError(RuntimeError):
    """No release can be made; says why."""


def release(out: Path, key: Path | None) -> list[Path]:
    """Write the files of a release into `out`, which holds nothing else afterwards, and return them."""
    project = tomllib.loads(said("git", "show", "HEAD:pyproject.toml"))["project"]
    tags = [tag for tag in said("git", "tag", "--points-at", "HEAD").split() if tag.startswith("v")]
    if tags and tags != [f"v{project['version']}"]:
        raise ReleaseError(f"the tag {' '.join(tags)} is on version {project['version']} — tag v{project['version']}")
    name = f"{project['name'].replace('-', '_')}-{project['version']}"
    os.umask(0o022)  # modes are in the wheel, too
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="platform-iac-release-") as scratch:
        source = out / f"{name}.tar.gz"
        said("git", "archive", "--format=tar.gz", f"--prefix={name}/", f"--output={source}", "HEAD")
        with tarfile.open(source) as archive:
            archive.extractall(scratch, filter="data")
        tree = Path(scratch) / name
        wheel(tree, out)
        sbom(tree, out / f"{name}.cdx.json")
    made = sorted(out.iterdir())
    sums = out / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made))
    made.append(sums)
    if key is not None:
        made.append(out / "SHA256SUMS.sig")
        made[-1].write_text(signature.sign(sums.read_bytes(), key, NAMESPACE))
    return made


def wheel(tree: Path, out: Path) -> None:
    """Build the wheel with the locked setuptools; every file in it bears the commit's time."""
    epoch = said("git", "log", "-1", "--format=%ct").strip()
    argv = ("uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable)
    said(*argv, "--out-dir", str(out.resolve()), str(tree), SOURCE_DATE_EPOCH=epoch)
    (out / ".gitignore").unlink(missing_ok=True)  # uv's


def sbom(tree: Path, file: Path) -> None:
    """Write CycloneDX of every pinned Python package: what `tools/setup` installs, the linters' too."""
    argv = ("cyclonedx-py", "requirements", "--output-reproducible", "--output-format", "JSON")
    said(*argv, "--pyproject", "pyproject.toml", "-o", str(file.resolve()), "requirements.lock", cwd=tree)


def said(*argv: str, cwd: Path = TOP, **env: str) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(argv[:2])} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout


def main() -> int:
    """Make the release and list it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="emptied first")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the SSH key that signs SHA256SUMS")
    arguments = parser.parse_args()
    try:
        made = release(arguments.out, arguments.key)
    except (ReleaseError, signature.SignatureError) as error:
        print(error, file=sys.stderr)
        return 1
    for path in made:
        print(f"{path.stat().st_size:>9,}  {path}")
    if arguments.key is None:
        print("not signed: give --key")
    return 0


if __name__ == "__main__":
    sys.exit(main())
