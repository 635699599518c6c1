"""Sends a flow's request with httpx and hands back the plain response that the flow judges."""

import asyncio
import ssl
from dataclasses import replace

import httpx

from jwtdrill.flows.exchange import HUNG_UP, Request, Response

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


def _is_alert(error: BaseException | None) -> bool:
    """Whether the server ended the handshake with an alert about our certificate, or the want of one."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return "ALERT" in (error.reason or "")
        error = error.__cause__ or error.__context__
    return False
