"""DNS providers through dns-lexicon: what they are asked for, and that nothing leaks or hangs."""

from __future__ import annotations

import json
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn

import pytest
import requests
import tldextract
from lexicon.exceptions import AuthenticationError

from mailadmin.acme.dns import providers
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.providers import ProviderRecords, find_provider, list_providers
from mailadmin.acme.dns.resolving import Resolver
from tests.loopback_dns import answering, in_zone

TOKEN = "token-that-nobody-may-see"
ZONE = "mail.example.test"


@dataclass
class PowerDns:
    """The part of PowerDNS's HTTP interface that its class in Lexicon uses."""

    url: str = ""
    rrsets: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    status: int = 200
    # While it is not set, nothing is answered.
    may_answer: threading.Event = field(default_factory=threading.Event)

    def contents(self, name: str) -> list[str]:
        records = self.rrsets.get((f"{name}.", "TXT"), {"records": []})["records"]
        return sorted(record["content"].strip('"') for record in records)


@contextmanager
def power_dns() -> Iterator[PowerDns]:
    served = PowerDns()
    served.may_answer.set()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"kind": "Native", "rrsets": list(served.rrsets.values())})

        def do_PATCH(self) -> None:
            length = int(self.headers["Content-Length"])
            for rrset in json.loads(self.rfile.read(length))["rrsets"]:
                served.rrsets[rrset["name"], rrset["type"]] = rrset
            self._answer({})

        def _answer(self, value: object) -> None:
            served.may_answer.wait(120)
            is_known = self.headers["X-API-Key"] == TOKEN and f"/zones/{ZONE}." in self.path
            content = json.dumps(value if is_known else {"error": TOKEN}).encode()
            self.send_response(served.status if is_known else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield served
        finally:
            served.may_answer.set()
            server.shutdown()


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    with answering(in_zone(ZONE)) as server:
        yield Resolver((server,))


def records(url: str, resolver: Resolver, token: str = TOKEN) -> ProviderRecords:
    settings = {"provider": "powerdns", "options": {"pdns_server": url}}
    return providers.read_access(settings, {"auth_token": token}, resolver)


def failure(work: Any, *arguments: Any) -> tuple[str, dict[str, object]]:
    with pytest.raises(DnsFailure) as error:
        work(*arguments)
    shown = "".join(traceback.format_exception(error.value)) + repr(error.value.problem)
    assert TOKEN not in shown
    return error.value.problem.code, dict(error.value.problem.params)


def test_two_values_stand_side_by_side_and_one_goes_alone(resolver: Resolver) -> None:
    name = f"_acme-challenge.{ZONE}"
    with power_dns() as served:
        writer = records(served.url, resolver)
        assert TOKEN not in repr(writer)
        writer.add_txt(name, "of the name")
        writer.add_txt(name, "of the wildcard")
        writer.add_txt(name, "of the wildcard")
        assert served.contents(name) == ["of the name", "of the wildcard"]
        writer.remove_txt(name, "of the name")
        assert served.contents(name) == ["of the wildcard"]
        writer.remove_txt(name, "of nobody")
        assert served.contents(name) == ["of the wildcard"]


def test_what_goes_wrong_there_is_told_without_secrets(resolver: Resolver) -> None:
    name = f"_acme-challenge.{ZONE}"
    with power_dns() as served:
        wrong = records(served.url, resolver, f"other-{TOKEN}")
        code, params = failure(wrong.add_txt, name, "value")
        assert (code, params["status"], params["zone"]) == ("dns.provider_denied", 401, ZONE)
        served.status = 500
        code, params = failure(records(served.url, resolver).add_txt, name, "value")
        assert (code, params["status"]) == ("dns.provider_failed", 500)
    # The port stays ours, so that nobody else can begin to listen there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = records(f"http://127.0.0.1:{taken.getsockname()[1]}", resolver)
        assert failure(gone.add_txt, name, "value")[0] == "dns.provider_unreachable"


def test_a_provider_that_hangs_is_left_alone(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "_hanging", threading.BoundedSemaphore(1))
    with power_dns() as served:
        served.may_answer.clear()
        settings = {"auth_token": TOKEN, "pdns_server": served.url}
        writer = ProviderRecords("powerdns", resolver, settings, limit=0.1)
        code, params = failure(writer.add_txt, f"a.{ZONE}", "value")
        assert (code, params["provider"]) == ("dns.provider_slow", "powerdns")
        assert failure(writer.add_txt, f"a.{ZONE}", "value")[0] == "dns.provider_stuck"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AuthenticationError(TOKEN), "dns.provider_denied"),
        (requests.Timeout(TOKEN), "dns.provider_unreachable"),
        (ValueError(TOKEN), "dns.provider_failed"),
        (KeyError(TOKEN), "dns.provider_failed"),
    ],
)
def test_whatever_a_class_raises(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def authenticate(_provider: object) -> NoReturn:
        raise error

    monkeypatch.setattr(providers._load("desec"), "authenticate", authenticate)
    writer = ProviderRecords("desec", resolver, {"auth_token": TOKEN})
    assert failure(writer.remove_txt, f"a.{ZONE}", "value")[0] == code


def test_one_that_says_it_did_not_write(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    desec = providers._load("desec")
    monkeypatch.setattr(desec, "authenticate", lambda _provider: None)
    monkeypatch.setattr(desec, "create_record", lambda *_arguments: False)
    monkeypatch.setattr(desec, "delete_record", lambda *_arguments: False)
    writer = ProviderRecords("desec", resolver, {"auth_token": TOKEN})
    assert failure(writer.add_txt, f"a.{ZONE}", "value")[0] == "dns.provider_not_written"
    writer.remove_txt(f"a.{ZONE}", "value")


def test_nobody_fetches_the_list_of_public_suffixes(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    # As on a machine where nothing is kept from earlier.
    extractor = tldextract.tldextract.TLD_EXTRACTOR
    monkeypatch.setattr(extractor, "_cache", tldextract.cache.DiskCache(str(tmp_path)))
    monkeypatch.setattr(extractor, "_extractor", None)
    called: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def only_to_loopback(endpoint: socket.socket, address: Any) -> None:
        if address[0] != "127.0.0.1":
            called.append(address)
            raise ConnectionRefusedError
        connect(endpoint, address)

    def no_names(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "127.0.0.1":
            called.append(host)
            raise socket.gaierror
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", only_to_loopback)
    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with power_dns() as served:
        records(served.url, resolver).add_txt(f"a.{ZONE}", "value")
    # The one class that guesses the zone by itself.
    godaddy = providers._load("godaddy")(providers._configure("godaddy", "a.co.uk", {}))
    assert godaddy.get_root_domain_name() == "a.co.uk"
    assert called == []


# What they ask for


def test_every_provider_can_be_described() -> None:
    found = {provider.name: provider for provider in list_providers()}
    assert len(found) > 80
    assert not {"auto", "ddns", "localzone"} & set(found)
    options = {option.name: option for option in found["ovh"].options}
    assert options["auth_entrypoint"].choices[:2] == ("ovh-eu", "ovh-ca")
    assert not options["auth_entrypoint"].is_secret
    assert options["auth_application_secret"].is_secret
    assert [option.name for option in found["powerdns"].options if not option.is_secret] == [
        "pdns_server",
        "pdns_server_id",
        "pdns_disable_notify",
    ]
    switches = [option.name for option in found["namecheap"].options if option.is_switch]
    assert switches == ["auth_sandbox"]


def test_whatever_sounds_like_a_secret_is_one() -> None:
    telling = ("token", "secret", "password", "pass", "psw", "key", "api_key", "phrase", "info")
    for provider in list_providers():
        for option in provider.options:
            assert option.is_secret or not option.name.endswith(telling), (provider.name, option)
            assert "file" not in option.name


@pytest.mark.parametrize(
    ("settings", "secrets", "code"),
    [
        ({"provider": "nobody"}, {}, "dns.provider_unknown"),
        ({}, {}, "dns.provider_unknown"),
        ({"provider": "localzone", "options": {"filename": "/x"}}, {}, "dns.provider_unknown"),
        ({"provider": "route53"}, {}, "dns.provider_not_installed"),
        ({"provider": "desec"}, {"password": TOKEN}, "dns.provider_option_unknown"),
        (
            {"provider": "ovh", "options": {"auth_entrypoint": "x"}},
            {},
            "dns.provider_option_invalid",
        ),
        (
            {"provider": "powerdns", "options": {"pdns_server": "/run/redis/redis.sock"}},
            {},
            "dns.provider_option_invalid",
        ),
        (
            {"provider": "googleclouddns"},
            {"auth_service_account_info": "file::/etc/shadow"},
            "dns.provider_option_invalid",
        ),
        ({"provider": "desec"}, {"auth_token": "x" * 10_001}, "dns.provider_option_invalid"),
    ],
)
def test_what_cannot_be_used(settings: dict[str, Any], secrets: dict[str, str], code: str) -> None:
    assert failure(providers.read_access, settings, secrets, Resolver(()))[0] == code


def test_empty_options_are_left_out() -> None:
    given = {"auth_username": " ", "auth_token": " x "}
    assert providers.check_options(find_provider("desec"), given) == {"auth_token": "x"}


def test_whoever_looks_at_the_loaded_modules_is_not_warned_of_old_names() -> None:
    list_providers()
    loaded = [module for name, module in sys.modules.items() if name.startswith("lexicon")]
    assert loaded
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for module in loaded:
            getattr(module, "__file__", None)
