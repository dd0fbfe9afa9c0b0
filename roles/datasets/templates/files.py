"""Versions on disk: their manifests, whether they are as these say, which one is current, which ones stay.

A version is complete when its folder and its manifest lie beside each other; a manifest is what `sha256sum`
reads: `cd 2026.1 && sha256sum --check ../2026.1.sha256`.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

CURRENT = "current"
INCOMING = ".incoming"
LEAVING = ".leaving"
STATE = ".state"
SUFFIX = ".sha256"
MISSING, STRANGE, CHANGED, WRITABLE = (
    "is missing", "is not in its manifest", "has other content", "can be written",
)  # fmt: skip
FETCHED = (MISSING, CHANGED)
BLOCK_BYTES = 1 << 20
SYNC_SECONDS = 600


class DatasetError(Exception):
    """A version cannot be had now; trying again later may help."""


class RefusedError(DatasetError):
    """A version cannot be had as declared; only people can change that."""


def scan(folder):
    """Return every file below a folder by its relative path, with its status.

    Raises:
        RefusedError: something in it is no plain file or folder, or has a name that no manifest can hold.
    """
    found = {}
    for where, folders, names in os.walk(folder, onerror=_stop):
        for name in folders + names:
            status = Path(where, name).lstat()
            short = str(Path(where, name).relative_to(folder))
            if "\n" in short or "\\" in short or not _is_text(short):
                raise RefusedError(f"{short!r} cannot be written in a manifest: rename it at its source")
            if stat.S_ISREG(status.st_mode):
                found[short] = status
            elif not stat.S_ISDIR(status.st_mode):
                raise RefusedError(f"{short} is neither a file nor a folder: a version holds nothing else")
    return found


def strange(folder, inside):
    """Return the first entry below a folder that is neither a file nor a folder, of those `inside`; empty for none.

    A link to a folder is inside where something behind it would be.
    """
    for where, folders, names in os.walk(folder, onerror=_stop):
        folders.sort()
        for name in sorted(folders + names):
            mode = Path(where, name).lstat().st_mode
            short = str(Path(where, name).relative_to(folder))
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                continue
            if inside(short) or any(inside(f"{short}/{path}") for path in _behind(Path(where, name))):
                return short
    return ""


def _behind(link):
    """Yield the files behind a link to a folder; links may go in circles, so each folder comes once."""
    seen = set()
    for where, folders, names in os.walk(link, followlinks=True):
        status = Path(where).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (str(Path(where, name).relative_to(link)) for name in names)


def _stop(error):
    raise error


def _is_text(name):
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def digest(path):
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()


def manifest(folder):
    """Return the manifest of a folder: a line for each file, by path."""
    return "".join(f"{digest(folder / path)}  {path}\n" for path in sorted(scan(folder)))


def parse(text):
    """Return a manifest's digests by path."""
    lines = (line.partition("  ") for line in text.splitlines())
    return {path: value for value, _, path in lines}


def sha256(text):
    """Return the SHA-256 of a text, as `sha256sum` prints it of its file."""
    return hashlib.sha256(text.encode()).hexdigest()


