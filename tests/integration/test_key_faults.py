"""Faults of keys and clocks on the standing lab: each is felt at the verifiers, and gone afterwards."""

import time
from typing import Any

import httpx
import pytest
from tests.integration.conftest import status_at, until

from jwtdrill.errors import MissingPartError
from jwtdrill.faults.client import FaultClient
from jwtdrill.flows.token import signer_of
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target
from jwtdrill.tokens.minter import Claims

pytestmark = pytest.mark.integration
BOTH = ("verifier-a", "verifier-b")
FETCHED = 12.0  # seconds in which both verifiers fetch the key set anew, and one more to be sure


def statuses(target: Target, token: str) -> list[int]:
    return [status_at(target, name, token) for name in BOTH]


def newly_issued(target: Target) -> list[int]:
    """What becomes of a new token; nothing when the issuer gives none."""
    try:
        return statuses(target, genuine_token(target))
    except MissingPartError:
        return []


def minted(target: Target) -> str:
    """A good token by the signing key that the target file names; the file is read anew."""
    signer = signer_of(load_target(str(target.path)))
    assert signer is not None
    resource = target.resource[0]
    assert resource.audience is not None
    claims = Claims.lasting(
        60, now=time.time(), iss=str(target.issuer.url), sub="orders", aud=resource.audience, scope=resource.scope
    )
    return signer.mint(claims)


def until_good(target: Target) -> str:
    """A token that the issuer signs now, when both verifiers accept it.

    What was refused a moment ago for its key has used up what a verifier may fetch beside its schedule.
    """
    tokens: list[str] = []

    def good() -> bool:
        tokens.append(genuine_token(target))
        return statuses(target, tokens[-1]) == [200, 200]

    until(good, FETCHED)
    return tokens[-1]


def counter(target: Target, line: str) -> float:
    text = httpx.get(f"{target.issuer.url}/metrics").text
    return next(float(found.split()[-1]) for found in text.splitlines() if found.startswith(line))


def assert_usable(target: Target) -> None:
    """For the next drill: what the issuer signs is good, and what the harness signs is."""
    until_good(target)
    until(lambda: statuses(target, minted(target)) == [200, 200], FETCHED)


FELT: list[tuple[str, dict[str, Any], str, list[int]]] = [  # whose tokens are refused, and where
    ("keys.use_before_published", {}, "new", [401, 401]),
    ("keys.rollback_disables_live_key", {}, "new", [401, 401]),
    ("keys.two_signers", {}, "every other", [401, 401]),
    ("keys.algorithm_change", {"alg": "PS256"}, "new", [200, 401]),
    ("keys.reuse_kid", {}, "old", [401, 401]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "params", "whose", "refused"), FELT)
def test_a_fault_of_keys_is_felt_and_gone(
    target: Target, agent: FaultClient, fault: str, params: dict[str, Any], whose: str, refused: list[int]
) -> None:
    old = until_good(target)
    held = agent.begin(fault, params, lease=30)
    if whose == "every other":
        seen = [statuses(target, genuine_token(target)) for _ in range(4)]
        assert seen in ([refused, [200, 200]] * 2, [[200, 200], refused] * 2)
    else:
        until(lambda: statuses(target, old if whose == "old" else genuine_token(target)) == refused, FETCHED)
    held.end()
    assert_usable(target)
    assert statuses(target, old) == [200, 200]


def test_a_rotation_that_is_stuck_is_counted_and_hurts_nobody(target: Target, agent: FaultClient) -> None:
    failures = f'jwt_key_rotation_total{{issuer="{target.issuer.url}",result="failure"}}'
    before = counter(target, failures)
    held = agent.begin("keys.stuck_half_way", {"begun": True}, lease=10)
    until(lambda: [statuses(target, genuine_token(target)) for _ in range(2)] == [[200, 200]] * 2, FETCHED)
    assert counter(target, failures) == before + 1
    held.end()
    assert_usable(target)


@pytest.mark.slow
def test_a_stolen_key_is_good_until_it_is_revoked_and_the_lab_goes_on_with_another(
    target: Target, agent: FaultClient
) -> None:
    until_good(target)
    forged = minted(target)
    held = agent.begin("keys.compromise", {"revoke_after": FETCHED}, lease=30)
    until_good(target)
    assert statuses(target, forged) == [200, 200]
    until(lambda: statuses(target, forged) == [401, 401], 2 * FETCHED)
    until_good(target)
    held.end()
    assert_usable(target)
    assert statuses(target, forged) == [401, 401]


CLOCKS: list[tuple[str, dict[str, Any], list[int]]] = [
    ("clock.skew", {"clock": "issuer", "seconds": 30}, [401, 401]),  # issued in the future
    ("clock.skew", {"clock": "issuer", "seconds": -30}, []),  # for it the clients' assertions come from the future
    ("clock.drift", {"clock": "issuer", "rate": 5, "most": 30}, [401, 401]),
    ("clock.step", {"clock": "verifier-b", "seconds": -30, "after": 2}, [200, 401]),
    ("clock.back_step", {"clock": "verifier-b", "seconds": 90, "after": 4}, [200, 401]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "params", "refused"), CLOCKS)
def test_a_fault_of_clocks_is_felt_and_gone(
    target: Target, agent: FaultClient, fault: str, params: dict[str, Any], refused: list[int]
) -> None:
    until(lambda: newly_issued(target) == [200, 200], FETCHED)
    held = agent.begin(fault, params, lease=30)
    until(lambda: newly_issued(target) == refused, 10)
    if fault == "clock.back_step":
        until(lambda: newly_issued(target) == [200, 200], 10)  # by itself
    held.end()
    assert until(lambda: newly_issued(target) == [200, 200], 5) < 3
