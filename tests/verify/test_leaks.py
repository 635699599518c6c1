"""A token from more addresses than one client has is suspected, once; nobody can grow what is remembered for it."""

import itertools
from typing import Any

import pytest

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.verify import ClientAddresses, LeakWatch

ISSUER = "https://issuer.example"


class Watched:
    """A watch that is told of requests."""

    def __init__(self, **more: Any) -> None:
        instruments = Instruments()
        self.watch = LeakWatch(ISSUER, instruments=instruments, **more)
        self._registry = instruments.registry

    def saw(self, jti: str | None, *addresses: str, signature: str = "s", exp: int = 1000) -> None:
        claims = {"exp": exp} if jti is None else {"exp": exp, "jti": jti}
        for address in addresses:
            self.watch.saw({"client": (address, 1), "headers": []}, f"h.{jti or exp}.{signature}", claims)

    @property
    def suspicions(self) -> float | None:
        return self._registry.get_sample_value("jwt_token_leak_suspicion_total", {"issuer": ISSUER})


def ips(count: int, first: int = 0) -> list[str]:
    return [f"198.51.{number // 256}.{number % 256}" for number in range(first, first + count)]


def test_more_addresses_than_allowed_count_once_for_a_token() -> None:
    seen = Watched(most_addresses=5)
    seen.saw("a", *ips(5), *ips(5))
    assert seen.suspicions == 0
    seen.saw("a", *ips(1, first=5))
    assert seen.suspicions == 1
    seen.saw("a", *ips(100))
    assert seen.suspicions == 1
    seen.saw("b", *ips(6))
    assert seen.suspicions == 2


def test_many_tokens_from_one_address_and_few_addresses_each_are_none() -> None:
    seen = Watched(most_addresses=5)
    for number in range(100):
        seen.saw(f"t{number}", *ips(5, first=number))
    assert seen.suspicions == 0


@pytest.mark.parametrize("jti", ["a", None, "j" * 1000])
def test_a_signature_that_is_spelled_otherwise_makes_no_other_token(jti: str | None) -> None:
    seen = Watched(most_addresses=2)
    for number, address in enumerate(ips(3)):
        seen.saw(jti, address, signature=str(number))
    assert seen.suspicions == 1


@pytest.mark.parametrize("jti", ["a", None])
def test_an_issuer_with_one_jti_for_all_raises_no_suspicion(jti: str | None) -> None:
    seen = Watched(most_addresses=2)
    for number, address in enumerate(ips(50)):
        seen.saw(jti, address, exp=1000 + number)
    assert seen.suspicions == 0


def test_memory_is_bounded_and_keeps_what_is_in_use() -> None:
    seen = Watched(most_addresses=3, most_tokens=100)
    for number in range(5000):
        seen.saw(f"t{number}", "192.0.2.1")
        if number % 50 == 0:
            seen.saw("leaked", *ips(1, first=number))
        assert len(seen.watch) <= 100
    assert seen.suspicions == 1


def test_what_is_remembered_of_a_token_is_bounded() -> None:
    seen = Watched(most_addresses=3)
    seen.saw("j" * 10_000, *ips(3))
    seen.saw("a", *ips(1000))
    [(long, _), kept], _ = itertools.chain(seen.watch._seen), None
    assert len(long) == 32
    assert seen.watch._seen[kept] == ("",)


def test_a_request_whose_address_cannot_be_told_says_nothing() -> None:
    seen = Watched(most_addresses=1)
    seen.watch.saw({"client": None, "headers": []}, "t", {"jti": "a", "exp": 1})
    assert len(seen.watch) == 0


def address(peer: str, *forwarded: str, trusted: tuple[str, ...] = ()) -> str | None:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return ClientAddresses(trusted).of({"client": (peer, 1), "headers": headers})


def test_nobody_is_believed_by_default() -> None:
    assert address("127.0.0.1", "203.0.113.7") == "127.0.0.1"
    assert address("192.0.2.1", "203.0.113.7", trusted=("10.0.0.0/8",)) == "192.0.2.1"


def test_behind_trusted_proxies_the_client_is_the_first_from_the_right_that_is_none() -> None:
    trusted = ("127.0.0.0/8", "10.0.0.0/8")
    assert address("127.0.0.1", "203.0.113.7", trusted=trusted) == "203.0.113.7"
    assert address("127.0.0.1", "9.9.9.9, 203.0.113.7, 10.1.1.1", trusted=trusted) == "203.0.113.7"
    assert address("127.0.0.1", "9.9.9.9", "203.0.113.7,10.1.1.1", trusted=trusted) == "203.0.113.7"
    assert address("127.0.0.1", "10.1.1.1", trusted=trusted) == "10.1.1.1"
    assert address("127.0.0.1", trusted=trusted) == "127.0.0.1"


@pytest.mark.parametrize("text", ["unknown", "_hidden", "", "1.2.3.4.5", "x" * 100_000, "\xff"])
def test_what_is_no_address_tells_nothing(text: str) -> None:
    assert address("127.0.0.1", f"9.9.9.9, {text}", trusted=("127.0.0.1",)) is None


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::1]:4711", "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_ports_and_the_many_addresses_of_one_ipv6_host_do_not_count(said: str, counted: str) -> None:
    assert address("127.0.0.1", said, trusted=("127.0.0.1",)) == counted


def test_a_chain_without_end_is_looked_at_for_so_far() -> None:
    assert address("127.0.0.1", "203.0.113.7" + ", 127.0.0.1" * 10_000, trusted=("127.0.0.1",)) == "127.0.0.1"


def test_a_trusted_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        ClientAddresses(["10.0.0/8x"])
