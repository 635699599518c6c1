"""Does every bad token meet with a refusal while good ones are let in, under load?

locust -f loadtests/abuse.py --target lab --rate 200 -u 20
"""

from locust import task

from jwtdrill.load.users import TokenHolder
from jwtdrill.tokens.cases import CASES


class Abusing(TokenHolder):
    """An attacker among honest clients: seven of ten tokens are good, the others any of the corpus."""

    @task(7)
    def honest(self) -> None:
        """A good token."""
        self.call(self.pick_call(), CASES["valid"])

    @task(3)
    def forged(self) -> None:
        """A bad one, of those that can be made from what the target file gives."""
        case = self.pick_bad_case()
        if case is not None:
            self.call(self.pick_call(), case)
