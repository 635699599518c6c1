"""The proxy passes everything through, and each fault does to the wire what its name says."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import Site
from jwtdrill.faults.proxy import Listener
from jwtdrill.faults.registry import make_fault
from jwtdrill.faults.route import Route
from jwtdrill.faults.settings import EdgeSettings
from jwtdrill.processes.supervisor import free_port
from jwtdrill.target.load import present
from jwtdrill.tokens.certificates import issued, self_signed
from jwtdrill.verify.certificate import forwarded

OLD, NEW = {"kid": "old", "kty": "EC"}, {"kid": "new", "kty": "EC"}


class Upstream:
    """A tiny HTTP server whose document a test sets."""

    def __init__(self) -> None:
        self.keys = [OLD]
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            self.requests += 1
            length = next((int(x[16:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length: ")), 0)
            body = await reader.readexactly(length)
            answer = body or json.dumps({"keys": self.keys}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nX-Path: %s\r\n" % head.split(b" ")[1])
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer))


Check = Callable[[Upstream, Listener, Site, httpx.AsyncClient], Awaitable[None]]


def run(check: Check, *, alone: bool = False) -> None:
    async def main() -> None:
        upstream = Upstream()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await upstream.serve(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        route = Route("jwks", f"http://127.0.0.1:{port}", ["/jwks"])
        other = Route("all", f"http://127.0.0.1:{port}")
        listener = Listener(free_port(), [route] if alone else [route, other])
        await listener.open()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", timeout=5) as client:
            await check(upstream, listener, Site({route.name: route for route in listener.routes}), client)
        await listener.close()
        server.close()

    asyncio.run(asyncio.wait_for(main(), 30))


async def applied(site: Site, name: str, params: dict[str, object]) -> Callable[[], Awaitable[None]]:
    """The fault in force; returns its undo."""
    fault = make_fault(name, params)
    fault.check(site)
    await fault.apply(site)
    return lambda: fault.undo(site)


def kids(answer: httpx.Response) -> list[str]:
    return [key["kid"] for key in answer.json()["keys"]]


def test_without_a_fault_everything_passes() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        answer = await client.get("/jwks?x=1")
        assert kids(answer) == ["old"]
        assert (answer.headers["x-path"], answer.headers["cache-control"]) == ("/jwks?x=1", "max-age=5")
        assert (await client.post("/echo", content=b"y" * 200_000)).content == b"y" * 200_000

    run(check)


@pytest.mark.parametrize(
    ("name", "params", "status"),
    [("jwks.status", {}, 503), ("jwks.status", {"status": 429, "retry_after": 7}, 429), ("jwks.garbage", {}, 200)],
)
def test_an_answer_of_the_faults_own(name: str, params: dict[str, object], status: int) -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, name, params)
        answer = await client.get("/jwks")
        assert answer.status_code == status
        assert upstream.requests == 0
        assert answer.headers.get("retry-after") == (str(params["retry_after"]) if "retry_after" in params else None)
        with pytest.raises(ValueError):
            answer.json()
        await undo()
        await undo()
        assert kids(await client.get("/jwks")) == ["old"]

    run(check)


def test_refused_means_that_nobody_listens_and_the_port_stays_ours() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        await client.get("/jwks")
        undo = await applied(site, "jwks.refused", {})
        for _ in range(3):
            with pytest.raises(httpx.TransportError):
                await client.get("/jwks")
        for reuse in (True, False):
            with pytest.raises(OSError):
                await asyncio.start_server(lambda r, w: None, "127.0.0.1", listener.port, reuse_address=reuse)
        await undo()
        await undo()
        assert kids(await client.get("/jwks")) == ["old"]

    run(check, alone=True)


def test_latency_delays_and_ends_with_the_fault() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.latency", {"seconds": 0.3})
        began = time.monotonic()
        assert kids(await client.get("/jwks")) == ["old"]
        assert time.monotonic() - began >= 0.3
        await undo()
        undo = await applied(site, "jwks.latency", {"seconds": 60})
        waiting = asyncio.create_task(client.get("/jwks"))
        await asyncio.sleep(0.1)
        await undo()
        assert kids(await waiting) == ["old"]

    run(check)


def test_a_hanging_request_is_let_go_when_the_fault_ends() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.hang", {})
        waiting = asyncio.create_task(client.get("/jwks", timeout=10))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await undo()
        with pytest.raises(httpx.TransportError):
            await waiting
        assert kids(await client.get("/jwks")) == ["old"]

    run(check)


def test_stale_serves_what_was_there_when_it_began() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.stale", {})
        upstream.keys = [NEW, OLD]
        answer = await client.get("/jwks")
        assert kids(answer) == ["old"]
        assert answer.headers["cache-control"] == "max-age=5"
        assert answer.headers["age"] == "0"
        await asyncio.sleep(1.1)
        assert (await client.get("/jwks")).headers["age"] == "1"
        await undo()
        fresh = await client.get("/jwks")
        assert (kids(fresh), "age" in fresh.headers) == (["new", "old"], False)
        await applied(site, "jwks.stale", {"says_age": False})
        assert "age" not in (await client.get("/jwks")).headers

    run(check)


def test_missing_newest_key_drops_the_key_that_came_last() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        await client.get("/jwks")
        undo = await applied(site, "jwks.missing_newest_key", {})
        upstream.keys = [OLD, NEW]
        assert kids(await client.get("/jwks")) == ["old"]
        await undo()
        assert kids(await client.get("/jwks")) == ["old", "new"]

    run(check)


def test_an_upstream_that_is_down_is_a_502() -> None:
    async def main() -> None:
        listener = Listener(free_port(), [Route("jwks", "http://127.0.0.1:1")])
        await listener.open()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{listener.port}/jwks")).status_code == 502
        await listener.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "sent", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b""]
)
def test_garbage_from_a_client_harms_nobody_else(sent: bytes) -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(sent)
        await writer.drain()
        writer.close()
        assert kids(await client.get("/jwks")) == ["old"]

    run(check)


async def raw(listener: Listener, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(request)
    data = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return data


def test_a_target_that_names_another_host_goes_nowhere() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        for target in (b"@127.0.0.1:1/x", b"http://127.0.0.1:1/x", b"*"):
            head = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            assert (await raw(listener, head)).startswith(b"HTTP/1.1 400 ")
        assert upstream.requests == 0

    run(check)


def test_head_and_expectations_are_served() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.status", {})
        assert (await client.head("/jwks")).status_code == 503
        await undo()
        head = b"POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(head)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100 ")
        writer.write(b"abc")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200 ")
        writer.close()

    run(check)


def test_a_client_that_left_is_not_waited_for() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        undo = await applied(site, "jwks.hang", {})
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n")
            await writer.drain()
            writer.close()
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not listener._connections:
                break
        assert not listener._connections
        await undo()

    run(check)


def test_requests_sent_ahead_are_answered_in_order() -> None:
    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        one = b"GET /%d HTTP/1.1\r\nHost: x\r\n%s\r\n"
        answers = await raw(listener, one % (1, b"") + one % (2, b"") + one % (3, b"Connection: close\r\n"))
        assert [line for line in answers.split(b"\r\n") if line.startswith(b"x-path")] == [
            b"x-path: /1",
            b"x-path: /2",
            b"x-path: /3",
        ]

    run(check)


def test_a_clock_fault_writes_the_offset_and_takes_it_back(tmp_path: Path) -> None:
    clock = tmp_path / "b.clock"
    site = Site(clocks={"b": clock})

    async def main() -> None:
        undo = await applied(site, "clock.skew", {"clock": "b", "seconds": -30})
        assert clock.read_text() == "-30\n"
        await undo()
        await undo()
        assert clock.read_text() == "+0\n"
        with pytest.raises(BadInputError, match="'c' cannot be moved: this agent can move b"):
            await applied(site, "clock.skew", {"clock": "c", "seconds": 1})

    asyncio.run(main())


def test_a_route_that_is_not_proxied_is_one_line() -> None:
    async def main() -> None:
        with pytest.raises(BadInputError, match="nothing is proxied as 'jwks'"):
            await applied(Site(), "jwks.status", {})

    asyncio.run(main())


def test_an_edge_tells_the_upstream_which_certificate_was_shown_and_lets_nobody_else_say_so(tmp_path: Path) -> None:
    """RFC 9440 section 2.4: what a client itself says of a certificate never arrives."""
    authority, told = self_signed("authority", authority=True), []
    device = issued("device", authority)
    (tmp_path / "server.pem").write_bytes(issued("127.0.0.1", authority).pem)
    (tmp_path / "authority.pem").write_bytes(authority.certificate_pem)
    (tmp_path / "secret").write_text("between us")
    server_pem, authority_pem, secret = (str(tmp_path / name) for name in ("server.pem", "authority.pem", "secret"))
    edge = EdgeSettings(server_pem, clients_ca_file=authority_pem, secret_file=secret).edge()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    def trusting(pem: bytes = b"") -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
        if pem:
            present(context, pem)
        return context

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listener = Listener(free_port(), [Route("edge", upstream, secret=edge.secret)], edge)
        await listener.open()
        lies = {name.decode(): value.decode() for name, value in forwarded(device.der, "between us")}
        for context in (trusting(device.pem), trusting()):
            async with httpx.AsyncClient(verify=context) as client:
                assert (await client.get(f"https://127.0.0.1:{listener.port}/", headers=lies)).status_code == 200
        async with httpx.AsyncClient(verify=trusting(self_signed("device").pem)) as client:
            with pytest.raises((httpx.HTTPError, ssl.SSLError)):
                await client.get(f"https://127.0.0.1:{listener.port}/")
        await listener.close()
        server.close()

    asyncio.run(asyncio.wait_for(main(), 30))
    shown, without = told
    name, value = forwarded(device.der, "between us")[0]
    assert shown.count(name + b": " + value) == 1
    assert b"client-cert" not in without
    assert b"between us" not in without


def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    """Nagle's algorithm would hold back the body for 40 ms where the client delays its own."""

    async def check(upstream: Upstream, listener: Listener, site: Site, client: httpx.AsyncClient) -> None:
        await client.get("/jwks")
        (writer,) = listener._connections
        assert writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(check)


