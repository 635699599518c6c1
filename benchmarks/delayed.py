"""`python delayed.py DELAY TAIL STALL_AT STALL PORT FILE`: answers each request after DELAY seconds.

With TAIL another delay is added, drawn from an exponential distribution of that mean. From STALL_AT seconds after the
first request on nothing is answered for STALL seconds. At SIGTERM it writes to FILE how long each answer took, from the
moment at which the request had been read. The answer suits a resource and a token endpoint alike.
"""

import asyncio
import json
import random
import signal
import sys
import time

_BODY = json.dumps({"access_token": "e30.e30.e30", "token_type": "Bearer", "expires_in": 300}).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


class Delayed:
    """The server."""

    def __init__(self, delay: float, tail: float, stall_at: float, stall: float) -> None:
        self._delay, self._tail, self._stall_at, self._stall = delay, tail, stall_at, stall
        self._dice = random.Random(1)
        self._first: float | None = None
        self.seen: list[float] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0].strip()
                if length:
                    await reader.readexactly(int(length))
                begin = time.perf_counter()
                await asyncio.sleep(self._wait(begin))
                writer.write(_ANSWER)
                self.seen.append(time.perf_counter() - begin)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    def _wait(self, now: float) -> float:
        if self._first is None:
            self._first = now
        wait = self._delay + (self._dice.expovariate(1 / self._tail) if self._tail else 0.0)
        since = now - self._first
        if self._stall and self._stall_at <= since < self._stall_at + self._stall:
            wait += self._stall_at + self._stall - since
        return wait


async def main() -> None:
    """Serve until SIGTERM."""
    delay, tail, stall_at, stall, port = (float(text) for text in sys.argv[1:6])
    delayed = Delayed(delay, tail, stall_at, stall)
    server = await asyncio.start_server(delayed.serve, "127.0.0.1", int(port), backlog=4096)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    server.close()
    with open(sys.argv[6], "w") as file:  # noqa: ASYNC230, PTH123 - nothing else runs any more
        file.write("\n".join(map(str, delayed.seen)))


if __name__ == "__main__":
    asyncio.run(main())
