"""How does the system do on a common day: calls above all, and beside them everything else that tokens are used for?

locust -f loadtests/mixed_day.py --target lab --rate 200 -u 50
locust -f loadtests/mixed_day.py --target lab -u 50 --throughput 2 -t 10m --report day
"""

from locust import task

from jwtdrill.load.flows import BrokeredClient, DocumentReader, Introspecter, Refresher, TokenExchanger
from jwtdrill.load.users import Client, TokenHolder
from jwtdrill.tokens.cases import CASES


class Caller(TokenHolder):
    """Most clients: a token held until near its expiry, and now and then a bad one."""

    weight = 70

    @task(99)
    def call_one(self) -> None:
        """A call with a good token."""
        self.call(self.pick_call(), CASES["valid"])

    @task(1)
    def call_badly(self) -> None:
        """A call with any bad one."""
        case = self.pick_bad_case()
        if case is not None:
            self.call(self.pick_call(), case)


class Job(Client):
    """A short job that gets a token of its own each time."""

    weight = 10

    @task
    def begin(self) -> None:
        """A token by client_credentials."""
        self.ask(self.asking)


class Mobile(Refresher):
    """A mobile client that refreshes."""

    weight = 8

    @task
    def go_on(self) -> None:
        """The next access token."""
        self.refresh()


class Gateway(Introspecter):
    """A gateway that asks the issuer."""

    weight = 5

    @task
    def ask_about(self) -> None:
        """Whether the token is active."""
        token = self.held()
        if token is not None:
            self.introspect(token)


class Delegate(TokenExchanger):
    """A service that acts for its caller."""

    weight = 3

    @task
    def act(self) -> None:
        """A token that names the actor."""
        self.exchange(delegated=True)


class Partner(BrokeredClient):
    """A partner with tokens of its own issuer."""

    weight = 2

    @task
    def come_in(self) -> None:
        """A local token for a foreign one."""
        self.exchange()


class Verifier(DocumentReader):
    """A verifier that looks after the keys."""

    weight = 2

    @task
    def look(self) -> None:
        """The key set, if it has changed."""
        self.read(self.keys)
