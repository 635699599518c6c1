"""Faults of the issuer as a service, by its admin interface."""
