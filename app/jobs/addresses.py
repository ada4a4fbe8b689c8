"""Which addresses the server calls on behalf of a client: public ones, and no others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host, as text. Raises OSError where there are none."""

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits
_IPV6_UNICAST = IPv6Network("2000::/3")  # RFC 4291: all global unicast that is assigned
_REFUSED = (
    IPv4Network("0.0.0.0/8"),  # RFC 1122: this network
    IPv4Network("100.64.0.0/10"),  # RFC 6598: carrier-grade NAT, some clouds' metadata
    IPv4Network("168.63.129.16/32"),  # Azure's platform services, at a public address
    IPv4Network("192.0.0.0/24"),  # RFC 6890: protocol assignments, some clouds' metadata
    IPv4Network("192.88.99.0/24"),  # RFC 7526: relays of 6to4
    IPv4Network("224.0.0.0/4"),  # RFC 5771: multicast
    IPv4Network("240.0.0.0/4"),  # RFC 1112: reserved, broadcast
)
_REFUSED_IPV6 = (
    IPv6Network("2001::/23"),  # RFC 2928: protocol assignments, Teredo among them
    IPv6Network("2002::/16"),  # RFC 3056: 6to4, which carries IPv4 addresses
)


def is_public(address: str) -> bool:
    """Whether an IP address, as text, is one of the public internet.

    IPv4 addresses in IPv6 clothes count as what they are: mapped ones and those of NAT64 are
    judged by the address inside, tunnels are refused.
    """
    parsed = _unwrapped(ip_address(address.partition("%")[0]))
    if isinstance(parsed, IPv6Address):
        tunnels = any(parsed in network for network in _REFUSED_IPV6)
        return parsed in _IPV6_UNICAST and parsed.is_global and not tunnels
    return parsed.is_global and not any(parsed in network for network in _REFUSED)


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
