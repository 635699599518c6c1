"""The lab's security token service: temporary credentials of one role for a good token (AssumeRoleWithWebIdentity)."""

import secrets
from collections.abc import Callable
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from jwtdrill.catalog.reasons import Reason
from jwtdrill.flows.sts import ACTION, VERSION
from jwtdrill.lab.forms import read_form
from jwtdrill.lab.grants import Refused
from jwtdrill.verify import VerificationError, Verifier

_NAMESPACE = f"https://sts.amazonaws.com/doc/{VERSION}/"
_CODES = {Reason.EXPIRED: "ExpiredTokenException", Reason.KEY_UNAVAILABLE: "IDPCommunicationError"}


def service(verifier: Verifier, role: str) -> Callable[[Request], object]:
    """The endpoint."""

    async def assume(request: Request) -> Response:
        try:
            form = await read_form(request)
        except Refused as refusal:
            return _refusal("ValidationError", refusal.description, refusal.status)
        if form.get("Action") != ACTION or form.get("Version") != VERSION:
            return _refusal("InvalidAction", "the one action here is " + ACTION, 400)
        if form.get("RoleArn") != role or not form.get("RoleSessionName"):
            return _refusal("AccessDenied", "the role is not to be assumed, or the session has no name", 403)
        try:
            claims = await verifier.averify(form.get("WebIdentityToken", ""))
        except VerificationError as refusal:
            return _refusal(_CODES.get(refusal.reason, "InvalidIdentityToken"), refusal.reason, 400)
        if "cnf" in claims:  # nothing here could show that it is held by whom it is bound to
            return _refusal("InvalidIdentityToken", "the token is bound to a key", 400)
        return Response(_granted(str(claims["sub"])), media_type="text/xml")

    return assume


def _granted(subject: str) -> str:
    return (
        f'<{ACTION}Response xmlns="{_NAMESPACE}"><{ACTION}Result>'
        f"<SubjectFromWebIdentityToken>{escape(subject)}</SubjectFromWebIdentityToken><Credentials>"
        f"<AccessKeyId>ASIA{secrets.token_hex(8).upper()}</AccessKeyId>"
        f"<SecretAccessKey>{secrets.token_urlsafe(30)}</SecretAccessKey>"
        f"<SessionToken>{secrets.token_urlsafe(60)}</SessionToken>"
        f"</Credentials></{ACTION}Result></{ACTION}Response>"
    )


def _refusal(code: str, message: str, status: int) -> Response:
    content = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error></ErrorResponse>"
    )
    return Response(content, status, media_type="text/xml")
