"""One fetch of a key set, within bounds of time and size, that never leaves the origin it was sent to."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from jwtdrill.verify.keyset import KeySetError, TrustedKey, parse_keyset

USER_AGENT = "jwtdrill"
_REDIRECTS = 3
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_LONGEST_AGE = 2.0**31  # RFC 9111 section 1.2.2
_NO_STORE = re.compile(r"(?:^|[,\s])(?:no-store|no-cache)(?:$|[,\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """`timeout`: seconds for the whole fetch, whatever the server trickles; `max_bytes`: of the body."""

    timeout: float = 5.0
    max_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Fetched:
    """A good key set. `max_age`: seconds that it may still be kept (RFC 9111 section 4.2), None if unsaid.

    age: seconds that caches on the way had held it, as they say (RFC 9111 section 5.1).
    """

    keys: tuple[TrustedKey, ...]
    max_age: float | None
    age: float = 0.0


class FetchError(Exception):
    """The key set could not be had; the message says why in a few words."""


def fetch_keyset(url: str, limits: FetchLimits, tls: ssl.SSLContext, user_agent: str = USER_AGENT) -> Fetched:
    """Fetch the key set at `url`. Raises FetchError for whatever is not a good set within the limits.

    Runs an event loop of its own, since only there a time limit holds for the whole exchange, whatever trickles. Not
    with asyncio.run, which at its end waits for a name look-up that hangs.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_fetch(url, limits, tls, user_agent))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _fetch(url: str, limits: FetchLimits, tls: ssl.SSLContext, user_agent: str) -> Fetched:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": user_agent}
    try:
        async with asyncio.timeout(limits.timeout), httpx.AsyncClient(verify=tls, timeout=None) as client:  # noqa: S113
            current = httpx.URL(url)
            for _ in range(_REDIRECTS + 1):
                async with client.stream("GET", current, headers=headers) as response:
                    if response.next_request is None:
                        return await _read(response, limits)
                    current = _same_origin(current, response.next_request.url)
            raise FetchError(f"more than {_REDIRECTS} redirects")
    except TimeoutError:
        raise FetchError(f"not done within {limits.timeout:g} s") from None
    except KeySetError as error:
        raise FetchError(str(error)) from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise FetchError(type(error).__name__) from None


def max_age_of(headers: Mapping[str, str]) -> float | None:
    """Seconds of freshness left by Cache-Control and Age; 0 for no-store and no-cache; None if unsaid."""
    control = headers.get("cache-control", "")
    if _NO_STORE.search(control):
        return 0.0
    found = _MAX_AGE.search(control)
    if found is None:
        return None
    return max(0.0, float(found[1]) - age_of(headers))


def age_of(headers: Mapping[str, str]) -> float:
    """Seconds since a cache on the way had it from its origin; 0 where none says so. No longer than RFC 9111 allows."""
    age = headers.get("age", "0")
    return min(float(age), _LONGEST_AGE) if age.isascii() and age.isdecimal() else 0.0


def _same_origin(here: httpx.URL, there: httpx.URL) -> httpx.URL:
    if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
        raise FetchError("a redirect to another origin")
    return there


async def _read(response: httpx.Response, limits: FetchLimits) -> Fetched:
    if response.status_code != httpx.codes.OK:
        raise FetchError(f"status {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("an encoded body was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limits.max_bytes:
            raise FetchError(f"a body of more than {limits.max_bytes} bytes")
    return Fetched(parse_keyset(bytes(body)), max_age_of(response.headers), age_of(response.headers))
