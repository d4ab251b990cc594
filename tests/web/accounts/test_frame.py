"""What every page is made of: the frame, the theme, the small parts, the pages for trouble."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.management import call_command
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path
from django.utils import timezone

from mailadmin.accounts.icons import NAMES
from mailadmin.accounts.models import User
from mailadmin.accounts.relative_time import relative_words
from mailadmin.accounts.templatetags.ui import STATE_ICONS

TEMPLATES = settings.BASE_DIR / "templates"
STATIC = settings.BASE_DIR / "static"


def _refuse(_request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("Your role is viewer.")


def _misunderstand(_request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("odd")


def _stumble(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a bug with a secret in its text")


# Enough of the project's addresses, and three that only raise.
urlpatterns = [
    path("account/", include("mailadmin.accounts.urls")),
    path("audit/", include("mailadmin.audit.urls")),
    path("raise/403/", _refuse),
    path("raise/400/", _misunderstand),
    path("raise/500/", _stumble),
]


def _be_away(*_: object) -> None:
    raise OperationalError("the database is away")


def _draw(source: str, **context: object) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


# Small parts


def test_the_sprite_holds_exactly_the_icons_we_name() -> None:
    sprite = (STATIC / "vendor/icons/icons.svg").read_text("utf-8")
    assert set(re.findall(r'<symbol id="([^"]+)"', sprite)) == NAMES


def test_every_icon_in_a_template_exists() -> None:
    used = {
        name
        for file in TEMPLATES.rglob("*.html")
        for name in re.findall(r'{% icon "([^"]+)"', file.read_text("utf-8"))
    }
    assert used <= NAMES
    assert set(STATE_ICONS.values()) <= NAMES


def test_an_icon_is_decoration_unless_it_has_a_label() -> None:
    assert 'aria-hidden="true"' in _draw('{% icon "lock" %}')
    labelled = _draw('{% icon "lock" "Encrypted" %}')
    assert 'role="img"' in labelled
    assert 'aria-label="Encrypted"' in labelled


def test_an_icon_we_do_not_have_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no such icon: unicorn"):
        _draw('{% icon "unicorn" %}')


@pytest.mark.parametrize("state", sorted(STATE_ICONS))
def test_a_state_is_told_by_icon_and_word_too(state: str) -> None:
    drawn = _draw("{% status state word %}", state=state, word="<word>")
    assert f"pill-{state}" in drawn
    assert "<svg" in drawn
    assert "&lt;word&gt;" in drawn


def test_a_time_is_relative_with_the_exact_time_beside_it() -> None:
    moment = timezone.now() + timedelta(days=23, hours=5)
    drawn = _draw("{% when moment %}", moment=moment)
    exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    assert ">in 23 days</time>" in drawn
    assert f'title="{exact}"' in drawn
    assert f'<span class="visually-hidden"> ({exact})</span>' in drawn


def test_no_time_is_said_in_words() -> None:
    assert ">never<" in _draw("{% when moment %}", moment=None)
    assert ">not yet<" in _draw('{% when moment "not yet" %}', moment=None)
    assert _draw("{{ moment|exact_time }}", moment=None) == ""


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-44, "just now"),
        (44, "in a moment"),
        (-50, "1 min ago"),
        (-120, "2 min ago"),
        (89 * 60, "in 89 min"),
        (-91 * 60, "1 h ago"),
        (23 * 3600, "in 23 h"),
        (47 * 3600, "in 47 h"),
        (-48 * 3600, "2 days ago"),
        (23.9 * 86400, "in 23 days"),
        (397 * 86400, "in 397 days"),
        (3 * 365 * 86400, "in 3 years"),
    ],
)
def test_distances_in_time_read_naturally(seconds: float, words: str) -> None:
    assert relative_words(NOW + timedelta(seconds=seconds), NOW) == words


def test_an_exact_value_can_be_copied() -> None:
    drawn = _draw('{% exact value "Copy the fingerprint" %}', value='5f:3a"')
    assert '<span class="exact">5f:3a&quot;</span>' in drawn
    assert 'data-copy="5f:3a&quot;"' in drawn
    assert 'aria-label="Copy the fingerprint"' in drawn


def test_an_empty_list_says_what_to_do_first() -> None:
    drawn = render_to_string(
        "_empty.html",
        {
            "icon_name": "certificate",
            "title": "No certificate yet",
            "sentence": "Add one.",
            "action_url": "/add/",
            "action_words": "Add a certificate",
        },
    )
    for text in ("No certificate yet", "Add one.", 'href="/add/"', "Add a certificate"):
        assert text in drawn


# Rules for all templates and styles


def test_no_template_has_inline_style_or_script() -> None:
    forbidden = re.compile(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)|hx-on|javascript:")
    for file in TEMPLATES.rglob("*.html"):
        assert not forbidden.findall(file.read_text("utf-8")), file


def test_nothing_comes_from_another_host() -> None:
    for file in [*TEMPLATES.rglob("*.html"), STATIC / "css/app.css", STATIC / "js/app.js"]:
        text = file.read_text("utf-8")
        assert not re.findall(r"""(?:src|href|url|import)\s*[=(]\s*["']?(?:https?:)?//""", text), (
            file
        )


def test_the_static_files_can_be_collected_for_production(tmp_path: Path) -> None:
    storages = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
    with override_settings(STATIC_ROOT=tmp_path, STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)
    manifest = (tmp_path / "staticfiles.json").read_text("utf-8")
    for name in (
        "css/app.css",
        "js/app.js",
        "vendor/tabler/tabler.min.css",
        "vendor/icons/icons.svg",
        "django_htmx/htmx-2.min.js",
    ):
        assert f'"{name}"' in manifest


def test_the_automatic_dark_theme_has_the_same_rules_as_the_dark_one() -> None:
    automatic = (STATIC / "vendor/tabler/tabler-auto.css").read_text("utf-8")
    assert "@media (prefers-color-scheme: dark)" in automatic
    assert "[data-bs-theme=auto]{color-scheme:dark" in automatic
    assert "[data-bs-theme=dark]" not in automatic


# The frame


@pytest.fixture
def page(client_of: Callable[[str], Client]) -> str:
    return client_of("operator").get("/audit/").content.decode()


@pytest.mark.django_db
def test_the_frame_has_landmarks_and_a_way_past_the_navigation(page: str) -> None:
    for part in ('<a class="skip-link" href="#content">', "<header", "<nav", '<main id="content"'):
        assert part in page
    assert page.count("<h1") == 1


@pytest.mark.django_db
def test_the_navigation_shows_where_we_are(page: str) -> None:
    (current,) = re.findall(r'<a href="([^"]+)" aria-current="page"', page)
    assert current == "/audit/"
    assert re.findall(r'data-go="(.)"', page) == ["o", "l", "c", "r", "d", "a"]


@pytest.mark.django_db
def test_the_policy_allows_nothing_inline(client: Client) -> None:
    policy = client.get("/account/login/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def _frame(user: User, may_change: bool = True, **frame: object) -> str:
    request = RequestFactory().get("/audit/")
    request.user = user
    request.resolver_match = None  # type: ignore[assignment]
    context = {
        "frame": {"server": None, "pending_count": 0, "health": None, **frame},
        "may_change": may_change,
        "request": request,
        "csrf_token": "x",
    }
    return Template("{% extends 'base.html' %}").render(Context(context))


@pytest.mark.django_db
def test_the_frame_names_the_mail_host_and_its_health(operator: User) -> None:
    drawn = _frame(
        operator,
        server=SimpleNamespace(host_name="mail.example.org"),
        health=SimpleNamespace(state="broken", sentence="993 is closed", checked_at=timezone.now()),
    )
    assert "mail.example.org" in drawn
    assert "pill-broken" in drawn
    assert "993 is closed" in drawn
    assert "just now" in drawn


@pytest.mark.django_db
def test_pending_changes_are_on_every_page(operator: User) -> None:
    assert "pending-strip" not in _frame(operator)
    assert "1 pending change<" in _frame(operator, pending_count=1)
    drawn = _frame(operator, pending_count=3)
    assert "3 pending changes<" in drawn
    assert ">Review</a>" in drawn
    assert ">Discard</button>" in drawn


@pytest.mark.django_db
def test_a_viewer_sees_pending_changes_but_cannot_discard_them(viewer: User) -> None:
    drawn = _frame(viewer, may_change=False, pending_count=3)
    assert ">Review</a>" in drawn
    assert ">Discard</button>" not in drawn


# Theme


@pytest.mark.django_db
def test_the_theme_is_automatic_until_somebody_chooses(client: Client) -> None:
    assert 'data-bs-theme="auto"' in client.get("/account/login/").content.decode()
    response = client.post("/account/theme/", {"theme": "dark", "next": "/account/login/?next=/x"})
    assert response.headers["Location"] == "/account/login/?next=/x"
    assert 'data-bs-theme="dark"' in client.get("/account/login/").content.decode()


@pytest.mark.django_db
def test_an_unknown_theme_is_ignored(client: Client) -> None:
    client.post("/account/theme/", {"theme": '"><script>'})
    assert "theme" not in client.cookies
    client.cookies["theme"] = "pink"
    assert 'data-bs-theme="auto"' in client.get("/account/login/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:x", ""])
def test_the_theme_switch_stays_in_the_panel(client: Client, back: str) -> None:
    response = client.post("/account/theme/", {"theme": "dark", "next": back})
    assert response.headers["Location"] == "/"


# Pages for trouble


@pytest.mark.django_db
@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize(
    ("address", "code", "sentence"),
    [
        ("/no/such/", 404, "There is no page at this address"),
        ("/raise/403/", 403, "Your role is viewer."),
        ("/raise/400/", 400, "could not read this request"),
        ("/raise/500/", 500, "The panel stumbled"),
    ],
)
def test_trouble_is_told_in_plain_words(
    client_of: Callable[[str], Client], address: str, code: int, sentence: str
) -> None:
    client = client_of("viewer")
    client.raise_request_exception = False
    response = client.get(address)
    page = response.content.decode()
    assert response.status_code == code
    assert sentence in page
    assert "saved" in page or "Nothing was changed" in page
    assert "a secret" not in page


@pytest.mark.django_db
@override_settings(ROOT_URLCONF=__name__)
def test_the_page_after_a_bug_names_the_request(client_of: Callable[[str], Client]) -> None:
    client = client_of("viewer")
    client.raise_request_exception = False
    response = client.get("/raise/500/")
    assert response.headers["X-Request-ID"] in response.content.decode()


def test_a_foreign_host_name_is_refused_in_plain_words_without_a_database() -> None:
    response = Client(raise_request_exception=False).get("/", headers={"host": "evil.example"})
    page = response.content.decode()
    assert response.status_code == 400
    assert "MAILADMIN_ALLOWED_HOSTS" in page
    assert "evil.example" not in page
    assert "<nav" not in page


@pytest.mark.django_db
@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize(
    ("address", "code"), [("/no/such/", 404), ("/raise/403/", 500), ("/raise/500/", 500)]
)
def test_with_the_database_away_trouble_is_still_told(
    client_of: Callable[[str], Client], address: str, code: int
) -> None:
    client = client_of("viewer")
    client.raise_request_exception = False
    with connection.execute_wrapper(_be_away):
        response = client.get(address)
    assert response.status_code == code
    assert "<nav" not in response.content.decode()
    assert "<h1>" in response.content.decode()


@pytest.mark.django_db
def test_with_the_database_away_a_form_too_old_is_still_told(operator: User) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(operator)
    with connection.execute_wrapper(_be_away):
        response = client.post("/account/logout/")
    assert response.status_code == 403
    assert "open for too long" in response.content.decode()


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "429", "500"])
def test_a_page_for_trouble_needs_neither_request_nor_user(name: str) -> None:
    for request in (None, RequestFactory().get("/")):
        assert "<h1>" in render_to_string(f"{name}.html", request=request)


@pytest.mark.django_db
def test_a_stranger_gets_a_404_without_navigation(client: Client) -> None:
    response = client.get("/no/such/page/")
    assert response.status_code == 404
    assert "<nav" not in response.content.decode()


@pytest.mark.django_db
def test_a_form_without_its_token_is_refused_in_plain_words(operator: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    response = client.post("/account/logout/")
    assert response.status_code == 403
    assert "This page was open for too long" in response.content.decode()
