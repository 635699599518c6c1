"""A server of ours on loopback that hostile headers point at: whoever comes has followed a token's word.

It serves the key that those tokens are signed with, so that a verifier that follows and believes is seen to accept.
"""

import asyncio
import json
from types import TracebackType

from jwtdrill.tokens.cases.headers import listed_key

_LONGEST_LINE = 16 * 1024


class Listener:
    """Remembers the first segment of each path that was asked for."""

    def __init__(self) -> None:
        self.visited: set[str] = set()
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Listener":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LONGEST_LINE)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    def _document(self, mark: str) -> bytes:
        """Key set and metadata in one: whoever comes finds what it came for."""
        here = f"{self.url}/{mark}"
        keys = [listed_key().public_jwk()]
        return json.dumps({"keys": keys, "issuer": here, "jwks_uri": f"{here}/jwks"}).encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            path = line.decode("latin-1").split(" ")[1] if line.count(b" ") >= 2 else "/"
            mark = path.replace("/.well-known/oauth-authorization-server", "").strip("/").partition("/")[0]
            self.visited.add(mark)
            document = self._document(mark)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(document)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + document)
            await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()
