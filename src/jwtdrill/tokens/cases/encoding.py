"""Tokens that are not written as RFC 7515, RFC 7519 and RFC 4648 want them written."""

import json
from collections.abc import Callable

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import (
    ANY,
    ASSERTIONS,
    BY_SIGNER,
    FROM_GENUINE,
    NOTHING,
    TOKENS,
    Case,
    Forge,
    Material,
    Need,
    NotApplicableError,
    Severity,
    Subject,
)
from jwtdrill.tokens.cases.crafting import (
    FAR,
    claims_of,
    compact_json,
    decode,
    encode,
    own_header,
    resealed,
    segments,
    signature_of,
    signer_of,
    signing_with,
)

_SOON = 300  # seconds
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _whole(change: Callable[[str], str]) -> Forge:
    return lambda material: change(material.genuine)


def _parts(change: Callable[[str, str, str], str]) -> Forge:
    return lambda material: change(*segments(material))


def _spare_bits(material: Material) -> str:
    """The same signature, written with spare bits set in its last character."""
    header, payload, signature = segments(material)
    spare = {2: 0x0F, 3: 0x03}.get(len(signature) % 4)
    if spare is None:
        raise NotApplicableError(f"a signature of {len(signature_of(material))} bytes has no spare bits")
    last = _ALPHABET[_ALPHABET.index(signature[-1]) | spare]
    return f"{header}.{payload}.{signature[:-1]}{last}"


def _signed_segments(header: str, payload: str, material: Material) -> str:
    """Signed over segments as they are written."""
    signed = f"{header}.{payload}"
    return f"{signed}.{encode(signing_with(signer_of(material).key)(signed.encode()))}"


def _padded_payload(material: Material) -> str:
    raw = compact_json(claims_of(material))
    raw += b" " * (2 if len(raw) % 3 == 2 else 1 if len(raw) % 3 == 0 else 0)  # so that there is padding to add
    text = encode(raw)
    return _signed_segments(encode(compact_json(own_header(material))), text + "=" * (-len(text) % 4), material)


def _standard_alphabet(material: Material) -> str:
    """+ and / in place of - and _."""
    claims = claims_of(material) | {"x": "???>>>ÿÿÿ~~~"}
    raw = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
    while "_" not in encode(raw) and "-" not in encode(raw):
        raw += b" "
    text = encode(raw).replace("-", "+").replace("_", "/")
    return _signed_segments(encode(compact_json(own_header(material))), text, material)


def _broken_lines(material: Material) -> str:
    text = encode(compact_json(claims_of(material)))
    return _signed_segments(encode(compact_json(own_header(material))), f"{text[:8]} {text[8:]}", material)


def _payload(raw: bytes) -> Forge:
    return lambda material: resealed(material, own_header(material), raw)


def _twice(name: str, first: Callable[[int], object], second: Callable[[int], object]) -> Forge:
    """The claim stands twice, the second time in the last place."""

    def forge(material: Material) -> str:
        claims = {n: value for n, value in claims_of(material).items() if n != name}
        now = material.at()
        body = compact_json(claims)[1:-1]
        raw = b"{" + _member(name, first(now)) + b"," + body + b"," + _member(name, second(now)) + b"}"
        return resealed(material, own_header(material), raw)

    return forge


def _member(name: str, value: object) -> bytes:
    return compact_json(name) + b":" + compact_json(value)


def _alg_twice(material: Material) -> str:
    header = own_header(material)
    raw = compact_json(header)[:-1] + b"," + _member("alg", header["alg"]) + b"}"
    return resealed(material, raw, claims_of(material))


def _byte_order_mark(material: Material) -> str:
    return resealed(material, own_header(material), b"\xef\xbb\xbf" + compact_json(claims_of(material)))


def _utf16(material: Material) -> str:
    return resealed(material, own_header(material), json.dumps(claims_of(material)).encode("utf-16"))


def _latin1(material: Material) -> str:
    raw = compact_json(claims_of(material))[:-1] + b',"x":"\xff\xfe"}'
    return resealed(material, own_header(material), raw)


def _trailing(material: Material) -> str:
    return resealed(material, own_header(material), compact_json(claims_of(material)) + b"{}")


