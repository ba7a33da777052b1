"""A server with OpenAI's interface: what can be wrong with its settings, and many requests to it at once."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import urlsplit

from dgr.generator import Reply, Request
from dgr.generator.endpoint import Endpoint


class Server(Protocol):
    """`api_key_env` names the environment variable with the key; None is for a server without one."""

    base_url: str
    api_key_env: str | None
    concurrency: int
    timeout: float
    max_attempts: int


def server_problems(server: Server, where: str) -> list[str]:
    """What keeps a server from being asked; `where` is the node of the config that the settings stand in."""
    found = [*_url_problems(server.base_url, where), *_key_problems(server.api_key_env, where)]
    for key in ("concurrency", "max_attempts"):
        if getattr(server, key) < 1:
            found.append(f"{where}.{key}={getattr(server, key)}: must be at least 1")
    if server.timeout <= 0:
        found.append(f"{where}.timeout={server.timeout}: must be above 0 seconds")
    if not all(map(find_spec, ("httpx2", "tenacity"))):
        found.append(f"{where}: asking a server needs packages that are not installed: pip install 'dgr[openai]'")
    return found


def ask_all(
    server: Server,
    path: str,
    where: str,
    requests: Sequence[Request],
    body: Callable[[Request], dict[str, Any]],
    read: Callable[[Request, Any], Reply],
    answered: Callable[[Reply], None],
) -> None:
    """Post every request's body to `base_url`/`path`, `concurrency` at once; each reply is handed on as it comes.

    Raises ValueError where the key is unusable or the server refuses, RuntimeError where it stays away.
    """
    for problem in _key_problems(server.api_key_env, where):
        raise ValueError(problem)
    key = os.environ[server.api_key_env] if server.api_key_env else None
    url = f"{server.base_url.rstrip('/')}/{path}"

    async def all_of_them() -> None:
        waiting = iter(requests)
        limits = (server.concurrency, server.timeout, server.max_attempts)
        async with Endpoint(url, key, *limits, where) as endpoint:

            async def in_turn() -> None:
                for request in waiting:
                    answered(await endpoint.post(body(request), partial(read, request)))

            await asyncio.gather(*(in_turn() for _ in range(min(server.concurrency, len(requests)))))

    asyncio.run(all_of_them())


def _url_problems(base_url: str, where: str) -> Iterator[str]:
    try:
        url = urlsplit(base_url)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        yield f"{where}.base_url={base_url}: give a URL such as http://127.0.0.1:8000/v1"
    elif url.username or url.password or url.query or url.fragment:
        yield (
            f"{where}.base_url (host {url.hostname}): no user, password or query may be in it, it is written to "
            f"files; put the key into the variable that {where}.api_key_env names"
        )
    elif url.path.rstrip("/").endswith("completions"):
        yield f"{where}.base_url={base_url}: give it without the endpoint, up to /v1"


def _key_problems(name: str | None, where: str) -> Iterator[str]:
    if name is None:
        return
    if not name.isidentifier():  # somebody may have put the key itself here: do not repeat it
        yield f"{where}.api_key_env is no name of a variable; give the name, never the key (null: no key)"
    elif not os.environ.get(name):
        yield (
            f"{where}.api_key_env={name}: that variable is not set; export it with the API key, or set "
            f"{where}.api_key_env=null for a server without one"
        )
    elif not _is_header(os.environ[name]):
        yield f"{where}.api_key_env={name}: the key in it holds blanks or characters no key has"


def _is_header(key: str) -> bool:
    """Characters that a header may hold: an error about any other would quote the key."""
    return key.isascii() and key.isprintable() and " " not in key
