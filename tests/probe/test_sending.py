"""What is sent gets one answer, of a bounded size, and credentials go to the issuer that they belong to alone."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from jwtdrill.errors import BadInputError
from jwtdrill.flows.exchange import Request
from jwtdrill.flows.introspection import Introspection
from jwtdrill.flows.token import ClientIdentity
from jwtdrill.probe.genuine import TokenSource
from jwtdrill.probe.grounds import AtIntrospection
from jwtdrill.probe.sending import MOST_BODY_BYTES, send
from jwtdrill.target.discovery import Endpoints
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target

ENDPOINTS = Endpoints("https://i", "https://i/token", "https://i/jwks", "https://i/introspect")


def target(folder: Path, issuer: str = "") -> Target:
    path = folder / "target.toml"
    path.write_text(
        'environment = "test"\n[issuer]\nurl = "https://i"\n[[client]]\nid = "c"\nauth = "client_secret_basic"\n'
        f'secret = "file:secret"\n{issuer}\n'
    )
    (folder / "secret").write_text("s")
    return load_target(str(path))


def test_of_an_answer_without_end_no_more_is_read_than_is_kept() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while sent < 64 * MOST_BODY_BYTES:
                writer.write(b"x" * 65536)
                sent += 65536
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def ask() -> int:
        server = await asyncio.start_server(endless, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with httpx.AsyncClient() as client:
            answer = await send(client, Request("GET", f"http://127.0.0.1:{port}/"))
        server.close()
        return len(answer.body)

    began = time.monotonic()
    assert asyncio.run(ask()) == MOST_BODY_BYTES
    assert sent < 32 * MOST_BODY_BYTES
    assert time.monotonic() - began < 20


def test_a_client_of_another_issuer_is_never_shown_to_this_one(tmp_path: Path) -> None:
    assert TokenSource(target(tmp_path), ENDPOINTS)
    with pytest.raises(BadInputError, match=r"no \[\[client\]\] of \[issuer\]'s"):
        TokenSource(target(tmp_path, 'issuer = "https://other"'), ENDPOINTS)


def test_the_issuer_itself_is_held_to_know_what_it_has_revoked(tmp_path: Path) -> None:
    described = target(tmp_path)
    identity = ClientIdentity(described.require_client(), described, ENDPOINTS)

    async def token(fresh: bool) -> str:
        return f"t-{fresh}"

    ground = AtIntrospection(Introspection(identity), token, None, ())
    assert asyncio.run(ground.material("http://l", fresh=True)).known_revoked
