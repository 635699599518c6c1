"""At which step does the system give way? `jwtdrill capacity` searches for the rate; this shows the steps.

locust -f loadtests/capacity.py --target lab -u 50 --rate 100,200,400,800/30s --report steps
jwtdrill capacity lab --flow call
"""

from locust import task

from jwtdrill.load.users import TokenHolder
from jwtdrill.tokens.cases import CASES


class Climbing(TokenHolder):
    """Clients that call with good tokens alone, however slow the answers get."""

    @task
    def call_one(self) -> None:
        """A call with a good token."""
        self.call(self.pick_call(), CASES["valid"])
