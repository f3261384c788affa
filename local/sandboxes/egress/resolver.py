"""Finds the addresses of names that policies allow, asking the host's name servers."""

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from local.sandboxes.egress.rules import is_reachable

_TRY_SECONDS, _IN_ALL_SECONDS = 2.0, 5.0
_KEPT_ANSWERS = 2000


class NameUnknown(Exception):
    """The name has no address that a sandbox may reach."""


class Resolver:
    """Asks for IPv4 addresses, and only the question's name leaves the host: nothing else of a query."""

    def __init__(self, nameservers: tuple[str, ...]) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = list(nameservers)
        self._resolver.timeout, self._resolver.lifetime = _TRY_SECONDS, _IN_ALL_SECONDS
        self._resolver.cache = dns.resolver.LRUCache(_KEPT_ANSWERS)

    async def addresses(self, name: str) -> list[str]:
        """Return the reachable addresses of a name. Raises `NameUnknown` if there is none.

        A name that leads to a private address leads nowhere: who owns it could aim at the host's networks.
        """
        try:
            answer = await self._resolver.resolve(name, dns.rdatatype.A, search=False)
        except dns.exception.DNSException as error:
            raise NameUnknown(f"'{name}' has no address: {type(error).__name__}") from None
        found = [record.address for record in answer if is_reachable(record.address)]
        if not found:
            raise NameUnknown(f"'{name}' leads to a private address")
        return found
