"""How fast are tokens verified that are bound to a key or a certificate, which each request shows?

locust -f loadtests/possession.py --target lab -u 20 --throughput 5
locust -f loadtests/possession.py --target lab -u 20 --throughput 5 Certified
"""

import random

from locust import task

from jwtdrill.load.flows import CertifiedCaller, ProvedCaller
from jwtdrill.tokens.cases import CASES


class Proving(ProvedCaller):
    """A client with a key of its own, of which each request has a fresh proof (DPoP, RFC 9449)."""

    @task
    def call_one(self) -> None:
        """One call with token and proof, and the server's nonce where it gives one."""
        self.call_proved(random.choice(self.proved_calls))


class Certified(CertifiedCaller):
    """A client with a certificate, shown over mutual TLS (RFC 8705)."""

    @task
    def call_one(self) -> None:
        """One call with a token that is bound to the certificate."""
        self.call(random.choice(self.certified_calls), CASES["valid"])
