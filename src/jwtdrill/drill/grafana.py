"""Tells Grafana of faults and phases: one annotation over the time of each, once it is over.

They belong to the organization, not to one dashboard (Grafana's HTTP API, "Create Annotation"), so that any dashboard
shows them that asks for the tag `jwtdrill`, as ours do.
"""

from collections.abc import Callable

import httpx

from jwtdrill.catalog.metrics import GRAFANA_TAG
from jwtdrill.drill.record import Interval
from jwtdrill.drill.session import Annotate, Say
from jwtdrill.errors import JwtdrillError
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target

_TIMEOUT = 2.0  # a drill's times must not wait for who only looks on


def annotator(target: Target, drill: str, say: Say) -> Annotate:
    """What tells the target's Grafana, if it has one. A Grafana that does not take it is said once, and left alone."""
    if target.watch.grafana is None:
        return lambda _kind, _name, _when: None
    post = _Poster(target, say)

    def annotate(kind: str, name: str, when: Interval) -> None:
        post(
            {
                "time": round(when.begin * 1000),
                "timeEnd": round(when.end * 1000),
                "tags": [GRAFANA_TAG, kind, name, drill, target.environment.value],
                "text": f"Drill {drill}: {kind} {name}",
            }
        )

    return annotate


class _Poster:
    """Posts annotations until one is not taken."""

    def __init__(self, target: Target, say: Say) -> None:
        self._say = say
        self._send: Callable[[dict[str, object]], httpx.Response] | None = None
        url = f"{target.watch.grafana}".rstrip("/") + "/api/annotations"
        try:
            token = target.watch.grafana_token
            headers = {"Authorization": f"Bearer {target.read_token(token)}"} if token is not None else {}
            trust = tls_context(target)
        except JwtdrillError as error:
            say(f"no annotations in Grafana: {error}")
            return
        self._send = lambda content: httpx.post(url, json=content, headers=headers, timeout=_TIMEOUT, verify=trust)

    def __call__(self, content: dict[str, object]) -> None:
        if self._send is None:
            return
        try:
            self._send(content).raise_for_status()
        except httpx.HTTPStatusError as error:
            self._give_up(f"{error.request.url} answers {error.response.status_code}")
        except httpx.HTTPError as error:
            self._give_up(f"{error.request.url}: {type(error).__name__}")

    def _give_up(self, why: str) -> None:
        self._send = None
        self._say(f"no annotations in Grafana: {why}")
