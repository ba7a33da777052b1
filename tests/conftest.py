"""What tests of several folders share."""

import subprocess

import pytest
from small_disk import mounted


@pytest.fixture
def disk(tmp_path):
    """A disk of 4 MB."""
    disk = mounted(tmp_path / "disk", "4m")
    if isinstance(disk, str):
        pytest.skip(disk)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk.path)], check=True)
