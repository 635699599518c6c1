"""The locustfile that one writes by hand with PyJWT: it signs in the task. Told by the environment what to ask and how.

ENDPOINT, AUDIENCE, CLIENT, KEY (PEM file), ALG, KID, PACE (requests/s of each client, 0 for as fast as can be).
"""

import os
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from locust import FastHttpUser, constant, constant_pacing, task

_KEY: Any = load_pem_private_key(Path(os.environ["KEY"]).read_bytes(), None)
_PACE = float(os.environ.get("PACE", "0"))


class Handwritten(FastHttpUser):
    """Exchanges a fresh assertion each time."""

    host = os.environ["ENDPOINT"].rpartition("/")[0]
    wait_time = constant_pacing(1 / _PACE) if _PACE else constant(0)

    @task
    def exchange(self) -> None:
        """RFC 7523 section 2.1."""
        now = int(time.time())
        name = os.environ["CLIENT"]
        claims = {"iss": name, "sub": name, "aud": os.environ["AUDIENCE"], "iat": now, "exp": now + 60}
        claims["jti"] = str(uuid.uuid4())
        assertion = jwt.encode(claims, _KEY, os.environ["ALG"], headers={"kid": os.environ["KID"]})
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        path = f"/{os.environ['ENDPOINT'].rpartition('/')[2]}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"grant_type": grant, "assertion": assertion})
        self.client.post(path, data=body, headers=headers, name="exchange")
