"""Plain FastHttpUsers that do nothing: what a client weighs before it sends."""

from locust import FastHttpUser, constant, task


class Idle(FastHttpUser):
    """Sleeps."""

    host = "http://target.invalid"
    wait_time = constant(1000)

    @task
    def nothing(self) -> None:
        """Nothing."""
