"""Where a request came from, as far as that can be believed."""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

_HEADER = b"x-forwarded-for"
_LONGEST = 64  # characters of an address with brackets and port
_MOST_HOPS = 16
_REMEMBERED = 4096
_IPV6_NETWORK = 64  # bits: within them one host takes many addresses (RFC 8981)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddresses:
    """The addresses that clients come from: the peer's, or behind trusted proxies what those say of it.

    trusted: addresses or networks of the proxies whose X-Forwarded-For is believed; none by default, for anybody can
    send one (RFC 7239 section 8.1). An IPv6 address counts as its network of 64 bits. Raises ValueError.
    """

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        networks: tuple[Network, ...] = tuple(ipaddress.ip_network(one) for one in trusted)

        @lru_cache(_REMEMBERED)
        def known(text: str) -> tuple[str | None, bool]:
            return _known(text, networks)

        self._known = known

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """Of an ASGI request; None where it cannot be told.

        Each proxy adds at the right what it saw: the first from there that is none of ours is the client.
        """
        peer = scope.get("client")
        if not peer:
            return None
        address, trusted = self._known(peer[0])
        if not trusted:
            return address
        lines = [value for name, value in scope["headers"] if name == _HEADER]
        for entry in reversed(b",".join(lines).rsplit(b",", _MOST_HOPS)[-_MOST_HOPS:] if lines else ()):
            text = entry.strip().decode("latin-1")
            address, trusted = self._known(text) if len(text) <= _LONGEST else (None, False)
            if not trusted:
                break
        return address


def _known(text: str, networks: Iterable[Network]) -> tuple[str | None, bool]:
    """The address to count that as, and whether it is one of those networks'; with or without a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None, False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    trusted = any(address in network for network in networks)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False)), trusted
    return str(address), trusted
