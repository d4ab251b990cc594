"""A certificate with thousands of names can be put to use from a page that a browser can show."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from mailadmin.listeners.suggestions import MOST_NAMES_OFFERED
from tests.server_factories import make_certificate, make_server

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("count", [MOST_NAMES_OFFERED, 10_000])
def test_only_the_first_names_get_a_box(client_of: Callable[[str], Client], count: int) -> None:
    make_server(default_certificate=make_certificate("mail.example.org"))
    names = [f"h{number:05d}.example.net" for number in range(count)]
    certificate = make_certificate(*names)
    address = reverse("listeners:assign")
    response = client_of("operator").get(address, {"certificate": certificate.pk})
    page = response.content.decode()
    assert page.count('name="host_names"') == MOST_NAMES_OFFERED
    assert ("are offered here" in page) is (count > MOST_NAMES_OFFERED)
