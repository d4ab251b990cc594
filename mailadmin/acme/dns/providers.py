"""TXT records at DNS providers, through the interfaces that dns-lexicon speaks.

Lexicon's client would fetch a list of public suffixes to guess the zone, and guess wrongly where
zones are delegated. The zone is looked up here instead, and told to the provider's class.

No exception raised here holds a secret. What a provider says may, so only the kind of what went
wrong is passed on, and the status of HTTP.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import requests
import tldextract.tldextract
from lexicon._private.discovery import find_providers, load_provider_module
from lexicon.config import ConfigResolver, DictConfigSource
from lexicon.exceptions import AuthenticationError
from lexicon.interfaces import Provider as LexiconProvider

from mailadmin.acme.dns.delegation import find_zone_name
from mailadmin.acme.dns.failures import DnsFailure, dns_failure
from mailadmin.acme.dns.resolving import Resolver
from mailadmin.acme.dns.writing import RECORD_TTL

# One provider asks it by itself; without addresses it reads the list that it came with.
tldextract.tldextract.TLD_EXTRACTOR.suffix_list_urls = ()

# Old names of Lexicon's modules, which warn whoever looks at them: as inspect does at each module
# that is loaded, for any traceback. Nothing here or in Lexicon itself imports them.
for _old_name in ("lexicon.cli", "lexicon.parser", "lexicon.discovery"):
    sys.modules.pop(_old_name, None)

CALL_LIMIT = 60.0  # seconds for one change: login, zones and records are several requests
_MOST_HANGING = 8  # calls past their limit that may still be around

# auto guesses among all, ddns is what dynamic updates here do better, localzone writes files.
_LEFT_OUT = frozenset({"auto", "ddns", "localzone"})
# Ends of the names of options that everybody may see. Whatever is not here is sealed.
_PUBLIC_ENDS = (
    "username",
    "subuser",
    "user",
    "account",
    "region",
    "entrypoint",
    "endpoint",
    "protocol",
    "server",
    "server_id",
    "host",
    "view",
    "zone",
    "zone_id",
    "group",
    "weight",
    "port",
    "client_ip",
    "sandbox",
    "is_global",
    "disable_notify",
    "tenant_id",
    "subscription_id",
    "client_id",
    "customer_id",
    "cloud_id",
    "folder_id",
    "auth_id",
    "auth_subid",
    "sleep_time",
    "tenancy",
    "fingerprint",
    "profile",
    "auth_type",
)
_MEANS_KEY = re.compile(r"\b(key|token|secret|password)\b", re.IGNORECASE)
# Ends of the names of options that name files of this machine, which nobody sets from a page.
_FILE_ENDS = ("file", "filename")
_LONGEST_VALUE = 10_000  # characters; a service account's key in JSON has about 2400


@dataclass(frozen=True, slots=True)
class ProviderOption:
    """Something that a provider wants to be told."""

    name: str
    explanation: str
    is_secret: bool
    is_switch: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DnsProvider:
    """A provider and its options; ``is_installed``: nothing that it needs is missing here."""

    name: str
    options: tuple[ProviderOption, ...]
    is_installed: bool


@dataclass(frozen=True, slots=True)
class ProviderRecords:
    """Writes TXT records at a provider; a ``DnsWriter``."""

    provider: str
    resolver: Resolver
    options: Mapping[str, str] = field(repr=False)
    limit: float = CALL_LIMIT

    def add_txt(self, name: str, value: str) -> None:
        """Write the value beside those that are there. Raises ``DnsFailure``."""
        if self._call(name, lambda records: records.create_record("TXT", name, value)) is False:
            raise dns_failure("dns.provider_not_written", name, provider=self.provider)

    def remove_txt(self, name: str, value: str) -> None:
        """Remove this value alone. Raises ``DnsFailure``."""
        # Some answer with False when there is nothing to remove, which is as well.
        self._call(name, lambda records: records.delete_record(None, "TXT", name, value))

    def _call(self, name: str, change: Callable[[LexiconProvider], bool | None]) -> bool | None:
        zone = find_zone_name(self.resolver, name)

        def work() -> bool | None:
            records = _load(self.provider)(_configure(self.provider, zone, self.options))
            records.authenticate()
            try:
                return change(records)
            finally:
                records.cleanup()

        try:
            return _run_within(self.limit, work)
        except DnsFailure as failure:
            problem = failure.problem
            raise dns_failure(problem.code, name, provider=self.provider, zone=zone) from None
        except Exception as error:
            code, status = _classify(error)
            raise dns_failure(
                code,
                name,
                provider=self.provider,
                zone=zone,
                status=status,
                kind=type(error).__name__[:60],
            ) from None


@cache
def list_providers() -> tuple[DnsProvider, ...]:
    """Return all providers, with what Lexicon's own command line asks for each."""
    return tuple(
        DnsProvider(name, _read_options(name), is_installed)
        for name, is_installed in sorted(find_providers().items())
        if name not in _LEFT_OUT
    )


