"""Sends a flow's request with httpx and hands back the plain response that the flow judges."""

import httpx

from jwtdrill.flows.exchange import Request, Response

MOST_BODY_BYTES = 1024 * 1024


async def send(client: httpx.AsyncClient, request: Request) -> Response:
    """What came back, or why nothing came. Redirects are not followed: they are answers to be judged."""
    try:
        answer = await client.request(
            request.method, request.url, headers=dict(request.headers), content=request.body, follow_redirects=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Response(0, error=type(error).__name__)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, answer.content[:MOST_BODY_BYTES])
