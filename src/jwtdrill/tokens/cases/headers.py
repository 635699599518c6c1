"""What a token's header may tell a verifier to do: use this key, fetch that one, skip a check."""

import base64
import hashlib
import hmac
from typing import Any

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import (
    BY_SIGNER,
    NAMING_KEYS,
    TOKENS,
    TYPES_UNDECLARED,
    Case,
    Forge,
    Material,
    Severity,
)
from jwtdrill.tokens.cases.crafting import (
    DROP,
    claims_of,
    header_of,
    own_header,
    resealed,
    seal,
    signing_with,
    stranger,
    with_header,
)
from jwtdrill.tokens.keys import Algorithm, SigningKey

_EMBEDDED = (Algorithm.RS256, Algorithm.PS256, Algorithm.ES256, Algorithm.ES384, Algorithm.EDDSA)


def _own_jwk(alg: Algorithm, *, own_kid: bool) -> Forge:
    def forge(material: Material) -> str:
        key = stranger(alg, "embedded")
        header = {**header_of(material), "alg": alg.value, "jwk": key.public_jwk()}
        if own_kid:
            header["kid"] = key.kid
        return seal(header, claims_of(material), signing_with(key))

    return forge


def _own_secret(material: Material) -> str:
    secret = b"0" * 32
    jwk = {"kty": "oct", "k": "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA", "alg": "HS256"}
    header = {**header_of(material), "alg": "HS256", "jwk": jwk}
    return seal(header, claims_of(material), lambda message: hmac.new(secret, message, hashlib.sha256).digest())


def listed_key() -> SigningKey:
    """The key that our own listener publishes, for verifiers that follow a header."""
    return stranger(Algorithm.RS256, "listener")


def _of_our_issuer(material: Material) -> str:
    """It names our listener as its issuer, which has metadata and keys as any issuer does."""
    key = listed_key()
    header = {**header_of(material), "alg": key.alg.value, "kid": key.kid}
    return seal(header, claims_of(material) | {"iss": material.listener}, signing_with(key))


def _pointing(name: str, path: str) -> Forge:
    """Signed with the key that our listener serves, with a header that says where to fetch it."""

    def forge(material: Material) -> str:
        key = listed_key()
        url = path.format(listener=material.listener, iss=claims_of(material).get("iss", ""))
        header = {**header_of(material), "alg": key.alg.value, "kid": key.kid, name: url}
        return seal(header, claims_of(material), signing_with(key))

    return forge


