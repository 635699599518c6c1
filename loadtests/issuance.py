"""How fast and how reliably does the issuer give tokens?

locust -f loadtests/issuance.py --target lab --rate 100 -u 20
locust -f loadtests/issuance.py --target lab --throughput 5 -u 20 JwtBearerIssuance
"""

from locust import task

from jwtdrill.flows.token import JWT_BEARER
from jwtdrill.load.users import NO_KEY, Client
from jwtdrill.target.model import Client as Described


class ClientCredentialsIssuance(Client):
    """A client that proves itself each time, with a fresh assertion or its secret."""

    @task
    def client_credentials(self) -> None:
        """A token in its own name (RFC 6749 section 4.4)."""
        self.ask(self.asking)


class JwtBearerIssuance(Client):
    """A client that has an assertion exchanged each time, about itself or about a subject of its own."""

    wanted = NO_KEY
    grant_type = JWT_BEARER

    @classmethod
    def suits(cls, client: Described) -> bool:
        """Without a key there is nothing to sign with."""
        return super().suits(client) and client.signs

    @task
    def jwt_bearer(self) -> None:
        """A token for an assertion (RFC 7523 section 2.1)."""
        self.ask(self.asserting)
