"""`python -m jwtdrill.lab.serve MODULE PORT`: serves `create()` of a module of the lab until SIGTERM."""

import asyncio
import importlib
import sys

from jwtdrill.processes.serving import serve

if __name__ == "__main__":
    asyncio.run(serve(importlib.import_module(f"jwtdrill.lab.{sys.argv[1]}").create(), int(sys.argv[2])))
