"""What each fault of the proxy does to the wire, for whom and when, and that two of them add up."""

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from tests.faults.test_proxy import NEW, OLD, Upstream, applied, kids, run

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import Site
from jwtdrill.faults.proxy import Listener
from jwtdrill.faults.registry import HTTP_FAULTS, make_fault
from jwtdrill.faults.route import Route
from jwtdrill.faults.settings import EdgeSettings
from jwtdrill.processes.supervisor import free_port
from jwtdrill.tokens.certificates import issued, self_signed
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.verify.fetch import FetchError, FetchLimits, fetch_keyset
from jwtdrill.verify.keyset import parse_key

Look = Callable[[httpx.AsyncClient], Awaitable[None]]


def under(name: str, params: dict[str, object], look: Look, *, keys: list[dict[str, str]] | None = None) -> None:
    """Look at the route while the fault is in force; afterwards it passes through again."""

    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        await client.get("/jwks")
        upstream.keys = keys or [OLD]
        undo = await applied(site, name, params)
        await look(client)
        await undo()
        await undo()
        assert kids(await client.get("/jwks")) == [key["kid"] for key in upstream.keys]

    run(check)


def test_not_modified_is_said_to_those_too_who_hold_nothing() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        for headers in ({}, {"If-None-Match": '"mine"'}):
            answer = await client.get("/jwks", headers=headers)
            assert (answer.status_code, answer.content) == (304, b"")

    under("jwks.not_modified", {}, look)


def test_after_its_headers_it_hangs() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/jwks", timeout=0.5) as answer:
            assert (answer.status_code, int(answer.headers["content-length"])) == (200, 39)
            with pytest.raises(httpx.ReadTimeout):
                await answer.aread()

    under("jwks.hang_after_headers", {}, look)


def test_who_hangs_after_the_headers_is_let_go_when_the_fault_ends() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.hang_after_headers", {})
        waiting = asyncio.create_task(client.get("/jwks", timeout=10))
        await asyncio.sleep(0.3)
        await undo()
        with pytest.raises(httpx.TransportError):
            await asyncio.wait_for(waiting, 1)

    run(check)


def test_a_reset_comes_in_the_middle_of_the_body() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/jwks") as answer:
            with pytest.raises(httpx.TransportError):
                await answer.aread()
        assert 0 < answer.num_bytes_downloaded < int(answer.headers["content-length"])

    under("jwks.reset", {}, look)


def test_a_truncated_document_is_whole_http_and_no_json() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks")
        assert len(answer.content) == int(answer.headers["content-length"]) == 19
        with pytest.raises(ValueError):
            answer.json()

    under("jwks.truncated", {}, look)


@pytest.mark.parametrize("status", [200, 503])
def test_a_page_for_people_comes_instead(status: int) -> None:
    async def look(client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert answer.text.startswith("<!doctype html>")

    under("jwks.html", {"status": status}, look)


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("jwks.empty_set", {}, []),
        ("jwks.missing_newest_key", {}, ["old"]),
        ("jwks.missing_oldest_key", {}, ["new"]),
    ],
)
def test_keys_are_missing(name: str, params: dict[str, object], expected: list[str]) -> None:
    async def look(client: httpx.AsyncClient) -> None:
        assert kids(await client.get("/jwks")) == expected
        conditional = await client.get("/jwks", headers={"If-None-Match": '"x"'})
        assert kids(conditional) == expected
        assert "etag" not in conditional.headers

    under(name, params, look, keys=[OLD, NEW])


def test_extra_keys_stand_before_the_right_ones() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        found = kids(await client.get("/jwks"))
        assert (len(found), found[-2:]) == (9, ["old", "new"])

    under("jwks.extra_keys", {"count": 7}, look, keys=[OLD, NEW])


def test_malformed_keys_stand_beside_good_ones_and_are_no_keys() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks")
        assert answer.json()["keys"][-1] == OLD
        decoys = answer.json()["keys"][:-1]
        assert len(decoys) >= 8
        assert [parse_key(decoy) for decoy in decoys] == [None] * len(decoys)

    under("jwks.malformed_keys", {}, look)


def test_a_kid_has_another_key_and_always_the_same() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        first, second = [(await client.get("/jwks")).json()["keys"] for _ in range(2)]
        assert first == second
        assert [key["kid"] for key in first] == ["old", "new"]
        assert first[0] == OLD
        assert first[1].keys() > NEW.keys()

    under("jwks.wrong_key", {}, look, keys=[OLD, NEW])