class Keeps:
    """A server that keeps the head of each request, and always answers the same."""

    def __init__(self, answer: bytes) -> None:
        self.heads: list[bytes] = []
        self.answer = answer
        self.origin = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def before(kept: Keeps, paths: tuple[str, ...] = (), public: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A client of a listener that stands before that server."""
    server = await asyncio.start_server(kept, "127.0.0.1", 0)
    kept.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    listener = Listener(free_port(), [Route("x", kept.origin, paths, public)])
    await listener.open()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", timeout=5) as client:
        yield client
    await listener.close()
    server.close()


def test_one_callers_cookie_is_not_anothers() -> None:
    """Some issuers keep a session in one, and one client asks the upstream for all callers."""
    kept = Keeps(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=one\r\nContent-Length: 0\r\n\r\n")

    async def main() -> None:
        async with before(kept) as client:
            answer = await client.get("/")
            assert answer.headers["set-cookie"] == "session=one"
            client.cookies.clear()
            await client.get("/")
            await client.get("/", headers={"Cookie": "session=two"})
        assert [b"session=one" in head for head in kept.heads] == [False, False, False]
        assert b"cookie: session=two" in kept.heads[2].lower()

    asyncio.run(asyncio.wait_for(main(), 10))


def test_what_a_caller_can_decode_is_not_asked_of_the_upstream() -> None:
    """What comes encoded in a way that the proxy cannot read would leave it as garbage, without its header."""
    kept = Keeps(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def main() -> None:
        async with before(kept) as client:
            assert (await client.get("/", headers={"Accept-Encoding": "exotic"})).json() == {}
        assert b"exotic" not in kept.heads[0]

    asyncio.run(asyncio.wait_for(main(), 10))


def test_to_head_no_wrong_length_is_said() -> None:
    """RFC 9110 section 8.6: if any, the length that GET would have."""
    kept = Keeps(b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n")

    async def main() -> None:
        async with before(kept) as client:
            answer = await client.head("/")
            assert (answer.status_code, answer.headers.get("content-length", "512")) == (200, "512")

    asyncio.run(asyncio.wait_for(main(), 10))


@pytest.mark.parametrize(
    ("document", "led"),
    [
        (b'{"jwks_uri": "HERE/keys", "a": "HERE/keys"}', b'{"jwks_uri": "https://us.example/keys", "a": "HERE/keys"}'),
        (b'{"jwks_uri": "HERE/else"}', None),
        (b'{"jwks_uri": "https://stranger.example/keys"}', None),
        (b'{"jwks_uri": 7}', None),
        (b'["jwks_uri"]', None),
        (b"no json", None),
    ],
)
def test_only_what_leads_to_the_listener_is_rewritten(document: bytes, led: bytes | None) -> None:
    async def main() -> None:
        kept = Keeps(b"")
        async with before(kept, ("/keys", "/.well-known/x"), "https://us.example/") as client:
            origin = kept.origin.encode()
            here = document.replace(b"HERE", origin)
            kept.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(here), here)
            assert (await client.get("/.well-known/x")).content == (led or document).replace(b"HERE", origin)

    asyncio.run(asyncio.wait_for(main(), 10))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed_by_which_a_wrong_certificate_would_not_be_felt(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    own = self_signed("127.0.0.1")
    (tmp_path / "server.pem").write_bytes(own.pem)
    context = ssl.create_default_context(cadata=own.certificate_pem.decode())
    context.minimum_version = context.maximum_version = version

    def resumed(port: int, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as secured,
        ):
            secured.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while secured.recv(1000):
                pass
            return secured.session

    async def main() -> None:
        listener = Listener(
            free_port(), [Route("x", "http://127.0.0.1:1")], EdgeSettings(str(tmp_path / "server.pem")).edge()
        )
        await listener.open()
        try:
            session = await asyncio.to_thread(resumed, listener.port, None)
            await make_fault("x.certificate", {}).apply(Site({"x": listener.routes[0]}))
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.to_thread(resumed, listener.port, session)
        finally:
            await listener.close()

    asyncio.run(asyncio.wait_for(main(), 10))
