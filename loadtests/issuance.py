"""How fast and how reliably does the issuer give tokens?

locust -f loadtests/issuance.py --target lab --throughput 20
"""

from locust import task

from jwtdrill.load.users import Client


class Issuance(Client):
    """A client that proves itself with a fresh assertion each time."""

    @task
    def client_credentials(self) -> None:
        """A token in its own name (RFC 6749 section 4.4, private_key_jwt)."""
        if self.shared.client_credentials is not None:
            self.ask(self.shared.client_credentials)

    @task
    def jwt_bearer(self) -> None:
        """A token for an assertion (RFC 7523 section 2.1)."""
        if self.shared.jwt_bearer is not None:
            self.ask(self.shared.jwt_bearer)