def test_a_huge_body_is_json_still() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks")
        assert len(answer.content) > 3 * 1024 * 1024
        assert kids(answer) == ["old"]

    under("jwks.huge_body", {"megabytes": 3}, look)


def test_a_redirect_leads_in_a_circle_or_elsewhere() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks?x=1")
        assert (answer.status_code, answer.headers["location"]) == (302, "/jwks?x=1")

    under("jwks.redirect", {}, look)

    async def elsewhere(client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks")
        assert (answer.status_code, answer.headers["location"]) == (307, "https://other.example/jwks")

    under("jwks.redirect", {"status": 307, "location": "https://other.example/jwks"}, elsewhere)


def test_another_media_type() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks")
        assert answer.headers.get_list("content-type") == ["text/plain"]
        assert kids(answer) == ["old"]

    under("jwks.content_type", {"value": "text/plain"}, look)


@pytest.mark.parametrize(
    ("age", "says"), [(31536000, "public, max-age=31536000, immutable"), (0, "no-store, max-age=0")]
)
def test_cache_headers_hostile_in_both_directions(age: int, says: str) -> None:
    async def look(client: httpx.AsyncClient) -> None:
        assert (await client.get("/jwks")).headers.get_list("cache-control") == [says]

    under("jwks.cache_headers", {"max_age": age}, look)


def test_latency_spreads() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        times = [(await client.get("/jwks")).elapsed.total_seconds() for _ in range(12)]
        assert min(times) < 0.1 < max(times) <= 0.3

    under("jwks.latency", {"seconds": 0.1, "spread": 0.1}, look)


# Whom it concerns


def test_only_those_callers_meet_with_it_that_are_named() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        seen = {agent: (await client.get("/jwks", headers={"User-Agent": agent})).status_code for agent in ("a/1", "b")}
        assert seen == {"a/1": 503, "b": 200}

    under("jwks.status", {"agents": ["a/*"]}, look)


@pytest.mark.parametrize(("network", "status"), [("127.0.0.0/8", 503), ("10.0.0.0/8", 200)])
def test_only_those_addresses_meet_with_it_that_are_named(network: str, status: int) -> None:
    async def look(client: httpx.AsyncClient) -> None:
        assert (await client.get("/jwks")).status_code == status

    under("jwks.status", {"addresses": [network]}, look)


def test_a_share_of_the_requests_meets_with_it() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        failed = sum([(await client.get("/jwks")).status_code == 503 for _ in range(200)])
        assert 30 < failed < 100  # of 200 at 0.3: five standard deviations

    under("jwks.status", {"share": 0.3}, look)


def test_flapping_it_comes_and_goes() -> None:
    async def look(client: httpx.AsyncClient) -> None:
        seen = []
        for _ in range(24):
            seen.append((await client.get("/jwks")).status_code)
            await asyncio.sleep(0.05)
        changes = sum(one != other for one, other in itertools.pairwise(seen))
        assert seen[0] == 503
        assert 2 <= changes <= 8

    under("jwks.status", {"flapping": 0.4}, look)


def test_refused_for_some_only_is_a_reset_for_these() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.refused", {"agents": ["a"]})
        with pytest.raises(httpx.TransportError):
            await client.get("/jwks", headers={"User-Agent": "a"})
        assert kids(await client.get("/jwks", headers={"User-Agent": "b"})) == ["old"]
        await undo()
        assert kids(await client.get("/jwks", headers={"User-Agent": "a"})) == ["old"]

    run(check, alone=True)


def test_a_fault_of_one_route_leaves_the_others_of_its_listener_alone() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.refused", {})
        with pytest.raises(httpx.TransportError):
            await client.get("/jwks")
        assert (await client.get("/jwksother")).status_code == 200
        assert (await client.get("/token")).status_code == 200
        with pytest.raises(httpx.TransportError):
            await client.get("/jwks/below?x")
        await undo()
        undo = await applied(site, "all.status", {})
        assert [(await client.get(path)).status_code for path in ("/jwks", "/token")] == [200, 503]
        await undo()

    run(check)


def test_two_faults_of_one_route_add_up() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        below = await applied(site, "jwks.empty_set", {"agents": ["a"]})
        above = await applied(site, "jwks.latency", {"seconds": 0.2})
        for agent, expected in (("a", []), ("b", ["old"])):
            answer = await client.get("/jwks", headers={"User-Agent": agent})
            assert kids(answer) == expected
            assert answer.elapsed.total_seconds() >= 0.2
        await below()
        assert kids(await client.get("/jwks", headers={"User-Agent": "a"})) == ["old"]
        await above()
        assert (await client.get("/jwks")).elapsed.total_seconds() < 0.2

    run(check)


def test_stale_wants_to_know_which_document_where_a_route_is_for_many() -> None:
    site = Site({"all": Route("all", "http://127.0.0.1:1")})
    with pytest.raises(BadInputError, match=r"all\.stale: give the path"):
        make_fault("all.stale", {}).check(site)
    make_fault("all.stale", {"path": "/jwks"}).check(site)


def test_every_fault_of_the_proxy_is_put_on_every_route_by_its_name() -> None:
    for kind in HTTP_FAULTS:
        assert make_fault(f"token.{kind}", {}).route == "token"  # type: ignore[attr-defined]


# TLS


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(
    ("wrong", "says"), [("expired", "certificate has expired"), ("other_name", "certificate is not valid for")]
)
def test_a_certificate_is_wrong_in_one_way_and_right_again_afterwards(
    tmp_path: Path, wrong: str, says: str, ours: bool
) -> None:
    authority = self_signed("authority", authority=True)
    (tmp_path / "server.pem").write_bytes(issued("127.0.0.1", authority).pem)
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    held = str(tmp_path / "authority.pem") if ours else ""
    edge = EdgeSettings(str(tmp_path / "server.pem"), authority_file=held).edge()
    trust = ssl.create_default_context(cadata=authority.certificate_pem.decode())

    async def main() -> None:
        server = await asyncio.start_server(_answers_ok, "127.0.0.1", 0)
        upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listener = Listener(free_port(), [Route("jwks", upstream)], edge)
        await listener.open()
        async with httpx.AsyncClient(verify=trust, base_url=f"https://127.0.0.1:{listener.port}") as client:
            assert (await client.get("/")).status_code == 200
            undo = await applied(Site({"jwks": listener.routes[0]}), "jwks.certificate", {"wrong": wrong})
            with pytest.raises(httpx.TransportError):  # the connection that was open is dropped
                await client.get("/")
            with pytest.raises(httpx.ConnectError, match=says if ours else "certificate"):
                await client.get("/")
            await undo()
            await undo()
            assert (await client.get("/")).status_code == 200
        await listener.close()
        server.close()

    asyncio.run(asyncio.wait_for(main(), 30))


async def _answers_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


def test_without_tls_there_is_no_certificate_to_be_wrong() -> None:
    route = Route("jwks", "http://127.0.0.1:1")
    Listener(1, [route])
    with pytest.raises(BadInputError, match="no TLS ends at this route"):
        make_fault("jwks.certificate", {}).check(Site({"jwks": route}))


# What a careful verifier makes of them


MEETS = {
    "refused": "ReadError",
    "status": "status 503",
    "not_modified": "304",
    "hang": "not done within 1 s",
    "hang_after_headers": "not done within 1 s",
    "reset": "ReadError",
    "truncated": "JSON",
    "garbage": "JSON",
    "html": "JSON",
    "empty_set": "none that can be used",
    "huge_body": "a body of more than 262144 bytes",
    "redirect": "more than 3 redirects",
    "missing_newest_key": "none that can be used",
    "missing_oldest_key": "none that can be used",
    **dict.fromkeys(["cache_headers", "content_type", "extra_keys", "latency", "malformed_keys", "stale", "wrong_key"]),
}


@pytest.mark.parametrize("kind", sorted(set(HTTP_FAULTS) - {"certificate"}))
def test_our_own_fetch_meets_each_fault_with_a_reason_or_with_keys(kind: str) -> None:
    """With one key in the set; a certificate that is wrong is seen above."""

    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        upstream.keys = [SigningKey.generate(Algorithm.ES256, "old").public_jwk()]
        await client.get("/jwks")
        undo = await applied(site, f"jwks.{kind}", {"seconds": 0.2} if kind == "latency" else {})
        url, tls = f"http://127.0.0.1:{listener.port}/jwks", ssl.create_default_context()
        fetching = asyncio.to_thread(fetch_keyset, url, FetchLimits(timeout=1.0), tls)
        reason = MEETS[kind]
        if reason is None:
            assert "old" in [key.kid for key in (await fetching).keys]
        else:
            with pytest.raises(FetchError, match=reason):
                await fetching
        await undo()

    run(check)
