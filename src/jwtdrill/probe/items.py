"""One item of the preflight, and the items that follow from what was fetched: no I/O here."""

import datetime
import email.utils
import ipaddress
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jwtdrill.probe.certificates import Certificate
from jwtdrill.target.documents import Document
from jwtdrill.target.model import Target
from jwtdrill.tokens.reading import claims_of, json_object, kid_of, media_type, numeric_date

_LEAST_DAYS = 14
_MOST_SKEW = 2.0  # seconds
_LIFETIMES = (30.0, 3600.0)  # seconds that an access token should last
_MOST_TOKEN = 4096  # bytes, for many servers take headers of 8 KiB in all
_CACHE = (60.0, 24 * 3600.0)  # seconds for which a key set should be cached
_LEAST_RSA_BITS = 2048
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k")


class Status(StrEnum):
    """How an item stands."""

    PASS = "pass"  # noqa: S105 - a word
    FAIL = "fail"
    UNKNOWN = "cannot tell"


class Checklist(StrEnum):
    """Which list of the requirements an item belongs to."""

    BEFORE = "before production"
    READY = "ready for production"


@dataclass(frozen=True, slots=True)
class Item:
    """One item. seen: what was found; mend: what to do, empty where nothing is to be done."""

    name: str
    status: Status
    seen: str
    mend: str = ""
    checklist: Checklist = Checklist.BEFORE


def passed(name: str, seen: str, checklist: Checklist = Checklist.BEFORE) -> Item:
    """An item that is as it should be."""
    return Item(name, Status.PASS, seen, "", checklist)


def failed(name: str, seen: str, mend: str, checklist: Checklist = Checklist.BEFORE) -> Item:
    """An item to mend."""
    return Item(name, Status.FAIL, seen, mend, checklist)


def unknown(name: str, seen: str, mend: str = "", checklist: Checklist = Checklist.BEFORE) -> Item:
    """An item of which nothing is known, and what would tell."""
    return Item(name, Status.UNKNOWN, seen, mend, checklist)


def either(good: bool, name: str, seen: str, mend: str, checklist: Checklist = Checklist.BEFORE) -> Item:
    """Passed or failed."""
    return passed(name, seen, checklist) if good else failed(name, seen, mend, checklist)


def clock_item(document: Document) -> Item:
    """Our clock against the server's Date, which is good to a second."""
    name, given = "clocks agree", document.headers.get("date", "")
    try:
        theirs = email.utils.parsedate_to_datetime(given).timestamp()
    except ValueError:
        return unknown(name, "the issuer's answers have no Date")
    ahead = theirs + 0.5 - (document.received - document.seconds / 2)
    mend = "synchronise both by NTP: exp, nbf and iat are compared with these clocks"
    return either(abs(ahead) <= _MOST_SKEW, name, f"the issuer's is {ahead:+.1f} s from ours", mend)


def plain_item(name: str, host: str) -> Item:
    """An endpoint without TLS, which only this machine may have."""
    if _is_here(host):
        return unknown(name, "http, on this machine alone")
    return failed(name, "http: whoever listens has the tokens", "serve https (RFC 6750 section 5.3)")


def certificate_item(name: str, found: Certificate, now: datetime.datetime | None = None) -> Item:
    """Days that the certificate has left."""
    left = (found.expires - (now or datetime.datetime.now(datetime.UTC))).days
    mend = "renew it, and let something watch it: the canary's metrics have its date"
    return either(left >= _LEAST_DAYS, name, f"trusted for this name, {left} days left, {found.version}", mend)


def revocation_item(metadata: Mapping[str, Any]) -> Item:
    """Whether a token can be ended before its time."""
    found = metadata.get("revocation_endpoint")
    if isinstance(found, str):
        return passed("tokens can be revoked", f"at {found}", Checklist.READY)
    mend = "offer revocation (RFC 7009), or keep tokens so short that nobody misses it"
    return unknown("tokens can be revoked", "the metadata names no revocation_endpoint", mend, Checklist.READY)


