"""Faults in the proxy, one a file: each can be put on every route."""
