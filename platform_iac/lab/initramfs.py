"""What a guest's kernel runs before its disk is there: a static busybox, a few modules, one short script.

An initramfs is a chain of archives in the form `newc` (the kernel's Documentation/driver-api/early-userspace/
buffer-format.rst). The first is the same for all guests of an image; the second holds one guest's identity.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_APPLETS = ("cp", "insmod", "ip", "mount", "sh", "sleep", "switch_root", "sync", "umount")
# What the disk and the network are reached by; ext4 asks for crc32c by name, which no dependency tells.
_NEEDED = ("crc32c_generic", "virtio_pci", "virtio_blk", "virtio_net", "ext4")

# The identity is written once, before the disk's first real boot; `machine-id` last, so that a power loss
# in between writes it again. The interface has the name that it has in the other machines of the twin.
_INIT = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
tries=0
while [ ! -b /dev/vda ] || [ ! -e /sys/class/net/eth0 ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || exec sh -c 'echo "no disk or no network"'
    sleep 0.1
done
ip link set eth0 name host0
mount -t ext4 /dev/vda /new
if [ ! -s /new/etc/machine-id ]; then
    cp -a /identity/. /new/ && sync && cp /machine-id /new/etc/machine-id && sync
fi
mount -o move /dev /new/dev
umount /sys /proc
exec switch_root /new /sbin/init
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link of an archive; `mode` has the file type's bits too."""

    path: str
    mode: int
    data: bytes = b""


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the entries as one archive in the form `newc`, padded so that another one may follow."""
    end = Entry("TRAILER!!!", 0)
    packed = b"".join(_packed(number, entry) for number, entry in enumerate([*entries, end], start=1))
    return packed + bytes(-len(packed) % 512)


def base(busybox: bytes, modules: Path) -> bytes:
    """Return the archive that all guests share. `modules` is the kernel's folder below `lib/modules`.

    Raises:
        KeyError: the kernel has no module of a name that is needed.
    """
    order = _order((modules / "modules.dep").read_text(encoding="utf-8"))
    folders = ("bin", "dev", "modules", "new", "proc", "sys")
    listed = "".join(f"{Path(path).name}\n" for path in order)
    return archive(
        [
            *(Entry(name, stat.S_IFDIR | 0o755) for name in folders),
            Entry("bin/busybox", stat.S_IFREG | 0o755, busybox),
            *(Entry(f"bin/{name}", stat.S_IFLNK | 0o777, b"busybox") for name in _APPLETS),
            Entry("init", stat.S_IFREG | 0o755, _INIT.encode()),
            Entry("modules/order", stat.S_IFREG | 0o644, listed.encode()),
            *(
                Entry(f"modules/{Path(path).name}", stat.S_IFREG | 0o644, (modules / path).read_bytes())
                for path in order
            ),
        ]
    )


def identity(root: Path) -> bytes:
    """Return the archive of the files in `root` that make a disk one machine's and no other's."""
    machine_id = root / "etc/machine-id"
    return archive(
        [
            Entry("identity", stat.S_IFDIR | 0o755),
            *(_entry(root, path) for path in sorted(root.rglob("*")) if path != machine_id),
            Entry("machine-id", stat.S_IFREG | 0o444, machine_id.read_bytes()),
        ]
    )


def recipe() -> list[str]:
    """What the shared archive is made from, apart from Debian's files."""
    return [_INIT, *_APPLETS, *_NEEDED]


def _entry(root: Path, path: Path) -> Entry:
    data = path.read_bytes() if path.is_file() else b""
    return Entry(f"identity/{path.relative_to(root)}", path.stat().st_mode, data)


def _packed(number: int, entry: Entry) -> bytes:
    """One entry: a header of thirteen hexadecimal fields, the name, the data, each filled up to four bytes."""
    name = f"{entry.path}\0".encode()
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(f"{field:08x}".encode() for field in fields) + name
    return head + bytes(-len(head) % 4) + entry.data + bytes(-len(entry.data) % 4)


def _order(dependencies: str) -> list[str]:
    """The paths of the needed modules and all that they need, in an order in which they can be loaded."""
    needs = {path: rest.split() for path, _, rest in (line.partition(":") for line in dependencies.splitlines())}
    by_name = {Path(path).stem.replace("-", "_"): path for path in needs}

    def with_needs(path: str) -> Iterator[str]:
        for need in needs[path]:
            yield from with_needs(need)
        yield path

    return list(dict.fromkeys(path for name in _NEEDED for path in with_needs(by_name[name])))
