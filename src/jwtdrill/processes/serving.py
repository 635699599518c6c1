"""Serves an ASGI application in this very process, until SIGTERM or SIGINT.

No worker process stands between: nothing can outlive it, and one process's clock is one service's clock.
"""

import asyncio
import signal
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from jwtdrill.processes.supervisor import port_in_use

_CONNECTIONS = 4096  # open at once; the server's own default of 128 lets the next one hang


async def serve(application: Any, port: int, host: str = "127.0.0.1") -> None:
    """Serve until told to stop. Raises OSError for a port in use, which the server itself would share."""
    if port_in_use(port, host):
        raise OSError(f"port {port} is in use")
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_CONNECTIONS,
        log_access=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()
