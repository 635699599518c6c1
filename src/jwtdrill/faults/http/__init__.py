"""Faults of an HTTP endpoint, made by the proxy in front of it."""
