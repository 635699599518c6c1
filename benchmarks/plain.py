"""A plain FastHttpUser: sends one fixed token (TOKEN, to URL), or the bodies of a file one after the other (BODIES)."""

import itertools
import os
from pathlib import Path
from urllib.parse import urlsplit

from locust import FastHttpUser, constant, task

_URL = urlsplit(os.environ["URL"])
_BODIES = itertools.cycle(Path(os.environ["BODIES"]).read_text().split()) if "BODIES" in os.environ else None


class Plain(FastHttpUser):
    """As fast as it can."""

    host = f"{_URL.scheme}://{_URL.netloc}"
    wait_time = constant(0)

    @task
    def send(self) -> None:
        """One request."""
        if _BODIES is None:
            self.client.get(_URL.path, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"}, name="plain")
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            self.client.post(_URL.path, data=next(_BODIES), headers=headers, name="plain")
