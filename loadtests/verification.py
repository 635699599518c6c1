"""Does every resource accept good tokens and refuse bad ones, and how fast?

locust -f loadtests/verification.py --target lab --cases valid=9,expired=1
"""

from locust import task

from jwtdrill.load.users import TokenHolder


class Verification(TokenHolder):
    """A client that holds a token until near its expiry and calls one resource after another with it."""

    @task
    def verify(self) -> None:
        """One call with a token of one case."""
        self.call(self.pick_call(), self.pick_case())
