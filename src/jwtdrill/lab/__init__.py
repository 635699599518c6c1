"""The embedded target: issuer, verifiers, fault agent, Prometheus and Alertmanager on loopback.

To everything but the command line it is a target file like any other.
"""
