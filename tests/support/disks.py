"""A real, temporarily mounted disk of a few MiB: ext4 in a file, or tmpfs if there is no loop device."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.require import need

MIB = 1 << 20


@dataclass(frozen=True)
class Disk:
    """A mounted disk.

    Attributes:
        root: Where it is mounted.
    """

    root: Path

    @property
    def ballast(self) -> Path:
        return self.root / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Fills the disk.

        Args:
            leave: Approximate number of bytes to leave free.
        """
        with self.ballast.open("ab") as file:
            for size in (MIB, 4096):
                with contextlib.suppress(OSError):
                    while shutil.disk_usage(self.root).free - size >= leave:
                        os.write(file.fileno(), bytes(size))
            os.fsync(file.fileno())

    def free(self) -> None:
        """Frees the space again."""
        self.ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[Disk]:
    """Mounts a disk, or skips the calling test; the disk is always unmounted at the end.

    Args:
        size: Size in bytes, of which the file system uses some itself.
    """
    need(os.geteuid() == 0 and shutil.which("mount"), "a disk that a test may fill", "run the tests as root")
    with tempfile.TemporaryDirectory(prefix="zegel-disk-") as folder:
        image, root = Path(folder) / "image", Path(folder) / "disk"
        root.mkdir()
        with image.open("wb") as file:
            file.truncate(size)
        made = _run("mkfs.ext4", "-q", "-m", "0", str(image)) and _run("mount", "-o", "loop", str(image), str(root))
        made = made or _run("mount", "-t", "tmpfs", "-o", f"size={size}", "zegel-test", str(root))
        need(made, "a disk that a test may fill", "run the tests where mount(8) is allowed")
        try:
            yield Disk(root)
        finally:
            # Lazily, in case a process still uses it: otherwise the folder could never be removed.
            _run("umount", str(root)) or _run("umount", "-l", str(root))


def _run(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
