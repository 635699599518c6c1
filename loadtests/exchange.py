"""How well are tokens exchanged: for another audience, for somebody, of a foreign issuer, for a cloud's credentials?

locust -f loadtests/exchange.py --target lab --rate 50 -u 20
locust -f loadtests/exchange.py --target lab -u 20 Brokered
locust -f loadtests/exchange.py --target lab -u 20 CloudRole
"""

from locust import task

from jwtdrill.load.flows import BrokeredClient, RoleAssumer, TokenExchanger


class Exchanging(TokenExchanger):
    """A client that exchanges its token, now and then as an actor for somebody (RFC 8693)."""

    @task(3)
    def impersonate(self) -> None:
        """Another token for the same subject."""
        self.exchange()

    @task(1)
    def delegate(self) -> None:
        """One that names who acts for the subject (the `act` claim)."""
        self.exchange(delegated=True)


class Brokered(BrokeredClient):
    """A client that brings a foreign issuer's token and gets a local one (federation)."""

    @task
    def broker(self) -> None:
        """A local token for a fresh foreign one, each client with a subject of its own."""
        self.exchange()


class CloudRole(RoleAssumer):
    """A job that gets temporary credentials of a cloud for its token, as CI does (AssumeRoleWithWebIdentity)."""

    @task
    def assume_role(self) -> None:
        """Credentials for a good token."""
        self.assume()
