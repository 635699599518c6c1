"""The target file: what the system under test is, and what may be done to it."""
