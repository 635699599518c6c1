"""Each fault of keys breaks what it says, and the issuer mends it: twice, after half of it, and for a new agent."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from prometheus_client import generate_latest

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.faults.fault import Fault, Site
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault
from jwtdrill.faults.registry import FAULTS, make_fault
from jwtdrill.flows.token import CLIENT_CREDENTIALS
from jwtdrill.lab.issuer import IssuerService
from jwtdrill.lab.settings import ClientSettings, IssuerSettings
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.verify.keyset import parse_keyset, select

URL = "http://127.0.0.1:9"
KEY_FAULTS = {
    name: {"begun": True} if "stuck" in name else {} for name, kind in FAULTS.items() if issubclass(kind, KeysFault)
}


class Issuer(httpx.AsyncBaseTransport):
    """An issuer without a socket, what a verifier would say of its tokens, and steps that can be made to fail."""

    def __init__(self, key: SigningKey, folder: Path) -> None:
        self.key_file = folder / "signer.pem"
        self.key_file.write_bytes(key.pem())
        client = ClientSettings("c", {}, "", ("read",), "secret")
        settings = IssuerSettings(URL, 9, "https://api", 60, 5, 2, str(self.key_file), key.alg, "", 0, (client,))
        self.service = IssuerService(settings, key, "admin")
        self.site = Site(issuer=IssuerAdmin(URL, "admin", self))
        self.steps_left = 100
        self._app = httpx.ASGITransport(self.service.application())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/admin/keys/") and not request.url.path.endswith("mend"):
            if not self.steps_left:
                raise httpx.ConnectError("gone")
            self.steps_left -= 1
        return await self._app.handle_async_request(request)

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(transport=self, base_url=URL) as client:
            return (await client.get(path)).json()

    async def token(self) -> str:
        form = {"grant_type": CLIENT_CREDENTIALS, "client_id": "c", "client_secret": "secret"}
        async with httpx.AsyncClient(transport=self, base_url=URL) as client:
            return str((await client.post("/token", data=form)).json()["access_token"])

    async def verdict(self, token: str) -> str:
        """What somebody says who has just fetched the key set."""
        header = jwt.get_unverified_header(token)
        key = select(parse_keyset(json.dumps(await self.get("/jwks")).encode()), header["kid"], header["alg"])
        if key is None:
            return "unknown_kid"
        try:
            jwt.decode(token, key.key, [header["alg"]], audience="https://api")
        except jwt.InvalidSignatureError:
            return "bad_signature"
        return "good"

    def signed_by_key_file(self) -> str:
        """A token as the harness mints it with the key that the target file names."""
        alg = self.service.keyring.active.alg
        key = SigningKey.from_pem(self.key_file.read_bytes(), alg)
        claims = {"aud": "https://api", "exp": 4_000_000_000}
        return jwt.encode(claims, key.private, alg, headers={"kid": key.kid})

    def value(self, metric: str, **labels: str) -> float | None:
        return self.service.instruments.registry.get_sample_value(metric, {"issuer": URL, **labels})


@pytest.fixture
def issuer(keys: dict[Algorithm, SigningKey], tmp_path: Path) -> Issuer:
    return Issuer(keys[Algorithm.EDDSA], tmp_path)  # others of that algorithm are made in no time


async def applied(issuer: Issuer, name: str, **params: Any) -> Fault:
    fault = make_fault(name, params)
    fault.check(issuer.site)
    await fault.apply(issuer.site)
    await asyncio.sleep(0)
    return fault


async def assert_sound(issuer: Issuer) -> None:
    """One key signs, is of the first algorithm, published and in the key file; all but revoked keys are published."""
    ring = issuer.service.keyring
    [signer] = ring.signers
    assert signer.alg == Algorithm.EDDSA
    held = ring.held()
    assert all(h.in_set is (h.state != "revoked") and not h.alias for h in held)
    assert [h.own.kid for h in held if h.state == "active"] == [signer.kid]
    kids = [key["kid"] for key in (await issuer.get("/jwks"))["keys"]]
    assert len(set(kids)) == len(kids)
    for token in (await issuer.token(), await issuer.token(), issuer.signed_by_key_file()):
        assert await issuer.verdict(token) == "good"
    assert jwt.get_unverified_header(issuer.signed_by_key_file())["kid"] == signer.kid


BROKEN = {
    "keys.rotate_without_overlap": ("unknown_kid", ["good", "good"]),
    "keys.rotate": ("good", ["good", "good"]),
    "keys.remove_live_key": ("unknown_kid", ["unknown_kid", "unknown_kid"]),
    "keys.use_before_published": ("good", ["unknown_kid", "unknown_kid"]),
    "keys.stuck_half_way": ("good", ["good", "good"]),
    "keys.rollback_disables_live_key": ("good", ["unknown_kid", "unknown_kid"]),
    "keys.two_signers": ("good", ["good", "unknown_kid"]),
    "keys.algorithm_change": ("good", ["good", "good"]),
    "keys.reuse_kid": ("bad_signature", ["good", "good"]),
}
MENDED = {"keys.reuse_kid": "bad_signature"}  # a set can have a kid once


def test_every_fault_of_keys_is_here() -> None:
    assert {*BROKEN, "keys.compromise"} == set(KEY_FAULTS)


@pytest.mark.parametrize("name", BROKEN)
def test_what_becomes_of_old_and_new_tokens(name: str, issuer: Issuer) -> None:
    """Before it, while it is in force, and after it."""

    async def check() -> None:
        old = await issuer.token()
        fault = await applied(issuer, name, **KEY_FAULTS[name])
        new = [await issuer.token(), await issuer.token()]
        verdict_of_old, verdicts = BROKEN[name]
        assert await issuer.verdict(old) == verdict_of_old
        assert [await issuer.verdict(token) for token in new] == verdicts
        await fault.undo(issuer.site)
        assert await issuer.verdict(old) == "good"
        assert [await issuer.verdict(token) for token in new] == [MENDED.get(name, "good")] * 2
        await assert_sound(issuer)

    asyncio.run(check())


@pytest.mark.parametrize("name", KEY_FAULTS)
def test_a_new_agent_mends_it_and_twice_does_no_harm(name: str, issuer: Issuer) -> None:
    async def check() -> None:
        await applied(issuer, name, **KEY_FAULTS[name])
        for _ in range(2):
            await make_fault(name, KEY_FAULTS[name]).undo(issuer.site)
            await assert_sound(issuer)
        old = await issuer.token()
        await make_fault(name, KEY_FAULTS[name]).undo(issuer.site)
        assert await issuer.verdict(old) == "good"  # and none of the keys was changed by it

    asyncio.run(check())


@pytest.mark.parametrize("name", KEY_FAULTS)
def test_half_of_it_is_mended_too(name: str, issuer: Issuer) -> None:
    async def check() -> None:
        for steps in range(5):
            issuer.steps_left = steps
            fault = make_fault(name, KEY_FAULTS[name])
            try:
                await fault.apply(issuer.site)
            except MissingPartError:
                pass
            finally:
                issuer.steps_left = 100
            await fault.undo(issuer.site)
            await assert_sound(issuer)

    asyncio.run(check())


def test_any_fault_can_follow_any_other(issuer: Issuer) -> None:
    """Also when keys pile up: only so many are held."""

    async def check() -> None:
        for name in [*KEY_FAULTS, *reversed(KEY_FAULTS)] * 2:
            fault = await applied(issuer, name, **KEY_FAULTS[name])
            await fault.undo(issuer.site)
            await assert_sound(issuer)
        assert len(issuer.service.keyring.held()) <= 16

    asyncio.run(check())


@pytest.mark.parametrize("begun", [False, True])
def test_a_rotation_that_is_stuck_counts_as_failed_and_hurts_nobody(issuer: Issuer, begun: bool) -> None:
    async def check() -> None:
        fault = await applied(issuer, "keys.stuck_half_way", begun=begun)
        tokens = [await issuer.token() for _ in range(4)]
        assert {await issuer.verdict(token) for token in tokens} == {"good"}
        assert len({jwt.get_unverified_header(token)["kid"] for token in tokens}) == (2 if begun else 1)
        assert issuer.value("jwt_key_rotation_total", result="failure") == 1
        assert issuer.value("jwt_key_rotation_total", result="success") == 0
        await fault.undo(issuer.site)

    asyncio.run(check())


def in_turn(tokens: list[str]) -> list[str]:
    return [jwt.get_unverified_header(token)["kid"] for token in tokens]


def test_two_signers_sign_in_turn_and_both_are_seen_to_be_active(issuer: Issuer) -> None:
    async def check() -> None:
        fault = await applied(issuer, "keys.two_signers")
        first, second = issuer.service.keyring.signers
        assert in_turn([await issuer.token() for _ in range(4)]) == [first.kid, second.kid] * 2
        for key in (first, second):
            assert issuer.value("jwt_signing_key_info", kid=key.kid, alg="EdDSA", state="active") == 1
        await fault.undo(issuer.site)
        assert issuer.value("jwt_signing_key_info", kid=second.kid, alg="EdDSA", state="active") is None
        assert issuer.value("jwt_signing_key_info", kid=second.kid, alg="EdDSA", state="retired") == 1

    asyncio.run(check())


def test_forged_tokens_are_good_until_the_key_is_revoked_and_never_again(issuer: Issuer) -> None:
    async def check() -> None:
        fault = await applied(issuer, "keys.compromise", revoke_after=0.2)
        forged = issuer.signed_by_key_file()
        assert await issuer.verdict(forged) == "good"
        assert await issuer.verdict(await issuer.token()) == "good"
        await asyncio.sleep(0.3)
        assert await issuer.verdict(forged) == "unknown_kid"
        stolen = jwt.get_unverified_header(forged)["kid"]
        assert (await issuer.get("/revoked"))["keys"] == [stolen]
        await fault.undo(issuer.site)
        await fault.undo(issuer.site)
        assert await issuer.verdict(forged) == "unknown_kid"
        assert (await issuer.get("/revoked"))["keys"] == [stolen]
        await assert_sound(issuer)

    asyncio.run(check())


def test_the_key_in_the_key_file_is_another_only_afterwards(issuer: Issuer) -> None:
    """Else whoever forges would begin to sign with the new key."""

    async def check() -> None:
        before = issuer.key_file.read_bytes()
        fault = await applied(issuer, "keys.compromise")
        await asyncio.sleep(0.1)
        assert issuer.key_file.read_bytes() == before
        await fault.undo(issuer.site)
        assert issuer.key_file.read_bytes() != before
        assert issuer.key_file.stat().st_mode & 0o777 == 0o600

    asyncio.run(check())


def test_a_key_that_was_rotated_out_without_the_harness_is_not_taken_for_the_one_in_the_file(
    issuer: Issuer,
) -> None:
    async def check() -> None:
        ring = issuer.service.keyring
        ring.activate(ring.publish())
        fault = await applied(issuer, "keys.compromise")
        await asyncio.sleep(0.1)
        assert await issuer.verdict(issuer.signed_by_key_file()) == "unknown_kid"
        await fault.undo(issuer.site)

    asyncio.run(check())


def test_when_the_fault_ends_too_early_the_key_is_revoked_all_the_same(issuer: Issuer) -> None:
    """Also when another agent ends it: the issuer knows that it was stolen."""

    async def check() -> None:
        await applied(issuer, "keys.compromise", revoke_after=600)
        forged = issuer.signed_by_key_file()
        await make_fault("keys.compromise", {}).undo(issuer.site)
        assert await issuer.verdict(forged) == "unknown_kid"
        await assert_sound(issuer)

    asyncio.run(check())


def test_an_issuer_that_cannot_be_reached_is_told_again(issuer: Issuer) -> None:
    async def check() -> None:
        issuer.steps_left = 3  # all but the last
        fault = await applied(issuer, "keys.compromise")
        forged = issuer.signed_by_key_file()
        await asyncio.sleep(0.1)
        assert await issuer.verdict(forged) == "good"
        issuer.steps_left = 100
        await asyncio.sleep(0.8)
        assert await issuer.verdict(forged) == "unknown_kid"
        await fault.undo(issuer.site)

    asyncio.run(check())


def test_a_change_to_the_same_algorithm_is_none(issuer: Issuer) -> None:
    with pytest.raises(BadInputError, match="signs with EdDSA already: give another alg"):
        asyncio.run(applied(issuer, "keys.algorithm_change", alg="EdDSA"))


def test_the_algorithm_is_said(issuer: Issuer) -> None:
    async def check() -> None:
        fault = await applied(issuer, "keys.algorithm_change", alg="ES384")
        assert jwt.get_unverified_header(await issuer.token())["alg"] == "ES384"
        await fault.undo(issuer.site)

    asyncio.run(check())


def test_a_key_that_could_not_be_published_is_refused_and_the_reason_is_told(issuer: Issuer) -> None:
    with pytest.raises(MissingPartError, match="no algorithm 'HS256' for keys that are published"):
        asyncio.run(applied(issuer, "keys.algorithm_change", alg="HS256"))


def test_what_asks_for_an_issuer_says_so_without_one() -> None:
    for name in KEY_FAULTS:
        with pytest.raises(BadInputError, match="no admin interface of an issuer"):
            make_fault(name, {}).check(Site())


def test_only_what_ends_with_the_tokens_lasts_as_long_as_they_do() -> None:
    lasting = {name for name in KEY_FAULTS if "token_lifetime" in make_fault(name, {}).after_effect.times}
    assert lasting == {"keys.algorithm_change", "keys.compromise", "keys.reuse_kid"}


def test_a_rotation_with_overlap_signs_later_and_one_that_is_ended_never(issuer: Issuer) -> None:
    async def check() -> None:
        first = issuer.service.keyring.active.kid
        fault = await applied(issuer, "keys.rotate", overlap=0.2)
        assert len((await issuer.get("/jwks"))["keys"]) == 2
        assert issuer.service.keyring.active.kid == first
        await asyncio.sleep(0.4)
        second = issuer.service.keyring.active.kid
        assert second != first
        await fault.undo(issuer.site)
        fault = await applied(issuer, "keys.rotate", overlap=0.2)
        await fault.undo(issuer.site)
        await asyncio.sleep(0.4)
        assert issuer.service.keyring.active.kid == second
        await assert_sound(issuer)

    asyncio.run(check())


def test_an_overloaded_issuer_is_late_or_gives_up_and_counts_it(issuer: Issuer) -> None:
    async def check() -> None:
        fault = await applied(issuer, "issuer.overloaded", seconds=0.3)
        began = time.monotonic()
        await issuer.token()
        assert time.monotonic() - began >= 0.3
        await fault.undo(issuer.site)
        fault = await applied(issuer, "issuer.overloaded", errors=1.0)
        with pytest.raises(KeyError):
            await issuer.token()
        await fault.undo(issuer.site)
        await make_fault("issuer.overloaded", {}).undo(issuer.site)
        assert await issuer.token()
        text = generate_latest(issuer.service.instruments.registry).decode()
        failed = [
            line for line in text.splitlines() if line.startswith("jwt_issuance_total") and "server_error" in line
        ]
        assert sum(float(line.rpartition(" ")[2]) for line in failed) == 1

    asyncio.run(check())
