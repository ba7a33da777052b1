"""A small file system in memory, to be filled and made read-only."""

import os
import subprocess
from pathlib import Path


class SmallDisk:
    """A file system of its own in memory, which can be filled and made read-only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ballast = path / "ballast"

    def fill(self, leaving: int = 0) -> None:
        """Take all space but so many bytes; it is given out in pages of 4096."""
        free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
        with self.ballast.open("ab") as file:
            file.write(bytes(max(0, free - leaving)))

    def free(self) -> None:
        self.ballast.unlink(missing_ok=True)

    def read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)


def mounted(path: Path, size: str) -> SmallDisk | str:
    """A disk of that size, or why there cannot be one."""
    path.mkdir(parents=True)
    if os.getuid():
        return "mounting a small file system takes root"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else SmallDisk(path)
