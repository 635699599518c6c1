"""What a controller says to a fault agent: begin, keep alive, end."""

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.faults.claim import CLAIM
from jwtdrill.faults.control import ACTOR_HEADER
from jwtdrill.faults.journal import actor
from jwtdrill.faults.lease import DEFAULT_LEASE
from jwtdrill.target.model import Target

_TIMEOUT = 8.0  # an apply or an undo may take five
_BEAT_SECONDS = 3.0  # at most between two heartbeats, so that a drill soon notices that it was stopped


class FaultClient:
    """Speaks to the agent at `url`."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}", ACTOR_HEADER: actor()}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT)

    @classmethod
    def of(cls, target: Target) -> "FaultClient":
        """The agent of that target. Raises BadInputError when the file names none."""
        proxy, key = target.break_.proxy, target.break_.key
        if proxy is None or key is None:
            raise BadInputError(f"{target.path}: no fault agent: set proxy and key under [break]")
        return cls(proxy, target.read_text(key))

    def begin(self, fault: str, params: Mapping[str, Any], lease: float = DEFAULT_LEASE) -> "HeldFault":
        """Put a fault in force, and keep its lease alive until ended. Raises BadInputError, MissingPartError."""
        content = self._call("POST", "/leases", {"fault": fault, "params": dict(params), "lease": lease})
        return HeldFault(self, fault, content["id"], lease)

    def check(self, fault: str, params: Mapping[str, Any]) -> None:
        """The dry run of a fault. Raises BadInputError when it could not be put in force."""
        self._call("POST", "/checks", {"fault": fault, "params": dict(params)})

    def active(self) -> list[dict[str, Any]]:
        """The faults in force."""
        return [lease for lease in self.leases() if lease["fault"] != CLAIM]

    def leases(self) -> list[dict[str, Any]]:
        """The faults in force, and the claim of the drill that is under way."""
        leases: list[dict[str, Any]] = self._call("GET", "/leases")["leases"]
        return leases

    def renew(self, lease_id: str) -> None:
        """One heartbeat."""
        self._call("PUT", f"/leases/{lease_id}")

    def end(self, lease_id: str) -> list[dict[str, Any]]:
        """End one fault; no error when it is over already. What came of the requests that it sent, by second."""
        seen: list[dict[str, Any]] = self._call("DELETE", f"/leases/{lease_id}")["seen"]
        return seen

    def end_all(self) -> None:
        """End every fault."""
        self._call("DELETE", "/leases")

    def stopped(self) -> str:
        """Who has forbidden new faults, empty if nobody has."""
        return str(self._call("GET", "/leases")["stopped"])

    def stop(self) -> None:
        """End every fault and let none begin until `resume`."""
        self._call("POST", "/stop")

    def resume(self) -> None:
        """Let faults begin again."""
        self._call("POST", "/resume")

    def close(self) -> None:
        """Drop the connection."""
        self._client.close()

    def _call(self, method: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = self._client.request(method, path, json=content)
            answer: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise MissingPartError(
                f"the fault agent does not answer ({type(error).__name__}): is it running?"
            ) from None
        if response.is_success:
            return answer
        raise BadInputError(f"the fault agent refused: {answer.get('error', response.status_code)}")


class HeldFault:
    """A fault in force, renewed by a thread until ended: each third of its lease, and every three seconds at least."""

    def __init__(self, client: FaultClient, fault: str, lease_id: str, lease: float) -> None:
        self.fault = fault
        self._client = client
        self._id = lease_id
        self._lease = lease
        self._over = threading.Event()
        self._refused = False
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{fault}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether the lease ended before it was asked to: the agent was gone, or the heartbeat late."""
        return self._refused or (not self._over.is_set() and time.monotonic() - self._renewed >= self._lease)

    def end(self) -> list[dict[str, Any]]:
        """End the fault. Safe to call twice. What came of the requests that it sent, by second."""
        if self.lost:
            self._refused = True
        self._over.set()
        self._thread.join(_TIMEOUT)
        return self._client.end(self._id)

    def __enter__(self) -> "HeldFault":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.end()
        except MissingPartError:
            if error is None:
                raise

    def _beat(self) -> None:
        while not self._over.wait(min(self._lease / 3, _BEAT_SECONDS)):
            began = time.monotonic()
            try:
                self._client.renew(self._id)
            except BadInputError:
                self._refused = True
                return
            except MissingPartError:
                continue  # the agent may answer the next one; if not, its lease ends the fault
            self._renewed = began
