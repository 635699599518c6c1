"""Chaos Toolkit probes: the steady state of a drill.

They raise rather than return False: Chaos Toolkit ends a run whose gate was missed as completed, with exit code 0.
"""

import asyncio
import time

import httpx

from jwtdrill.catalog.verdicts import Expected, Verdict, held
from jwtdrill.drill.session import current
from jwtdrill.errors import BadInputError, JwtdrillError, MissingPartError
from jwtdrill.flows.call import Call
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.probe.sending import send
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target
from jwtdrill.tokens.cases import QUICK

_TIMEOUT = 5.0
_SETTLE_SECONDS = 20.0
_RETRY_SECONDS = 0.5


def good_accepted_and_bad_refused() -> bool:
    """Every resource accepts a good token and refuses those that can be forged without a signer.

    A target that still settles gets some seconds. Raises JwtdrillError that says which resource did what.
    """
    target = current().target
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        try:
            problem = asyncio.run(_problem(target, genuine_token(target)))
        except MissingPartError as error:
            problem = str(error)
        if problem is None:
            return True
        if time.monotonic() > deadline:
            raise JwtdrillError(problem)
        time.sleep(_RETRY_SECONDS)


async def _problem(target: Target, genuine: str) -> str | None:
    async with httpx.AsyncClient(verify=tls_context(target), timeout=_TIMEOUT) as client:
        for case in QUICK:
            for call in map(Call, target.require_resources()):
                token = case.forge(call.material(genuine))
                judged = call.judge(await send(client, call.request(token, case.carrier)))
                if judged.verdict is Verdict.ACCEPTED and case.expected is Expected.REJECTED:
                    raise BadInputError(f"{call.resource.label} accepts a token of case {case.id}")
                if not held(case.expected, judged.verdict):
                    return f"{call.resource.label}: {case.id} token {judged.verdict} ({judged.remark})"
    return None
