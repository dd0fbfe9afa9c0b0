"""Moves by rclone: from a source into `.incoming`, and from a complete version to where it is copied.

Moved again, what is already there by checksum is not fetched a second time, so a move that was killed
goes on with the file it was at. Nothing counts as arrived before `rclone check` has compared both sides.
"""

import json
import os
import re
import shutil
import subprocess
from collections import deque
from pathlib import Path

from files import (
    FETCHED,
    INCOMING,
    STATE,
    SUFFIX,
    DatasetError,
    RefusedError,
    digest,
    manifest,
    parse,
    sha256,
    strange,
    write,
)

ASK_SECONDS = 600
MOVE_SECONDS = 14 * 86400
UNHASHED = re.compile(r"hashes? could not be checked|No common hash|not using a hash", re.IGNORECASE)
TIMED_OUT = 124
STATS = ("--stats=1m", "--stats-one-line", "--stats-log-level=NOTICE")
COMMON = ("--retries=3", "--low-level-retries=10", "--contimeout=30s", "--timeout=5m", "--ask-password=false")


def _argv(declared, seconds, verb, *words):
    """Bounded by `timeout`, so that rclone ends even when what it waits for never answers.

    rclone writes what it learns of a host into its configuration: it gets one of its own, that goes with the unit.
    """
    config = Path(os.environ["RUNTIME_DIRECTORY"], "rclone.conf")
    write(config, Path(declared["config"]).read_text("utf-8"), 0o600)
    return ["timeout", "--kill-after=60", str(seconds), "rclone", verb, f"--config={config}", *COMMON, *words]


def ask(declared, what, verb, *words, seconds=ASK_SECONDS, may_end=(0,)):
    """Ask rclone, and return how it ended.

    Raises:
        DatasetError: it ended otherwise than it may, or took too long.
    """
    argv = _argv(declared, seconds, verb, *words)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode not in may_end:
        raise DatasetError(f"{what}: {_last(done.stderr.splitlines(), done.returncode)}")
    return done


def move(declared, source, target, *words):
    """Make the target what the source is; how far it is goes to the journal once a minute, and at the end.

    Raises:
        DatasetError: it did not become so.
    """
    pace = [f"--bwlimit={declared['bandwidth_mib']}M"] if declared["bandwidth_mib"] else []
    argv = _argv(declared, MOVE_SECONDS, "sync", source, str(target), "--checksum", *STATS, *pace, *words)
    last = deque(maxlen=3)
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        for line in process.stderr:
            print(line.rstrip(), flush=True)
            last.append(line.strip())
    if process.returncode != 0:
        raise DatasetError(f"moving {source} to {target}: {_last(last, process.returncode)}")


def _last(lines, status):
    said = " | ".join(list(lines)[-3:])
    return said or ("it took too long" if status == TIMED_OUT else f"rclone ended with {status}")


def _chosen(declared):
    return ["--include=" + pattern for pattern in declared["only"]]


def _inside(declared):
    """Return what tells whether a path is one that `only` takes, as rclone reads it: `*` ends at a /, `**` does not."""
    stars = {"*": "[^/]*", "**": ".*"}
    patterns = []
    for pattern in declared["only"]:
        words = re.split(r"(\*\*?)", pattern.removeprefix("/"))
        begin = "" if pattern.startswith("/") else "(.*/)?"
        patterns.append(re.compile(begin + "".join(stars.get(word, re.escape(word)) for word in words), re.DOTALL))
    return lambda path: not patterns or any(pattern.fullmatch(path) for pattern in patterns)


def fetch(declared, folder):
    """Bring the declared version into `.incoming`, compared with its source; return its manifest.

    Raises:
        RefusedError: the source has nothing, too much, or something else than was declared.
        DatasetError: the source could not be reached or read.
    """
    source, version = declared["source"], declared["version"]
    incoming = folder.at(INCOMING, version)
    _no_links(declared)
    _fits(declared)
    if folder.at(version).is_dir():  # published but for its manifest when this was killed
        shutil.rmtree(incoming, ignore_errors=True)
        folder.at(version).rename(incoming)
    for other in folder.at(INCOMING).iterdir():
        if other != incoming:
            shutil.rmtree(other)
    incoming.mkdir(mode=0o755, exist_ok=True)
    chosen = _chosen(declared)
    move(declared, source, incoming, "--delete-excluded", *chosen)
    _compare(declared, source, incoming, chosen)
    text = manifest(incoming)
    _as_expected(declared, folder, text)
    return text