def key_items(keys: Sequence[Mapping[str, Any]]) -> list[Item]:
    """What is wrong with published keys (RFC 7517, RFC 7518 section 3.3)."""
    kids = Counter(str(key.get("kid")) for key in keys)
    twice = sorted(kid for kid, count in kids.items() if count > 1)
    private = [str(key.get("kid")) for key in keys if any(name in key for name in _PRIVATE)]
    weak = [str(key.get("kid")) for key in keys if key.get("kty") == "RSA" and _bits(key) < _LEAST_RSA_BITS]
    bare = [str(key.get("kid")) for key in keys if "kid" not in key or "use" not in key or "alg" not in key]
    return [
        either(
            not twice,
            "keys: kids differ",
            f"twice: {', '.join(twice)}" if twice else f"{len(kids)} kids",
            "give each key a kid of its own",
        ),
        either(
            not private,
            "keys: public alone",
            f"private or secret parts of {', '.join(private)}" if private else "no private part",
            "take it down now: whoever has read it signs tokens; rotate these keys and revoke what they signed",
        ),
        either(
            not weak,
            "keys: long enough",
            f"under 2048 bits: {', '.join(weak)}" if weak else f"{len(keys)} keys, RSA ones from 2048 bits",
            "replace them",
        ),
        either(
            not bare,
            "keys: kid, use and alg",
            f"missing at {', '.join(bare)}" if bare else "each key says what it is for",
            "publish kid, use and alg, so that a key serves what it is meant for alone (RFC 8725 section 3.1)",
        ),
    ]


def cache_item(headers: Mapping[str, str]) -> Item:
    """How long the key set may be cached."""
    name = "key set: cache headers"
    found = re.search(r"max-age=(\d+)", headers.get("cache-control", ""))
    mend = "send Cache-Control: max-age between a minute and a day: it bounds how long a rotation takes to arrive"
    if found is None:
        return failed(name, "no max-age", mend)
    return either(_CACHE[0] <= int(found[1]) <= _CACHE[1], name, f"max-age {found[1]} s", mend)


def claims_items(token: str, target: Target, kids: set[str]) -> list[Item]:
    """What the access token itself says."""
    name = "token claims"
    if not token:
        return [unknown(name, "there is no token")]
    claims = claims_of(token)
    if claims is None:
        return [unknown(name, "the token is opaque: only its issuer can read it")]
    lifetime = (numeric_date(claims.get("exp")) or 0.0) - (numeric_date(claims.get("iat")) or 0.0)
    audiences = {resource.audience for resource in target.resource}
    said = claims.get("aud")
    named = set(said) if isinstance(said, list) else {said}
    asked = set((target.client[0].scope or "").split()) if target.client else set()
    granted = set(claims["scope"].split()) if isinstance(claims.get("scope"), str) else set()
    declared = any("at+jwt" in (typ.lower() for typ in resource.types) for resource in target.resource)
    wanted = ("iss", "sub", "aud", "exp", "iat", "jti", *(("client_id",) if declared else ()))
    lacking = [claim for claim in wanted if claim not in claims]
    typ = media_type(str((json_object(token.partition(".")[0]) or {}).get("typ", "")))
    profile = either(
        typ == "at+jwt",
        "token type",
        f"typ {typ or 'absent'}",
        "have the issuer give RFC 9068 tokens, which is what the file's types declare, or declare what it gives",
    )
    return [
        *([profile] if declared else []),
        either(
            not lacking,
            name,
            f"lacks {', '.join(lacking)}" if lacking else ", ".join(wanted),
            "RFC 9068 section 2.2 wants these",
        ),
        either(
            claims.get("iss") == target.issuer.url,
            "token issuer",
            f"{claims.get('iss')!r}",
            "let tokens name the issuer that the metadata names",
        ),
        either(
            bool(audiences & named) or not audiences,
            "token audience",
            f"{said!r}",
            "ask for the resource's audience: see params of [[client]]",
        ),
        either(
            kid_of(token) in kids, "token key", f"kid {kid_of(token)!r}", "publish the key that signs before it signs"
        ),
        either(
            _LIFETIMES[0] <= lifetime <= _LIFETIMES[1],
            "token lifetime",
            f"{lifetime:.0f} s",
            "between half a minute and an hour: a stolen token works for as long",
        ),
        either(
            len(token) <= _MOST_TOKEN,
            "token size",
            f"{len(token)} bytes",
            "say less in it: proxies refuse large headers",
        ),
        either(
            granted <= asked or not asked,
            "token scopes",
            " ".join(sorted(granted)) or "none",
            f"the issuer grants more than was asked for: {' '.join(sorted(granted - asked))}",
            Checklist.READY,
        ),
    ]


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bits(key: Mapping[str, Any]) -> int:
    modulus = key.get("n")
    return len(modulus.rstrip("=")) * 6 // 8 * 8 if isinstance(modulus, str) else 0
