"""The archives that a guest's kernel unpacks: their form, the modules' order, and whose identity goes where."""

import stat
from pathlib import Path

from platform_iac.lab import initramfs
from platform_iac.lab.initramfs import Entry


def unpacked(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Read archives in the form `newc`, one after the other, as the kernel does."""
    found: dict[str, tuple[int, bytes]] = {}
    place = 0
    while place < len(data):
        if data[place] == 0:  # between archives
            place += 4
            continue
        assert data[place : place + 6] == b"070701"
        fields = [int(data[place + 6 + 8 * n : place + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[place + 110 : place + 110 + name_size - 1].decode()
        start = -(-(place + 110 + name_size) // 4) * 4
        if name != "TRAILER!!!":
            found[name] = (mode, data[start : start + size])
        place = -(-(start + size) // 4) * 4
    return found


def test_archives_follow_each_other_and_keep_every_byte() -> None:
    first = initramfs.archive([Entry("a", stat.S_IFDIR | 0o755), Entry("a/b", stat.S_IFREG | 0o600, b"12345")])
    second = initramfs.archive([Entry("link", stat.S_IFLNK | 0o777, b"a/b")])
    assert len(first) % 512 == 0
    assert unpacked(first + second) == {
        "a": (stat.S_IFDIR | 0o755, b""),
        "a/b": (stat.S_IFREG | 0o600, b"12345"),
        "link": (stat.S_IFLNK | 0o777, b"a/b"),
    }


def test_modules_are_loaded_after_those_that_they_need(tmp_path: Path) -> None:
    needs = {
        "k/crc32c_generic.ko": [],
        "k/virtio_ring.ko": ["k/virtio.ko"],
        "k/virtio.ko": [],
        "k/virtio_pci.ko": ["k/virtio_ring.ko", "k/virtio.ko"],
        "k/virtio_blk.ko": ["k/virtio_ring.ko"],
        "k/virtio-net.ko": ["k/virtio_ring.ko"],
        "k/ext4.ko": [],
        "k/unneeded.ko": [],
    }
    (tmp_path / "k").mkdir()
    for path in needs:
        (tmp_path / path).write_bytes(path.encode())
    (tmp_path / "modules.dep").write_text("".join(f"{path}: {' '.join(rest)}\n" for path, rest in needs.items()))
    found = unpacked(initramfs.base(b"busybox", tmp_path))
    order = found["modules/order"][1].decode().split()
    assert sorted(order) == sorted(Path(path).name for path in needs if "unneeded" not in path)
    for path, rest in needs.items():
        for need in rest:
            assert order.index(Path(need).name) < order.index(Path(path).name)
    assert all(f"modules/{name}" in found for name in order)


def test_the_machine_id_is_apart_because_it_is_written_last(tmp_path: Path) -> None:
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("0123\n")
    (tmp_path / "etc/ssh/key").write_text("secret\n")
    (tmp_path / "etc/ssh/key").chmod(0o600)
    found = unpacked(initramfs.identity(tmp_path))
    assert found["machine-id"][1] == b"0123\n"
    assert found["identity/etc/ssh/key"] == (stat.S_IFREG | 0o600, b"secret\n")
    assert "identity/etc/machine-id" not in found