def mend(declared, folder, wrong):
    """Put right what differs in the complete version, with files of its source that are as the manifest says.

    Raises:
        RefusedError: the source does not have them any more.
        DatasetError: the source could not be reached or read.
    """
    version, expected = declared["version"], parse(folder.text(declared["version"]))
    incoming = folder.at(INCOMING, version)
    wanted = sorted(path for path, what in wrong.items() if what in FETCHED)
    if wanted:
        paths = folder.at(STATE, "wanted")
        write(paths, "".join(f"{path}\n" for path in wanted), 0o600)
        move(declared, declared["source"], incoming, f"--files-from-raw={paths}")
        for path in wanted:
            if not (incoming / path).is_file() or digest(incoming / path) != expected[path]:
                raise RefusedError(f"{path} is another one at its source: a version never changes, give it a new name")
    folder.mend(version, wrong)


def _no_links(declared):
    """Refuse a folder of this host with entries that rclone would leave out with no more than a notice."""
    source, beside = Path(declared["source"]), Path(declared["manifests"], declared["version"] + SUFFIX)
    if not (source.is_absolute() and source.is_dir()):
        return
    found = strange(source, _inside(declared))
    path = source / found if found else beside if declared["manifests"] and beside.is_symlink() else None
    if path:
        raise RefusedError(
            f"{str(path)!r} is neither a file nor a folder, and a move would pass over it: replace the link by what it "
            "points to, or leave it out with `only`"
        )


def _fits(declared):
    source, version = declared["source"], declared["version"]
    done = ask(
        declared, f"asking for the size of {source}", "size", source, "--json", *_chosen(declared), may_end=(0, 3)
    )
    found = json.loads(done.stdout) if done.returncode == 0 else {"count": 0}
    if not found["count"]:
        raise RefusedError(f"{source} has no files: is version {version} there?")
    gib, planned = found["bytes"] / 2**30, declared["size_bytes"] / 2**30
    if gib > planned:
        raise RefusedError(f"{source} has {gib:.3f} GiB, the spec plans for {planned:.3f}: raise size_gib")


def _compare(declared, one, other, chosen):
    """Compare two places by their checksums, or byte by byte where they have none in common."""
    words = (declared, f"{one} and {other} differ", "check", one, str(other), *chosen)
    if UNHASHED.search(ask(*words, seconds=MOVE_SECONDS).stderr):
        ask(*words, "--download", seconds=MOVE_SECONDS)


def _as_expected(declared, folder, text):
    """Compare a manifest with the one in the spec, the one beside the source, and the one that was here before."""
    version = declared["version"]
    if declared["sha256"] and sha256(text) != declared["sha256"]:
        raise RefusedError(
            "the manifest of {} has SHA-256 {}, the spec says {}".format(version, sha256(text), declared["sha256"])
        )
    for where, told in (("its source", _told(declared)), ("this storage", folder.text(version))):
        if told and told != text:
            other = sorted({path for path, _ in parse(told).items() ^ parse(text).items()})
            raise RefusedError(
                "{} was another one at {} ({}): a version never changes, give it a new name".format(
                    version, where, ", ".join(other[:5])
                )
            )


def _told(declared):
    """Return the manifest that lies beside the version at its source; empty where there is none."""
    if not declared["manifests"] or declared["only"]:
        return ""
    return read(declared, declared["manifests"], declared["version"] + SUFFIX)


def read(declared, place, name):
    """Return a small file of a place; empty where it is not there, or nothing is (rclone ends with 3)."""
    listed = ask(declared, f"listing {place}", "lsf", place, "--files-only", f"--include=/{name}", may_end=(0, 3))
    if name not in listed.stdout.splitlines():
        return ""
    return ask(declared, f"reading {name}", "cat", f"{place}/{name}").stdout


def copy(declared, folder, place):
    """Bring the complete version to another place, its manifest last: where that lies, the version is whole.

    Raises:
        RefusedError: there is another version of the same name.
        DatasetError: the place could not be reached or written.
    """
    version, manifest_file = declared["version"], folder.beside(declared["version"])
    there = read(declared, place, manifest_file.name)
    if there and there != folder.text(version):
        raise RefusedError(f"{place} has another {version}: a version never changes, give it a new name")
    target = f"{place}/{version}"
    move(declared, str(folder.at(version)), target)
    _compare(declared, str(folder.at(version)), target, [])
    ask(declared, f"writing {manifest_file.name}", "copyto", str(manifest_file), f"{place}/{manifest_file.name}")
