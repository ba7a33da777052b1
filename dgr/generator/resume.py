"""What every generator does around its work: read the journal, make what is missing, write each reply as it comes."""

from collections.abc import Callable
from dataclasses import asdict

from dgr import stopping
from dgr.generator import Reply, Request
from dgr.store import Journal

Keep = Callable[[list[Reply]], None]


def resumed(requests: list[Request], journal: Journal, make: Callable[[list[Request], Keep], None]) -> dict[str, Reply]:
    """Replies by request id, in the order of the requests; those in the journal are not made again.

    `make` is given the requests without a reply, and what to call with replies as they are finished: they are in the
    journal when that call returns. Raises ValueError for two prompts under one id.
    """
    wanted = by_id(requests)

    def kept() -> dict[str, Reply]:
        return {key: Reply(**record) for key, record in journal.read().items() if key in wanted}

    replies = kept()
    if len(replies) == len(wanted):  # whoever holds the lock makes what nobody here waits for
        return {request_id: replies[request_id] for request_id in wanted}
    with journal.locked():
        replies = kept()
        missing = [request for request in wanted.values() if request.id not in replies]

        def keep(group: list[Reply]) -> None:
            with stopping.finishing():
                journal.append(map(asdict, group))
                replies.update((reply.id, reply) for reply in group)

        if missing:
            make(missing, keep)
    return {request_id: replies[request_id] for request_id in wanted}


def by_id(requests: list[Request]) -> dict[str, Request]:
    """Requests by id, one each; ValueError where two different prompts share an id."""
    wanted: dict[str, Request] = {}
    for request in requests:
        if wanted.setdefault(request.id, request) != request:
            raise ValueError(f"two different prompts have the request id {request.id!r}; ids must tell prompts apart")
    return wanted
