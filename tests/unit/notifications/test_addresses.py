"""Which addresses a webhook may have."""

from __future__ import annotations

import pytest

from mailadmin.notifications.addresses import check_url, may_call, plain_address


@pytest.mark.parametrize(
    "url",
    [
        "https://chat.example.org/hooks/abc?x=1",
        "http://chat.example.org:8080",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1::1]/a",
        "https://xn--bcher-kva.example/",
    ],
)
def test_ordinary_addresses_are_taken(url: str) -> None:
    assert check_url(url, is_private_allowed=False) is None


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "url_invalid"),
        ("chat.example.org", "url_invalid"),
        ("https://", "url_invalid"),
        ("https://chat.example.org:0/", "url_invalid"),
        ("https://chat.example.org:99999/", "url_invalid"),
        ("https://[::1/", "url_invalid"),
        ("https://chat.example.org/a b", "url_invalid"),
        ("https://bücher.example/", "url_invalid"),
        ("https://chat.example.org/\r\nX: y", "url_invalid"),
        ("file:///etc/passwd", "url_invalid"),
        ("unix://run/agent.sock", "url_scheme"),
        ("gopher://chat.example.org/", "url_scheme"),
        ("https://user:pass@chat.example.org/", "url_password"),
        ("https://user@chat.example.org/", "url_password"),
        ("https://chat.example.org/#part", "url_fragment"),
        ("http://127.0.0.1:9000/", "address_private"),
        ("http://10.0.0.7/", "address_private"),
        ("http://[::1]/", "address_private"),
        ("http://[fd00::1]/", "address_private"),
        ("http://[::ffff:192.168.1.1]/", "address_private"),
        ("http://169.254.169.254/latest/meta-data", "address_never"),
        ("http://[::ffff:169.254.169.254]/", "address_never"),
        ("http://[fe80::1]/", "address_never"),
        ("http://0.0.0.0:8000/", "address_never"),
        ("http://[::]/", "address_never"),
        ("http://224.0.0.1/", "address_never"),
    ],
)
def test_others_are_refused_with_the_reason(url: str, code: str) -> None:
    problem = check_url(url, is_private_allowed=False)
    assert problem is not None
    assert problem.code == f"webhook.{code}"


@pytest.mark.parametrize("text", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd00::1"])
def test_private_networks_are_a_choice(text: str) -> None:
    assert not may_call(plain_address(text), is_private_allowed=False)
    assert may_call(plain_address(text), is_private_allowed=True)
    assert check_url("http://10.0.0.7/", is_private_allowed=True) is None


@pytest.mark.parametrize("text", ["169.254.169.254", "fe80::1%eth0", "0.0.0.0", "::", "ff02::1"])  # noqa: S104
def test_no_choice_allows_link_local(text: str) -> None:
    assert not may_call(plain_address(text), is_private_allowed=True)
