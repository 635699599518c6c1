"""The command line: parses, calls one function, prints, returns a status."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the imports run ends us without a traceback

from jwtdrill.cli.app import main

__all__ = ["main"]
