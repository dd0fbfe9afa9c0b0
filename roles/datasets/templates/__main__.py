"""Datasets on this host: `datasets VERB NAME`.

ready    whether no retraining on the declared version is rejected: it is not tried again by itself
bring    fetch, verify and publish the declared version, let old ones go, copy it on, retrain
verify   whether the current version is the declared one and as its manifest says
verdict  how the retraining on it ended
again    forget how the retraining ended, for `systemctl restart platform-dataset@NAME`

Exit status: 0, or 1 with the reason on stdout.
"""

import argparse
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import moves
import retrain
from files import STATE, DatasetError, Folder, RefusedError, parse, sentences

ETC = Path("/etc/platform-iac/datasets")
TOLD, COPIED = "told", "copied-"
"""Under these names lies why the last attempt did not succeed, and what was copied."""

PAUSES_SECONDS = (30, 60, 120, 300)
"""Between attempts: a source or a service that is down for a moment costs no one's attention."""


class RejectedError(RefusedError):
    """The retraining was done and its model is not good enough."""


def main():
    """Run one verb and return the exit status."""
    parser = argparse.ArgumentParser(prog="datasets", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("verb", choices=sorted(VERBS))
    parser.add_argument("name")
    parser.add_argument("--wait", type=int, default=0, help="seconds to wait for what is under way")
    parser.add_argument("--every-byte", action="store_true", help="read also what has not been touched")
    chosen = parser.parse_args()
    declared = json.loads((ETC / f"{chosen.name}.json").read_text("utf-8"))
    try:
        said = VERBS[chosen.verb](declared, Folder(declared["folder"]), chosen)
    except (DatasetError, OSError, subprocess.SubprocessError) as error:
        print(f"{declared['name']} {declared['version']}: {error}", flush=True)
        return 1
    print(f"{declared['name']} {declared['version']}: {said}", flush=True)
    return 0


def ready(declared, folder, chosen):
    """Say so where the retraining is rejected, until it is declared otherwise or `again`."""
    del chosen
    if declared["retrain"]:
        _passed(retrain.outcome(declared, folder))
    return "nothing speaks against it"


def bring(declared, folder, chosen):
    """Do all that the declared version asks for, and try again what may help."""
    del chosen
    for pause in (*PAUSES_SECONDS, 0):
        try:
            return _bring(declared, folder)
        except (DatasetError, OSError, subprocess.SubprocessError) as error:
            if folder.at(STATE).is_dir() and not isinstance(error, RejectedError):
                folder.remember(TOLD, {"reason": str(error)})
            if isinstance(error, RefusedError) or not pause:
                raise
            print(f"{error} — again in {pause} s", flush=True)
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _bring(declared, folder):
    version = declared["version"]
    if not os.path.ismount(declared["mount"]):
        raise DatasetError(f"{declared['mount']} is not mounted")
    folder.make()
    folder.forget(TOLD)
    with _alone(folder):
        if not folder.complete(version):
            print(f"{version} is not here yet, fetching it", flush=True)
            folder.publish(version, moves.fetch(declared, folder))
        elif wrong := folder.differs(version):
            print(f"mending {version}: {sentences(wrong)}", flush=True)
            moves.mend(declared, folder, wrong)
        if wrong := folder.differs(version):
            raise DatasetError(f"after the move: {sentences(wrong)}")
        if folder.point(version):
            print(f"current is {version}", flush=True)
        _let_go(declared, folder)
        problems = _copy_on(declared, folder)
    how = f", {_passed(retrain.retrain(declared, folder))}" if declared["retrain"] else ""
    if problems:
        raise DatasetError("; ".join(problems))
    return f"complete{how}"


def _copy_on(declared, folder):
    """Bring the version to where it is copied, and return what went wrong: no reason not to retrain."""
    problems = []
    for name, record in _to_copy(declared, folder).items():
        try:
            moves.copy(declared, folder, record["place"])
        except DatasetError as error:
            problems.append(f"not copied to {name}: {error}")
        else:
            folder.remember(COPIED + name, record)
            print(f"copied to {name}", flush=True)
    return problems


def _to_copy(declared, folder):
    """Return the places that do not have the version yet, by name, with what is remembered once they do."""
    records = {name: {"version": declared["version"], "place": place} for name, place in declared["copies"].items()}
    return {name: record for name, record in sorted(records.items()) if folder.recall(COPIED + name) != record}


def _let_go(declared, folder):
    used = retrain.in_use(declared) if declared["slurm"] else set()
    if used is None:
        print("Slurm does not say which versions are in use: all stay", flush=True)
        return
    for version in folder.retain(declared["keep_versions"], {*declared["keep"], *used}):
        print(f"{version} is removed", flush=True)


def _passed(known):
    """Return how a retraining ended; what was rejected is an error that another attempt does not mend."""
    if known.get("verdict") == "rejected":
        raise RejectedError("the retraining is rejected: {said} (job {job}, run {run})".format(**known))
    if "verdict" not in known:
        return "not retrained yet"
    version = f", model version {known['version']}" if known["version"] else ""
    return "passed, {} (job {}, run {}{})".format(known["said"], known["job"], known["run"], version)


@contextlib.contextmanager
def _alone(folder):
    """One program at a time changes a dataset."""
    with folder.at(STATE, "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def verify(declared, folder, chosen):
    """Compare the current version with the declared one and with its manifest."""
    _settle(declared, chosen.wait)
    version = declared["version"]
    if folder.current() != version:
        raise DatasetError("current is {}; {}".format(folder.current() or "nothing yet", _stands(declared, folder)))
    if not folder.complete(version):
        raise DatasetError("its manifest or its folder is gone")
    if wrong := folder.differs(version, every_byte=chosen.every_byte):
        told = folder.recall(TOLD).get("reason")
        raise DatasetError(sentences(wrong) + (f" (not mended: {told})" if told else ""))
    if missing := _to_copy(declared, folder):
        raise DatasetError(f"not copied to {', '.join(missing)}; {_stands(declared, folder)}")
    return f"{len(parse(folder.text(version)))} files are as its manifest says"


def verdict(declared, folder, chosen):
    """Tell how the retraining on the declared version ended."""
    _settle(declared, chosen.wait)
    known = retrain.outcome(declared, folder)
    if "verdict" not in known:
        raise DatasetError(f"not retrained yet; {_stands(declared, folder)}")
    return _passed(known)


def again(declared, folder, chosen):
    """Let the retraining be done anew."""
    del chosen
    folder.forget(TOLD)
    retrain.again(declared, folder)
    return f"it is retrained when platform-dataset@{declared['name']}.service is restarted"


def _state(declared):
    unit = f"platform-dataset@{declared['name']}.service"
    argv = ["systemctl", "show", "--property=SubState", "--value", unit]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def _settle(declared, seconds):
    """Wait until the unit has done what it can, but not longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _state(declared) not in ("exited", "failed", "dead"):
        time.sleep(1)


def _stands(declared, folder):
    if known := folder.recall(TOLD):
        return known["reason"]
    return "its unit is {}, `journalctl -u platform-dataset@{}` tells more".format(_state(declared), declared["name"])


VERBS = {"ready": ready, "bring": bring, "verify": verify, "verdict": verdict, "again": again}

if __name__ == "__main__":
    sys.exit(main())
