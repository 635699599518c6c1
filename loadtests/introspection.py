"""How fast does the issuer say whether a token is good, and does it tell good from bad?

locust -f loadtests/introspection.py --target lab --rate 100 -u 20
"""

from locust import task

from jwtdrill.catalog.verdicts import Expected
from jwtdrill.load.flows import Introspecter


class Introspecting(Introspecter):
    """A resource server that asks for each request (RFC 7662)."""

    @task(9)
    def good(self) -> None:
        """A good token is active."""
        token = self.held()
        if token is not None:
            self.introspect(token)

    @task(1)
    def garbage(self) -> None:
        """What is no token is not active, and no error either."""
        self.introspect("not-a-token", "garbage", Expected.REJECTED)
