"""Which code made a result."""

import subprocess
from importlib.metadata import PackageNotFoundError, version

from dgr.naming import PROJECT


def code_version() -> dict[str, str | bool]:
    """The package's version and, in a checkout, the commit and whether files differ from it."""
    try:
        found: dict[str, str | bool] = {"version": version("dgr")}
    except PackageNotFoundError:
        found = {}
    if (PROJECT / ".git").exists():
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
        found |= {} if commit is None else {"commit": commit}
        found |= {} if changes is None else {"changed": bool(changes)}
    return found


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
