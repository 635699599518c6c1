"""How fast and how reliably does the issuer give tokens?

locust -f loadtests/issuance.py --target lab --rate 100 -u 20
locust -f loadtests/issuance.py --target lab --throughput 5 -u 20 JwtBearerIssuance
"""

from locust import task

from jwtdrill.load.run import Run
from jwtdrill.load.users import Client


class ClientCredentialsIssuance(Client):
    """A client that proves itself each time, with a fresh assertion or its secret."""

    @task
    def client_credentials(self) -> None:
        """A token in its own name (RFC 6749 section 4.4)."""
        self.ask(self.shared.client_credentials)


class JwtBearerIssuance(Client):
    """A client that has an assertion exchanged each time."""

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without a key there is nothing to sign with."""
        return "" if run.jwt_bearer is not None else "the first [[client]] has no key"

    @task
    def jwt_bearer(self) -> None:
        """A token for an assertion (RFC 7523 section 2.1)."""
        assert self.shared.jwt_bearer is not None
        self.ask(self.shared.jwt_bearer)
