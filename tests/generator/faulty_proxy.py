"""A proxy between client and server on loopback that loses, refuses, spoils and delays what it is told to."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

DROP, CUT, SPOIL, SLOW = "connection dropped", "reply cut off", "broken JSON", "slow"


@dataclass
class Answer:
    """An answer of the proxy's own, instead of the server's."""

    status: int
    body: dict
    headers: dict = field(default_factory=dict)
    delay: float = 0.0


@dataclass
class Seen:
    """One request that arrived: when, what it held, what was done to it, and whether it was served in full."""

    at: float
    path: str
    headers: dict
    body: dict
    action: object
    served: bool = False


class Proxy:
    """Listens on `url`. `plan(number, body)` is asked about every request (the first is 1): None lets it pass.

    `slowness` is how many seconds SLOW takes; `peak` counts the most requests that were open at once.
    """

    def __init__(self, upstream: int | None = None) -> None:
        self.upstream, self.seen, self.open, self.peak, self.slowness = upstream, [], 0, 0, 0.5
        self.plan: Callable[[int, dict], object] = lambda number, body: None
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def reset(self) -> None:
        self.seen, self.peak, self.slowness = [], 0, 0.5
        self.plan = lambda number, body: None

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(10)

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_soon(self._loop.stop)

    def _run(self, started: threading.Event) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        self._loop.close()

    async def _connected(self, reader, writer) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            seen = Seen(time.monotonic(), first.split()[1], headers, json.loads(body), None)
            self.seen.append(seen)
            seen.action = self.plan(len(self.seen), seen.body)
            self.open += 1
            self.peak = max(self.peak, self.open)
            try:
                await self._serve(first, body, seen, writer)
            finally:
                self.open -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    async def _serve(self, first, body, seen, writer) -> None:
        if seen.action == DROP:
            writer.transport.abort()
            return
        if isinstance(seen.action, Answer):
            raw = response(seen.action)
            await asyncio.sleep(seen.action.delay)
        else:
            raw = await self._forward(first, body)
        if seen.action == CUT:
            raw = raw[: len(raw) - 40]
        if seen.action == SPOIL:
            head, _, text = raw.partition(b"\r\n\r\n")
            raw = head + b"\r\n\r\n" + b"<" * len(text)
        if seen.action == SLOW:
            await asyncio.sleep(self.slowness)
        writer.write(raw)
        await writer.drain()
        seen.served = seen.action in (None, SLOW)

    async def _forward(self, first: str, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        head = f"{first}\r\nhost: upstream\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        raw = await reader.read()
        writer.close()
        return raw


def response(answer: Answer) -> bytes:
    body = json.dumps(answer.body).encode()
    headers = {**answer.headers, "content-type": "application/json", "content-length": len(body), "connection": "close"}
    lines = [f"HTTP/1.1 {answer.status} x", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def completion(
    text: str, finish_reason: str | None = "stop", prompt_tokens: int = 0, completion_tokens: int = 3
) -> Answer:
    """What an OpenAI-compatible server answers to a completion."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return Answer(200, {"choices": [{"text": text, "finish_reason": finish_reason}], "usage": usage})
