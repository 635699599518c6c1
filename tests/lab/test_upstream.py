"""Who was let in is passed on, and takes along nothing that the service behind would believe."""

import asyncio

import httpx

from jwtdrill.lab.upstream import Upstream


def sent_on(answer: httpx.Response | Exception, **request: object) -> tuple[list[httpx.Request], httpx.Response]:
    seen: list[httpx.Request] = []

    def behind(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    upstream = Upstream("http://behind:1")
    upstream._client = httpx.AsyncClient(transport=httpx.MockTransport(behind))

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(upstream), base_url="http://front") as client:
            return await client.request("PUT", "/orders?a=b", **request)  # type: ignore[arg-type]

    return seen, asyncio.run(call())


def test_method_path_and_body_arrive_and_the_answer_comes_back() -> None:
    there = httpx.Response(201, text="made", headers={"content-type": "text/x", "set-cookie": "a=b"})
    [request], answer = sent_on(there, content=b"body", headers={"Content-Type": "text/plain"})
    assert (request.method, str(request.url), request.content) == ("PUT", "http://behind:1/orders", b"body")
    assert request.headers["content-type"] == "text/plain"
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (201, "made", "text/x; charset=utf-8")


def test_headers_by_which_a_client_could_pose_stay_behind() -> None:
    headers = {"Authorization": "Bearer t", "X-User": "admin", "Host": "other", "Cookie": "c", "Forwarded": "for=x"}
    [request], _ = sent_on(httpx.Response(200), headers=headers)
    assert not {"authorization", "x-user", "cookie", "forwarded"} & set(request.headers)
    assert request.headers["host"] == "behind:1"


def test_a_service_that_is_gone_is_a_502_and_a_body_is_bounded() -> None:
    assert sent_on(httpx.ConnectError("refused"))[1].status_code == 502
    seen, answer = sent_on(httpx.Response(200), content=b"x" * (1024 * 1024 + 1))
    assert (seen, answer.status_code) == ([], 413)
