"""Drills: load, a fault and what must follow, as Chaos Toolkit experiments; game days; their report."""
