"""The command line: parses, calls one function, prints, returns a status."""

from jwtdrill.cli.app import main

__all__ = ["main"]
