"""Faults of how load comes."""
