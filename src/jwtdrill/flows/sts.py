"""A cloud's temporary credentials for a token: AssumeRoleWithWebIdentity, as AWS has it and others after it."""

import json
import re
import ssl
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlencode

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.exchange import Judgement, Request, Response, errored, throttled
from jwtdrill.target.model import Sts

VERSION = "2011-06-15"  # of the interface
ACTION = "AssumeRoleWithWebIdentity"
# Errors that are about the token; AWS has them at 400 and 403.
_REFUSALS = frozenset(
    (
        *("ExpiredTokenException", "ExpiredToken", "InvalidIdentityToken", "IDPRejectedClaim", "AccessDenied"),
        *("ValidationError", "InvalidParameterValue", "InvalidClientTokenId"),
    )
)
_PATIENCE = frozenset(("Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown"))


@dataclass(frozen=True, slots=True)
class AssumeRole:
    """Asks that service for credentials of a role."""

    sts: Sts
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    name: ClassVar[str] = "sts"
    label: ClassVar[str] = "security token service"

    def request(self, token: str) -> Request:
        """The request; nothing is signed, for the token is the credential."""
        sts = self.sts
        form = {
            "Action": ACTION,
            "Version": VERSION,
            "RoleArn": sts.role,
            "RoleSessionName": sts.session,
            "WebIdentityToken": token,
            **sts.params,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", sts.url, headers, urlencode(form).encode(), self.tls)

    def judge(self, response: Response) -> Judgement:
        """Accepted by credentials; rejected by an error that is about the token."""
        text = response.body.decode("utf-8", "replace")
        if response.status == 200:
            if re.search(r"<AccessKeyId>\s*\S+\s*</AccessKeyId>|\"AccessKeyId\"\s*:\s*\"\S+\"", text):
                return Judgement(Verdict.ACCEPTED)
            return Judgement(Verdict.ERRORED, "status 200 without credentials")
        code = _code(text)
        if code in _PATIENCE:
            return Judgement(Verdict.THROTTLED, code)
        if 400 <= response.status < 500 and code in _REFUSALS:
            return Judgement(Verdict.REJECTED, code)
        if response.status in (413, 431):
            return Judgement(Verdict.REJECTED, f"status {response.status}")
        return throttled(response) or (Judgement(Verdict.ERRORED, code) if code else errored(response))


def _code(text: str) -> str:
    """The error's code, from XML or JSON."""
    found = re.search(r"<Code>\s*(\w{1,64})\s*</Code>", text)
    if found:
        return found[1]
    try:
        error = json.loads(text)["Error"]["Code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return error if isinstance(error, str) and error.isidentifier() else ""
