"""Rows of a hub dataset at one commit."""

import logging
import re
from collections.abc import Mapping

from dgr.data.rows import Table

log = logging.getLogger(__name__)
COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve_revision(repo: str, kind: str, revision: str | None) -> str | None:
    """The commit that a branch or tag points at now; None if the hub cannot be asked. `kind`: "dataset" or "model"."""
    if revision and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        commit = HfApi().repo_info(repo, repo_type=kind, revision=revision).sha
    except (
        HTTPError,
        OSError,
    ) as error:  # the client's own HTTPError covers a refused connection, OSError offline mode
        log.warning("%s: cannot ask the hub which commit %r is (%s)", repo, revision, type(error).__name__)
        return None
    log.warning("%s: revision %r is commit %s; pin it to repeat this run later", repo, revision, commit)
    return commit


def load_table(repo: str, revision: str, split: str, config: str | None, key: str, options: Mapping) -> Table:
    """All rows of one split; ValueError if they cannot be had.

    `key` is how the command line calls what is loaded; `options` are further arguments of `load_dataset`.
    """
    from datasets import load_dataset
    from huggingface_hub.errors import HTTPError

    commit = resolve_revision(repo, "dataset", revision)
    origin = f"{repo} ({split}, revision {commit or revision})"
    try:
        rows = load_dataset(repo, name=config, split=split, revision=commit or revision, **options)
    except (HTTPError, OSError, ValueError) as error:  # a wrong name, config or split, no access, no network
        raise ValueError(
            f"{origin} cannot be loaded: {error}; check hub, split and config of {key}, set HF_TOKEN in the "
            f"environment for a gated dataset, or give a local copy as {key}.path"
        ) from error
    return Table(origin, [(number, dict(row)) for number, row in enumerate(rows, start=1)], revision=commit)
