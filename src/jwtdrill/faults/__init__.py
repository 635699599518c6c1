"""Faults: one file each, always under a lease, applied by an agent that stands beside what it breaks."""
