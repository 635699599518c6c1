"""Faults that are bad traffic with known ground truth."""
