"""`python -m jwtdrill.lab.serve MODULE PORT`: serves `create()` of a module of the lab until SIGTERM.

One process without workers of its own: nothing can outlive it, and one process's clock is one verifier's clock.
"""

import asyncio
import importlib
import signal
import sys

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server


async def _serve(module: str, port: int) -> None:
    application = importlib.import_module(f"jwtdrill.lab.{module}").create()
    server = Server(
        application,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_access=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
