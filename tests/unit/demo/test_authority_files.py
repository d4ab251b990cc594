"""What the demo writes down for a certificate authority of its own."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from mailadmin.demo.authority import Options, ports, tls
from mailadmin.sandbox.addresses import can_listen

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_the_directory_certificate_is_for_loopback_and_leads_to_its_root(tmp_path: Path) -> None:
    files = tls.keep_directory_tls(tmp_path, NOW)
    root = x509.load_pem_x509_certificate(files.root.read_bytes())
    shown = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    policy = PolicyBuilder().store(Store([root])).time(NOW + timedelta(days=3000))

    policy.build_server_verifier(x509.DNSName("localhost")).verify(shown, [])

    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert str(names.get_values_for_type(x509.IPAddress)[0]) == "127.0.0.1"
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)


def test_the_root_stays_the_same_as_long_as_its_files_are_there(tmp_path: Path) -> None:
    first = tls.keep_directory_tls(tmp_path).root_pem
    assert tls.keep_directory_tls(tmp_path).root_pem == first
    (tmp_path / "key.pem").unlink()
    assert tls.keep_directory_tls(tmp_path).root_pem != first


def test_ports_are_free_apart_and_remembered(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    found = ports.keep_ports(file, ["one", "two", "three"])
    assert len(set(found.values())) == 3
    assert all(can_listen("127.0.0.1", port) for port in found.values())
    assert ports.keep_ports(file, ["one", "two", "three"]) == found


def test_a_port_that_somebody_else_took_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    taken = ports.keep_ports(file, ["one"])["one"]
    with ports.socket.create_server(("127.0.0.1", taken)):
        assert ports.is_listening(taken)
        assert ports.keep_ports(file, ["one"])["one"] != taken


@pytest.mark.parametrize("noted", ["", "[1]", '{"one": "x"}', '{"one": null}'])
def test_a_spoilt_note_of_the_ports_is_written_anew(tmp_path: Path, noted: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(noted)
    found = ports.keep_ports(file, ["one"])
    assert found["one"] > 0
    assert ports.keep_ports(file, ["one"]) == found


def test_pebble_is_mild_unless_told_otherwise() -> None:
    mild = Options().environment()
    assert mild["PEBBLE_WFE_NONCEREJECT"] == "0"
    assert mild["PEBBLE_VA_NOSLEEP"] == "1"
    assert "PEBBLE_VA_ALWAYS_VALID" not in mild
    unkind = Options(is_slow=True, is_always_valid=True, rejected_nonces=50).environment()
    assert unkind["PEBBLE_WFE_NONCEREJECT"] == "50"
    assert "PEBBLE_VA_NOSLEEP" not in unkind
    assert unkind["PEBBLE_VA_ALWAYS_VALID"] == "1"


def test_keys_for_external_accounts_stay_out_of_what_is_printed() -> None:
    options = Options(eab_keys={"kid-1": "c2VjcmV0"})
    assert options.configuration()["externalAccountBindingRequired"] is True
    assert "c2VjcmV0" not in repr(options)