def _certificate(material: Material) -> str:
    """A certificate that says of itself that it is good."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from jwtdrill.tokens.certificates import self_signed

    key = stranger(Algorithm.RS256, "embedded")
    assert isinstance(key.private, RSAPrivateKey)
    shown = base64.b64encode(self_signed("idp.invalid", key.private).der).decode()
    return seal({**header_of(material), "alg": "RS256", "x5c": [shown]}, claims_of(material), signing_with(key))


def _kid(kid: object, secret: bytes | None = None) -> Forge:
    """A kid that is more than a name; with a secret, a MAC with what a fooled look-up would find."""

    def forge(material: Material) -> str:
        value = kid.format(listener=material.listener) if isinstance(kid, str) else kid
        header = {**header_of(material), "kid": value}
        if secret is not None:
            header["alg"] = "HS256"
            return seal(header, claims_of(material), lambda m: hmac.new(secret, m, hashlib.sha256).digest())
        key = stranger(Algorithm(str(header["alg"])))
        return seal(header, claims_of(material), signing_with(key))

    return forge


def _other_issuer(material: Material) -> str:
    key = stranger(Algorithm(str(header_of(material)["alg"])), "other-issuer")
    return seal(header_of(material), claims_of(material), signing_with(key))


def _unencoded(material: Material) -> str:
    """RFC 7797, with the payload encoded none the less: read by its own rule it is no JSON."""
    return resealed(material, {**own_header(material), "b64": False, "crit": ["b64"]}, claims_of(material))


_MAY = "RFC 7515 section 4.1.11 forbids it to who makes tokens; who reads them may refuse them for it"


def _crit(name: str, attacks: str, crit: object, room: str = "", **more: Any) -> Case:
    return Case(
        f"crit_{name}",
        "critical_header",
        attacks,
        "RFC 7515 section 4.1.11",
        with_header(crit=crit, **more),
        Reason.MALFORMED,
        Severity.MEDIUM,
        needs=BY_SIGNER,
        room=room,
    )


def _kid_case(
    name: str, attacks: str, kid: object, secret: bytes | None = None, reason: Reason = Reason.UNKNOWN_KID
) -> Case:
    return Case(
        f"kid_{name}",
        "kid_injection",
        attacks,
        "RFC 8725 section 3.10",
        _kid(kid, secret),
        Reason.ALGORITHM_NOT_ALLOWED if secret is not None else reason,
        Severity.CRITICAL,
        NAMING_KEYS,
    )


def _typ_case(name: str, typ: str, attacks: str) -> Case:
    return Case(
        f"typ_{name}",
        "token_type",
        attacks,
        "RFC 8725 section 3.11",
        with_header(typ=typ),
        Reason.MALFORMED,
        Severity.MEDIUM,
        fits=TOKENS,
        needs=BY_SIGNER,
        room=TYPES_UNDECLARED,
        settled_by="types",
    )


_UNKNOWN: dict[str, Any] = {"x-unknown": 1}

CASES = (
    *(
        Case(
            f"jwk_header_{alg.value.lower()}",
            "embedded_key",
            f"its own {alg} key in the header",
            "RFC 8725 section 3.10, CVE-2018-0114",
            _own_jwk(alg, own_kid=False),
            Reason.BAD_SIGNATURE,
            Severity.CRITICAL,
            NAMING_KEYS,
        )
        for alg in _EMBEDDED
    ),
    Case(
        "jwk_header_own_kid",
        "embedded_key",
        "its own key in the header, under a kid of its own",
        "RFC 8725 section 3.10, CVE-2018-0114",
        _own_jwk(Algorithm.RS256, own_kid=True),
        Reason.UNKNOWN_KID,
        Severity.CRITICAL,
        NAMING_KEYS,
    ),
    Case(
        "jwk_header_secret",
        "embedded_key",
        "a secret of its own in the header",
        "RFC 8725 section 3.10",
        _own_secret,
        Reason.ALGORITHM_NOT_ALLOWED,
        Severity.CRITICAL,
        NAMING_KEYS,
    ),
    Case(
        "issuer_by_url",
        "key_by_url",
        "an issuer of the attacker's, with metadata and keys as any issuer has them",
        "RFC 7519 section 4.1.1, RFC 8725 section 3.8",
        _of_our_issuer,
        Reason.UNKNOWN_KID,
        Severity.CRITICAL,
        TOKENS,
    ),
    *(
        Case(
            name,
            "key_by_url",
            f"a header that points at a key of the attacker's: {where}",
            "RFC 8725 section 3.10, RFC 7515 section 4.1.2",
            _pointing(member, path),
            Reason.UNKNOWN_KID,
            Severity.CRITICAL,
            NAMING_KEYS,
        )
        for name, member, path, where in (
            ("jku_header", "jku", "{listener}/jwks", "jku"),
            ("jku_header_issuer_in_path", "jku", "{listener}/{iss}/jwks", "jku with the issuer's URL in its path"),
            ("jku_header_issuer_in_query", "jku", "{listener}/jwks?{iss}", "jku with the issuer's URL in its query"),
            (
                "jku_header_issuer_in_fragment",
                "jku",
                "{listener}/jwks#{iss}",
                "jku with the issuer's URL in its fragment",
            ),
            ("x5u_header", "x5u", "{listener}/chain.pem", "x5u"),
            ("kid_as_url", "kid", "{listener}/jwks", "kid as a URL"),
        )
    ),
    Case(
        "x5c_header",
        "embedded_key",
        "a certificate of its own in the header",
        "RFC 7515 section 4.1.6",
        _certificate,
        Reason.BAD_SIGNATURE,
        Severity.CRITICAL,
        NAMING_KEYS,
    ),
    _kid_case("path_to_nothing", "a path to an empty file", "../../../../../../dev/null", b""),
    _kid_case("path_absolute", "an absolute path to an empty file", "/dev/null", b""),
    _kid_case(
        "path_to_known_text",
        "a path to a file of known content",
        "../../../../../../proc/sys/kernel/ostype",
        b"Linux\n",
    ),
    _kid_case("file_url", "a file URL", "file:///dev/null", b""),
    _kid_case("sql_union", "SQL that yields a key of the attacker's", "x' UNION SELECT 'secret' -- ", b"secret"),
    _kid_case("sql_always_true", "SQL that is always true", "' OR '1'='1"),
    _kid_case("command", "a command of the shell", "x; exit 1 #"),
    _kid_case("template", "a template's expression", "${{7*7}}"),
    _kid_case("control_characters", "control characters", "a\u0000b\r\nX-Injected: 1"),
    _kid_case("very_long", "a kid of 7 KiB", "k" * 7000),
    _kid_case("empty", "an empty kid", ""),
    _kid_case("null", "a kid of null", None, reason=Reason.MALFORMED),
    _kid_case("number", "a number for a kid", 1, reason=Reason.MALFORMED),
    _kid_case("object", "an object for a kid", {"$ne": None}, reason=Reason.MALFORMED),
    _kid_case("list", "a list for a kid", ["a"], reason=Reason.MALFORMED),
    _kid_case("prototype", "the name of an inherited member", "__proto__"),
    _kid_case("letters_of_another_script", "a kid in another script", "ключ"),
    Case(
        "same_kid_of_another_issuer",
        "stranger",
        "signed by another issuer, whose key has the same kid",
        "RFC 8725 section 3.8",
        _other_issuer,
        Reason.BAD_SIGNATURE,
        Severity.CRITICAL,
    ),
    _crit("unknown", "an extension that must be understood, and is not", ["x-unknown"], **_UNKNOWN),
    _crit("empty", "an empty list of extensions", [], room=_MAY),
    _crit("no_list", "extensions as a string", "exp"),
    _crit("absent_member", "an extension that the header lacks", ["x-absent"]),
    _crit("registered_name", "a registered name as an extension", ["alg"], room=_MAY),
    _crit("twice", "an extension that is named twice", ["x-unknown", "x-unknown"], **_UNKNOWN),
    _crit("number", "a number among the extensions", [1]),
    Case(
        "b64_false",
        "critical_header",
        "a payload that is to be read unencoded",
        "RFC 7797 section 7: no JWT may",
        _unencoded,
        Reason.MALFORMED,
        Severity.MEDIUM,
        needs=BY_SIGNER,
    ),
    Case(
        "b64_false_without_crit",
        "critical_header",
        "a payload that is to be read unencoded, without the warning that RFC 7797 asks for",
        "RFC 7797 section 6",
        with_header(b64=False),
        Reason.MALFORMED,
        Severity.LOW,
        needs=BY_SIGNER,
        room="who does not know RFC 7797 ignores the member, as RFC 7515 section 4 says",
    ),
    _typ_case("id_token", "id_token+jwt", "an ID token for an access token"),
    _typ_case("logout_token", "logout+jwt", "a logout token for an access token"),
    _typ_case("security_event", "secevent+jwt", "a security event for an access token"),
    _typ_case("dpop_proof", "dpop+jwt", "a DPoP proof for an access token"),
    _typ_case("introspection", "token-introspection+jwt", "an introspection response for an access token"),
    Case(
        "typ_undeclared_jwt",
        "token_type",
        "typ JWT where only at+jwt is taken",
        "RFC 9068 section 4",
        with_header(typ="JWT"),
        Reason.MALFORMED,
        Severity.MEDIUM,
        fits=TOKENS,
        needs=BY_SIGNER,
        room="the target does not declare that it takes RFC 9068 tokens alone",
        settled_by="strict_types",
    ),
    Case(
        "typ_undeclared_absent",
        "token_type",
        "no typ where only at+jwt is taken",
        "RFC 9068 section 4",
        with_header(typ=DROP),
        Reason.MALFORMED,
        Severity.MEDIUM,
        fits=TOKENS,
        needs=BY_SIGNER,
        room="the target does not declare that it takes RFC 9068 tokens alone",
        settled_by="strict_types",
    ),
    Case(
        "typ_is_number",
        "token_type",
        "a number for a typ",
        "RFC 7515 section 4.1.9",
        with_header(typ=1),
        Reason.MALFORMED,
        Severity.LOW,
        fits=TOKENS,
        needs=BY_SIGNER,
        room="who does not look at typ does not see it",
        settled_by="types",
    ),
)
