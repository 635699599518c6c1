"""How fast are tokens verified that are bound to a key, each request with a proof of its own (DPoP, RFC 9449)?

locust -f loadtests/possession.py --target lab -u 20 --throughput 5
"""

import random

from locust import task

from jwtdrill.load.flows import ProvedCaller


class Proving(ProvedCaller):
    """A client with a key of its own, to which its tokens are bound."""

    @task
    def call_one(self) -> None:
        """One call with token and proof, and the server's nonce where it gives one."""
        self.call_proved(random.choice(self.proved_calls))