def _other_case(material: Material) -> str:
    """For who remembers verdicts under names in which case does not count."""
    header, payload, signature = segments(material)
    place = next((n for n in range(len(signature) // 2, len(signature) - 2) if signature[n].isalpha()), None)
    if place is None:
        raise NotApplicableError("the token's signature has no letter to change")
    return f"{header}.{payload}.{signature[:place]}{signature[place].swapcase()}{signature[place + 1 :]}"


def _percent_encoded(material: Material) -> str:
    if "." not in material.genuine:
        raise NotApplicableError("the target's tokens have no dots")
    return material.genuine.replace(".", "%2E")


def _single_quotes(material: Material) -> str:
    return resealed(material, own_header(material), repr(claims_of(material)).encode())


def _flattened(header: str, payload: str, signature: str) -> str:
    return json.dumps({"payload": payload, "protected": header, "signature": signature})


def _general(header: str, payload: str, signature: str) -> str:
    return json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})


def _form(
    name: str,
    attacks: str,
    forge: Forge,
    source: str = "RFC 7515 section 7.1",
    *,
    severity: Severity = Severity.LOW,
    room: str = "",
    fits: frozenset[Subject] = ANY,
    needs: frozenset[Need] = FROM_GENUINE,
) -> Case:
    return Case(name, "form", attacks, source, forge, Reason.MALFORMED, severity, fits, needs, room=room)


def _signed_form(name: str, attacks: str, forge: Forge, source: str = "RFC 7519 section 7.2", room: str = "") -> Case:
    return _form(name, attacks, forge, source, room=room, needs=BY_SIGNER)


def _malleable(name: str, attacks: str, change: Callable[[str, str, str], str], room: str = "") -> Case:
    return _form(name, attacks, _parts(change), "RFC 7515 section 2 and 5.2", room=room)


_LENIENT = "the bytes are the same, and only who takes the text for the token's name is hurt"

CASES = (
    _form("two_parts", "header and payload with a dot and no more", _parts(lambda h, p, _: f"{h}.{p}")),
    _form("one_part", "a header alone", _parts(lambda h, _p, _s: h)),
    _form("four_parts", "a part more", _parts(lambda h, p, s: f"{h}.{p}.{s}.{s}")),
    _form("five_parts", "five parts, as encryption has", _parts(lambda h, p, s: f"{h}.{p}.{s}.{p}.{s}")),
    _form("dots_alone", "two dots and nothing else", lambda _: "..", needs=NOTHING),
    _form("one_dot", "one dot", lambda _: ".", needs=NOTHING),
    _form("garbage", "a word", lambda _: "not-a-token", needs=NOTHING),
    _form("null_word", "the word null, as scripts send it", lambda _: "null", needs=NOTHING),
    _form("undefined_word", "the word undefined, as scripts send it", lambda _: "undefined", needs=NOTHING),
    _form("dot_before", "a dot before", _whole(lambda token: f".{token}")),
    _form("dot_after", "a dot after", _whole(lambda token: f"{token}.")),
    _form("header_empty", "an empty header", _parts(lambda _h, p, s: f".{p}.{s}")),
    _form("header_no_json", "a header that is no JSON", _parts(lambda _h, p, s: f"{encode(b'header')}.{p}.{s}")),
    _form("header_is_list", "a list for a header", _parts(lambda _h, p, s: f"{encode(b'[]')}.{p}.{s}")),
    _form("header_is_null", "null for a header", _parts(lambda _h, p, s: f"{encode(b'null')}.{p}.{s}")),
    _form("header_cut", "a header that breaks off", _parts(lambda h, p, s: f"{encode(decode(h)[:-1])}.{p}.{s}")),
    _form(
        "header_no_utf8", "a header that is no UTF-8", _parts(lambda _h, p, s: f"{encode(bytes([0xFF, 0xFE]))}.{p}.{s}")
    ),
    _form(
        "json_flattened",
        "the flattened JSON serialisation",
        _parts(_flattened),
        "RFC 7515 section 7.2, RFC 7519 section 1",
    ),
    _form(
        "json_general", "the general JSON serialisation", _parts(_general), "RFC 7515 section 7.2, RFC 7519 section 1"
    ),
    _form("percent_encoded", "dots as percent signs and digits", _percent_encoded),
    Case(
        "signature_letter_case",
        "signature_bytes",
        "one letter of the signature in the other case",
        "RFC 7515 section 5.2",
        _other_case,
        Reason.BAD_SIGNATURE,
        Severity.CRITICAL,
    ),
    _form("in_quotes", "a token in quotes", _whole(lambda token: f'"{token}"')),
    _form("two_tokens", "the token twice, with a comma between", _whole(lambda token: f"{token},{token}")),
    _form(
        "signature_spare_bits",
        "spare bits of the signature's last character",
        _spare_bits,
        "RFC 4648 section 3.5",
        room=_LENIENT,
    ),
    _malleable(
        "signature_padded",
        "a signature with padding",
        lambda h, p, s: f"{h}.{p}.{s}{'=' * (-len(s) % 4 or 4)}",
        _LENIENT,
    ),
    _malleable(
        "signature_with_space", "a space inside the signature", lambda h, p, s: f"{h}.{p}.{s[:4]} {s[4:]}", _LENIENT
    ),
    _malleable(
        "signature_with_junk",
        "characters of no alphabet in the signature",
        lambda h, p, s: f"{h}.{p}.{s[:4]}*!{s[4:]}",
        _LENIENT,
    ),
    _signed_form(
        "payload_padded", "a payload with padding, signed so", _padded_payload, "RFC 7515 section 2", room=_LENIENT
    ),
    _signed_form(
        "payload_standard_alphabet",
        "a payload in the other base64 alphabet, signed so",
        _standard_alphabet,
        "RFC 7515 section 2",
        room=_LENIENT,
    ),
    _signed_form(
        "payload_with_space",
        "a space inside the payload, signed so",
        _broken_lines,
        "RFC 7515 section 5.2",
        room=_LENIENT,
    ),
    _signed_form("payload_no_json", "a payload that is no JSON", _payload(b"claims")),
    _signed_form("payload_is_list", "a list for claims", _payload(b"[]")),
    _signed_form("payload_is_string", "a string for claims", _payload(b'"claims"')),
    _signed_form("payload_is_null", "null for claims", _payload(b"null")),
    _signed_form("payload_is_number", "a number for claims", _payload(b"1")),
    _signed_form("payload_is_nothing", "no claims at all", _payload(b"")),
    _signed_form("payload_no_utf8", "claims that are no UTF-8", _latin1),
    _signed_form("payload_utf16", "claims in UTF-16", _utf16, room="some JSON readers guess the encoding"),
    _signed_form(
        "payload_byte_order_mark",
        "claims with a byte order mark",
        _byte_order_mark,
        "RFC 8259 section 8.1",
        room="a reader may ignore the mark",
    ),
    _signed_form("payload_trailing", "two JSON texts for claims", _trailing),
    _signed_form("payload_single_quotes", "claims in single quotes", _single_quotes),
    Case(
        "alg_twice",
        "duplicate_members",
        "the algorithm twice in the header",
        "RFC 7515 section 4",
        _alg_twice,
        Reason.MALFORMED,
        Severity.LOW,
        needs=BY_SIGNER,
        room="a parser may take the last of two members; that both be refused is the other way",
    ),
    Case(
        "exp_twice",
        "duplicate_members",
        "two expiries, the last one over",
        "RFC 7519 section 4",
        _twice("exp", lambda now: now + _SOON, lambda now: now - FAR),
        Reason.EXPIRED,
        Severity.MEDIUM,
        fits=TOKENS | ASSERTIONS,
        needs=BY_SIGNER,
    ),
    Case(
        "aud_twice",
        "audience",
        "two audiences, the last one a stranger",
        "RFC 7519 section 4",
        lambda material: _twice("aud", lambda _: claims_of(material).get("aud"), lambda _: "https://another.invalid")(
            material
        ),
        Reason.WRONG_AUDIENCE,
        Severity.MEDIUM,
        fits=TOKENS | ASSERTIONS,
        needs=BY_SIGNER,
    ),
    Case(
        "iss_twice",
        "duplicate_members",
        "two issuers, the last one a stranger",
        "RFC 7519 section 4",
        lambda material: _twice("iss", lambda _: claims_of(material).get("iss"), lambda _: "https://another.invalid")(
            material
        ),
        Reason.WRONG_ISSUER,
        Severity.MEDIUM,
        fits=TOKENS | ASSERTIONS,
        needs=BY_SIGNER,
    ),
    Case(
        "exp_twice_last_good",
        "duplicate_members",
        "two expiries, the first one over",
        "RFC 7519 section 4",
        _twice("exp", lambda now: now - FAR, lambda now: now + _SOON),
        Reason.MALFORMED,
        Severity.MEDIUM,
        fits=TOKENS | ASSERTIONS,
        needs=BY_SIGNER,
        room="a parser may take the last of two members; that both be refused is the other way",
    ),
)
