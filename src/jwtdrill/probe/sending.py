"""Sends a flow's request with httpx and hands back the plain response that the flow judges."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace

import httpx

from jwtdrill.flows.exchange import HUNG_UP, Request, Response
from jwtdrill.flows.proof import Prover

MOST_BODY_BYTES = 1024 * 1024
_LONGEST = 30.0  # seconds for all of an answer
_CERTIFICATE_ALERT = "TLS alert"
_ENDED = (_CERTIFICATE_ALERT, "ReadError", "WriteError", "RemoteProtocolError")


async def send(client: httpx.AsyncClient, request: Request) -> Response:
    """What came back, or why nothing came; of a body no more than `MOST_BODY_BYTES`.

    Redirects are not followed: they are answers to be judged.
    A request with a certificate of its own has a connection of its own.
    """
    if request.tls is not None:
        async with httpx.AsyncClient(verify=request.tls, timeout=client.timeout) as certified:
            response = await send(certified, replace(request, tls=None))
        return replace(response, error=HUNG_UP) if response.error in _ENDED else response
    body = bytearray()
    try:
        async with (
            asyncio.timeout(_LONGEST),
            client.stream(
                request.method, request.url, headers=dict(request.headers), content=request.body, follow_redirects=False
            ) as answer,
        ):
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MOST_BODY_BYTES:
                    break
    except TimeoutError:
        return Response(0, error="timeout")
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:  # an alert after the handshake comes bare
        return Response(0, error=_CERTIFICATE_ALERT if _is_alert(error) else type(error).__name__)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, bytes(body[:MOST_BODY_BYTES]))


async def send_proved(
    client: httpx.AsyncClient, prover: Prover, build: Callable[[], Request], token: str | None = None
) -> Response:
    """The same for a request with a proof; built and sent again where the server wants a nonce (RFC 9449 section 8)."""
    request = build()
    response = await send(client, prover.proved(request, token))
    if prover.wants_again(request.url, response):
        response = await send(client, prover.proved(build(), token))
        prover.wants_again(request.url, response)
    return response


def _is_alert(error: BaseException | None) -> bool:
    """Whether the server ended the handshake with an alert about our certificate, or the want of one."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return "ALERT" in (error.reason or "")
        error = error.__cause__ or error.__context__
    return False
