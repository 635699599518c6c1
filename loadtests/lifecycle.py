"""What becomes of a token from its grant to its end: is it refreshed, reused, revoked, and refused in time?

locust -f loadtests/lifecycle.py --target lab -u 20 --throughput 1
locust -f loadtests/lifecycle.py --target lab -u 20 Revoking
"""

from locust import task

from jwtdrill.catalog.verdicts import Expected
from jwtdrill.load.flows import REVOKED, Refresher, Revoker


class Refreshing(Refresher):
    """A mobile client: it refreshes again and again, and once in a while its refresh token is stolen."""

    @task(9)
    def go_on(self) -> None:
        """The next access token."""
        self.refresh()

    @task(1)
    def stolen(self) -> None:
        """A refresh token used twice ends its family (RFC 9700 section 4.14)."""
        self.reuse()


class Revoking(Revoker):
    """A client that ends its own token, and sees to it that the end is known (RFC 7009)."""

    @task
    def end(self) -> None:
        """Revoke a fresh token; the issuer must call it inactive at once, and a resource soon."""
        granted = self.ask(self.asking)
        if granted is None:
            return
        if not self.revoke(granted.token):
            return
        if self.shared.endpoints.introspection:
            self.introspect(granted.token, REVOKED, Expected.REJECTED)
        self.prove_refused(self.pick_call(), granted.token)
