"""One HTTP endpoint that takes and gives JSON: what is tried again, for how long, and what is given up at once."""

import email.utils
import json
import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from httpx2 import Response
    from tenacity import RetryCallState

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

BUSY = (408, 409, 425, 429)  # and every 5xx: the same request may succeed later
EXHAUSTED = "insufficient_quota"  # a 429 that no waiting helps
BACKOFF, LONGEST = 1.0, 60.0  # seconds: the first waits are up to BACKOFF, then twice as long each time, up to LONGEST
CONNECT = 30.0  # seconds for a connection to be made


class Unavailable(Exception):
    """The endpoint could not answer this time; `wait` is how many seconds it asked to be left alone."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class Endpoint:
    """Where requests are posted. `key` goes into the header of the requests and nowhere else; `where` is the node of
    the config that errors point to."""

    def __init__(self, url: str, key: str | None, concurrency: int, timeout: float, attempts: int, where: str) -> None:
        import httpx2

        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs a line a request
        self.url, self.attempts, self.where = url, attempts, where
        self._key = key
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(timeout, connect=min(timeout, CONNECT), pool=None),
            limits=httpx2.Limits(max_connections=concurrency),
        )

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(self, body: dict[str, Any], read: Callable[[Any], Answer]) -> Answer:
        """What `read` makes of the JSON that answers; it may raise Unavailable to have the request made again.

        Raises ValueError for what trying again cannot help, RuntimeError after the last attempt.
        """
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_attempt(self.attempts),
            wait=pause,
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return await retrying(self._post_once, body, read)
        except Unavailable as error:
            raise RuntimeError(
                f"{self.url}: no answer in {self.attempts} attempts, at last {error}; "
                "every reply so far is kept, start the same command again to go on"
            ) from None

    async def _post_once(self, body: dict[str, Any], read: Callable[[Any], Answer]) -> Answer:
        import httpx2

        try:
            response = await self._client.post(self.url, json=body)
        except httpx2.RequestError as error:
            raise Unavailable(self._hidden(f"{type(error).__name__} {error}".strip())) from None
        text = self._hidden(response.text)
        said = message(text)
        if EXHAUSTED not in said and (response.status_code in BUSY or response.status_code >= 500):
            raise Unavailable(f"HTTP {response.status_code}: {said}", retry_after(response))
        if response.status_code in (401, 403):
            raise ValueError(
                f"{self.url} refuses the API key (HTTP {response.status_code}); check the variable that "
                f"{self.where}.api_key_env names, and that the key may use this model"
            )
        if response.status_code != 200:
            raise ValueError(f"{self.url} answers HTTP {response.status_code}: {said}")
        try:
            answer = json.loads(text)
        except ValueError:
            raise Unavailable("HTTP 200 with broken JSON") from None
        return read(answer)

    def _hidden(self, text: str) -> str:
        """The text without the key, should a server or a library repeat it."""
        return text.replace(self._key, "***") if self._key else text


def pause(state: "RetryCallState") -> float:
    """Seconds until the next attempt: what the server asks for, and a random part that spreads the requests."""
    from tenacity import wait_random_exponential

    asked = state.outcome.exception().wait
    return asked + wait_random_exponential(multiplier=BACKOFF, max=LONGEST)(state)


def retry_after(response: "Response") -> float:
    """Seconds in the Retry-After header, given as a number or as a date; 0 where there is none."""
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def message(text: str) -> str:
    """What the server says, cut to a readable length: the message inside the JSON of an error, else the text."""
    try:
        said = json.loads(text)
        said = said.get("error", said.get("detail", said)) if isinstance(said, dict) else said
        text = said if isinstance(said, str) else json.dumps(said)
    except ValueError:
        pass  # a proxy's page, say
    return " ".join(text.split())[:400]


def _log_retry(state: "RetryCallState") -> None:
    log.warning(
        "attempt %d: %s; again in %.1f s", state.attempt_number, state.outcome.exception(), state.upcoming_sleep
    )
