"""Faults of how much CPU a process gets."""