class Folder:
    """The folder of one dataset on shared storage."""

    def __init__(self, path):
        """Take the path; nothing is read yet."""
        self.path = Path(path)

    def at(self, *names):
        """Return the path of something in it."""
        return self.path.joinpath(*names)

    def make(self):
        """Make the folder, in its team's."""
        if not self.path.parent.is_dir():
            raise DatasetError(f"{self.path.parent} is not there: its storage has no folder for the team")
        self.path.mkdir(mode=0o755, exist_ok=True)
        for own in (INCOMING, STATE):
            self.at(own).mkdir(mode=0o700, exist_ok=True)

    def beside(self, version):
        """Return where the manifest of a version is."""
        return self.at(version + SUFFIX)

    def text(self, version):
        """Return the manifest of a version that was complete; empty where there is none."""
        try:
            return self.beside(version).read_text("utf-8")
        except FileNotFoundError:
            return ""

    def versions(self):
        """Return the complete versions, the newest first."""
        names = [path.name.removesuffix(SUFFIX) for path in self.path.glob("*" + SUFFIX)]
        there = [name for name in names if self.at(name).is_dir()]
        return sorted(there, key=lambda name: (self.beside(name).stat().st_mtime_ns, name), reverse=True)

    def current(self):
        """Return the version that people get; empty where there is none."""
        link = self.at(CURRENT)
        return str(link.readlink()) if link.is_symlink() else ""

    def differs(self, version, *, every_byte=False):
        """Return what of a version is not as its manifest says, by path.

        A file that has been read before is read again where its size, its times or its inode changed: the
        time of the last change (ctime) is the file system's own and cannot be set back by whoever edits.
        """
        expected, found, known, seen = (
            parse(self.text(version)),
            scan(self.at(version)),
            self.recall("seen-" + version),
            {},
        )
        wrong = dict.fromkeys(expected.keys() - found.keys(), MISSING)
        wrong |= dict.fromkeys(found.keys() - expected.keys(), STRANGE)
        for path in expected.keys() & found.keys():
            status = found[path]
            mark = [expected[path], status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            if (every_byte or known.get(path) != mark) and digest(self.at(version, path)) != expected[path]:
                wrong[path] = CHANGED
                continue
            if status.st_mode & 0o222:
                wrong[path] = WRITABLE
            seen[path] = mark
        if seen != known:
            self.remember("seen-" + version, seen)
        return wrong

    def complete(self, version):
        """Whether a version has been published."""
        return bool(self.text(version)) and self.at(version).is_dir()

    def publish(self, version, text):
        """Make what came in the version: root's, read-only, on disk, its manifest beside it."""
        incoming = self.at(INCOMING, version)
        for path in (incoming, *incoming.rglob("*")):
            protect(path)
        subprocess.run(["sync", "--file-system", self.path], timeout=SYNC_SECONDS, check=True)
        incoming.rename(self.at(version))
        write(self.beside(version), text, 0o444)

    def mend(self, version, wrong):
        """Put right what differs: files that came in anew for those missing or changed, each at once for everybody."""
        for path, what in wrong.items():
            there = self.at(version, path)
            if what in FETCHED:
                fresh = self.at(INCOMING, version, path)
                protect(fresh)
                there.parent.mkdir(mode=0o555, parents=True, exist_ok=True)
                fresh.rename(there)
            elif what == WRITABLE:
                protect(there)
            else:
                there.unlink()

    def point(self, version):
        """Make a version the current one, at once for everybody; tell whether it was not before."""
        if self.current() == version:
            return False
        fresh = self.at("." + CURRENT)
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(version)
        fresh.rename(self.at(CURRENT))
        return True

    def retain(self, count, kept):
        """Remove all versions but the newest `count`, the current one and those `kept`; return what went."""
        there = self.versions()
        rest = [version for version in there if version != self.current()]
        stay = {self.current(), *rest[: count - 1], *kept}
        gone = [version for version in there if version not in stay]
        for version in gone:
            self.at(LEAVING).mkdir(mode=0o700, exist_ok=True)
            self.at(version).rename(self.at(LEAVING, version))
            self.beside(version).unlink()
            self.forget("seen-" + version)
        if self.at(LEAVING).is_dir():
            shutil.rmtree(self.at(LEAVING))
        return gone

    def recall(self, name):
        """Return what was remembered under a name, or nothing."""
        try:
            return json.loads(self.at(STATE, name + ".json").read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}

    def remember(self, name, value):
        """Keep something under a name, where only root reads it."""
        write(self.at(STATE, name + ".json"), json.dumps(value, indent=1) + "\n", 0o600)

    def forget(self, name):
        """Keep it no longer."""
        self.at(STATE, name + ".json").unlink(missing_ok=True)


def protect(path):
    """Make a file or folder root's, to be changed by no one."""
    os.chown(path, 0, 0)
    path.chmod(0o555 if path.is_dir() else 0o444)


def sentences(wrong):
    """Return what differs in words, twenty files at most."""
    said = [f"{path} {what}" for path, what in sorted(wrong.items())]
    return "; ".join(said[:20]) + (f" and {len(said) - 20} more" if len(said) > 20 else "")


def write(path, text, mode):
    """Write a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