def find_provider(name: str) -> DnsProvider:
    """Return the provider.

    Raises ``DnsFailure``: ``dns.provider_unknown``, ``dns.provider_not_installed``.
    """
    found = next((item for item in list_providers() if item.name == name), None)
    if found is None:
        raise dns_failure("dns.provider_unknown", name[:40])
    if not found.is_installed:
        raise dns_failure("dns.provider_not_installed", name)
    return found


def read_access(
    settings: Mapping[str, Any], secrets: Mapping[str, str], resolver: Resolver
) -> ProviderRecords:
    """Return what writes with the settings of a DNS access (``provider``, ``options``) and its
    secret options.

    Raises ``DnsFailure``: ``dns.provider_unknown``, ``dns.provider_not_installed``,
    ``dns.provider_option_unknown``, ``dns.provider_option_invalid``.
    """
    provider = find_provider(str(settings.get("provider", "")))
    given = {**settings.get("options", {}), **secrets}
    return ProviderRecords(provider.name, resolver, check_options(provider, given))


def check_options(provider: DnsProvider, given: Mapping[str, object]) -> dict[str, str]:
    """Return the options that are not empty.

    Raises ``DnsFailure``: ``dns.provider_option_unknown``, ``dns.provider_option_invalid``.
    """
    known = {option.name: option for option in provider.options}
    checked = {}
    for name, raw in given.items():
        value = str(raw).strip()
        option = known.get(name)
        if option is None:
            raise dns_failure("dns.provider_option_unknown", name[:40], provider=provider.name)
        if value and not _is_fit(option, value):
            raise dns_failure("dns.provider_option_invalid", name, provider=provider.name)
        if value:
            checked[name] = value
    return checked


def _is_fit(option: ProviderOption, value: str) -> bool:
    if len(value) > _LONGEST_VALUE or (option.choices and value not in option.choices):
        return False
    # Some options take the path of a file or of a socket instead: not of this machine's.
    return not value.startswith("file:") and (option.is_secret or not value.startswith("/"))


def _read_options(provider: str) -> tuple[ProviderOption, ...]:
    parser = argparse.ArgumentParser(add_help=False)
    _load(provider).configure_parser(parser)
    return tuple(
        ProviderOption(
            name=action.dest,
            explanation=action.help or "",
            is_secret=_is_secret(action.dest, action.help or ""),
            is_switch=action.nargs == 0,
            choices=tuple(str(choice) for choice in action.choices or ()),
        )
        for action in parser._actions
        if not action.dest.endswith(_FILE_ENDS)
    )


def _is_secret(option: str, explanation: str) -> bool:
    """Tell whether it is to be sealed. Some providers call a key "user name"."""
    if option.endswith("username") and _MEANS_KEY.search(explanation):
        return True
    return not option.endswith(_PUBLIC_ENDS)


def _load(provider: str) -> type[LexiconProvider]:
    loaded: type[LexiconProvider] = load_provider_module(provider).Provider
    return loaded


def _configure(provider: str, zone: str, options: Mapping[str, str]) -> ConfigResolver:
    """Return the configuration: ours alone, nothing of the environment or of files."""
    told = {"provider_name": provider, "domain": zone, "ttl": RECORD_TTL, provider: dict(options)}
    empty: ConfigResolver = ConfigResolver()  # type: ignore[no-untyped-call]  # no types
    return empty.with_config_source(DictConfigSource(told))


def _classify(error: Exception) -> tuple[str, int]:
    """Return the code for what a provider's class raised, and the status of HTTP if known."""
    if isinstance(error, AuthenticationError):
        return "dns.provider_denied", 0
    if isinstance(error, requests.Timeout | requests.ConnectionError):
        return "dns.provider_unreachable", 0
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 0)
    if not isinstance(status, int):
        status = 0
    if status in (401, 403):
        return "dns.provider_denied", status
    return "dns.provider_failed", status


# A time limit for code that knows none

_hanging = threading.BoundedSemaphore(_MOST_HANGING)


def _run_within(seconds: float, work: Callable[[], bool | None]) -> bool | None:
    """Run the work in a thread of its own, and wait for it so long.

    One that hangs cannot be ended; it is left alone and counted, so that they do not pile up.
    Raises what the work raises, or ``DnsFailure``: ``dns.provider_slow``, ``dns.provider_stuck``.
    """
    places = _hanging
    if not places.acquire(blocking=False):
        raise dns_failure("dns.provider_stuck")
    outcome: list[bool | Exception | None] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)
        finally:
            places.release()

    thread = threading.Thread(target=run, name="dns provider", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise dns_failure("dns.provider_slow")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
