"""Faults of signing keys."""
