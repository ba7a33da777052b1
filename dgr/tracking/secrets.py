"""Secrets of the environment: is there a W&B login, and no secret in what is sent or logged."""

import netrc
import os
import re
from typing import Any
from urllib.parse import urlsplit

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
SHORTEST = 8  # characters; shorter values are words like "true"


def logged_in() -> bool:
    """Is there a W&B key, where wandb looks for one? Nobody is asked for it, and nothing heavy is imported."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def without_secrets(value: Any) -> Any:
    """The same value with the content of secret variables of the environment blotted out of its texts."""
    secrets = [text for name, text in os.environ.items() if SECRET_NAME.search(name) and len(text) >= SHORTEST]
    return _blotted(value, sorted(secrets, key=len, reverse=True))


def _blotted(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, dict):
        return {key: _blotted(inner, secrets) for key, inner in value.items()}
    return [_blotted(inner, secrets) for inner in value] if isinstance(value, list | tuple) else value
