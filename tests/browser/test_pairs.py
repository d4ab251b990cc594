"""The pages that show two certificates side by side, on a phone in the dark and on a desk."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from mailadmin.certificates.services import create_self_signed
from mailadmin.pki.keys import KeyKind
from tests.browser.accessibility import violations
from tests.browser.conftest import SessionOf
from tests.deployment_factories import make_deployment, make_look, make_steps
from tests.factories import make_actor
from tests.server_factories import apply_wanted, make_server

PHONE = {"viewport": {"width": 380, "height": 800}, "color_scheme": "dark"}
DESK = {"viewport": {"width": 1280, "height": 900}}
NAME = "mail.example.org"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [PHONE, DESK], ids=["phone", "desk"])
def test_a_pair_is_made_and_seen_everywhere(
    session_of: SessionOf, settings: Settings, tmp_path: Path, options: dict[str, object]
) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"
    rsa, ecdsa = (
        create_self_signed(
            actor=make_actor(), names=[NAME], key_kind=kind, now=timezone.now(), days=90
        )
        for kind in (KeyKind.RSA_2048, KeyKind.ECDSA_P256)
    )
    server = apply_wanted(make_server(default_certificate=rsa))
    tab = session_of("operator", **options).new_page()

    def look(address: str) -> None:
        tab.goto(address)
        assert violations(tab) == [], address
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), address

    look(f"/certificates/{rsa.pk}/")
    tab.get_by_role("button", name="Serve beside this one").click()
    tab.get_by_role("button", name="Separate them").wait_for()
    look(f"/certificates/{ecdsa.pk}/")
    for address in ("/listeners/", f"/listeners/assign/?certificate={ecdsa.pk}"):
        look(address)
        assert (
            tab.get_by_role("link", name="ECDSA P-256")
            .or_(tab.get_by_role("link", name="RSA 2048"))
            .first.is_visible()
        )
    server.refresh_from_db()
    make_look(apply_wanted(server))
    deployment = make_deployment(server)
    make_steps(deployment, "planned", "staged", "swapped", "proved", "watched")
    for address in ("/", "/served/imaps/", deployment.get_absolute_url()):
        look(address)
        assert "ECDSA" in tab.inner_text("main")
