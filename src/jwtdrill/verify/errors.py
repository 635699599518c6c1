"""The one error of verification: a reason from the catalogue, and never the token."""

from jwtdrill.catalog.reasons import Reason


class VerificationError(Exception):
    """A token is refused. `reason` is for metrics and code, `detail` a sentence without anything of the token."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
