"""Uploads that wait for an answer: for one person, for minutes, and not too many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from mailadmin.accounts.models import User
from mailadmin.certificates.models import SealedUpload
from mailadmin.certificates.sealed_uploads import (
    LIFETIME,
    KeptUpload,
    UploadGoneError,
    drop_expired_uploads,
    drop_upload,
    open_upload,
    seal_upload,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INPUTS = (b"one", b"", bytes(range(256)))
UPLOAD = KeptUpload(INPUTS[:2], INPUTS[2:])


@pytest.fixture(autouse=True)
def _own_master_key(tmp_path: Path, settings: Settings) -> None:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"


def test_it_is_opened_with_its_token(operator: User) -> None:
    token = seal_upload(user=operator, kept=UPLOAD, now=NOW)
    assert open_upload(user=operator, token=token, now=NOW) == UPLOAD
    assert open_upload(user=operator, token=token, now=NOW + LIFETIME / 2) == UPLOAD


def test_nobody_else_opens_it(operator: User, administrator: User) -> None:
    token = seal_upload(user=operator, kept=UPLOAD, now=NOW)
    with pytest.raises(UploadGoneError):
        open_upload(user=administrator, token=token, now=NOW)
    SealedUpload.objects.update(user=administrator)
    with pytest.raises(UploadGoneError):
        open_upload(user=administrator, token=token, now=NOW)


@pytest.mark.parametrize("token", ["", "x", "ä" * 50, "\0"])
def test_a_made_up_token_opens_nothing(token: str, operator: User) -> None:
    seal_upload(user=operator, kept=UPLOAD, now=NOW)
    with pytest.raises(UploadGoneError):
        open_upload(user=operator, token=token, now=NOW)


def test_its_time_ends(operator: User) -> None:
    token = seal_upload(user=operator, kept=UPLOAD, now=NOW)
    with pytest.raises(UploadGoneError):
        open_upload(user=operator, token=token, now=NOW + LIFETIME)
    assert drop_expired_uploads(now=NOW + LIFETIME - timedelta(seconds=1)) == 0
    assert drop_expired_uploads(now=NOW + LIFETIME) == 1
    assert not SealedUpload.objects.exists()


def test_the_next_upload_of_anybody_clears_what_is_over(
    operator: User, administrator: User
) -> None:
    seal_upload(user=operator, kept=UPLOAD, now=NOW)
    seal_upload(user=administrator, kept=UPLOAD, now=NOW + LIFETIME)
    assert SealedUpload.objects.get().user == administrator


def test_it_is_gone_after_the_answer(operator: User, administrator: User) -> None:
    token = seal_upload(user=operator, kept=UPLOAD, now=NOW)
    drop_upload(user=administrator, token=token)
    assert open_upload(user=operator, token=token, now=NOW) == UPLOAD
    drop_upload(user=operator, token=token)
    drop_upload(user=operator, token=token)
    with pytest.raises(UploadGoneError):
        open_upload(user=operator, token=token, now=NOW)


def test_a_person_has_only_a_few_at_once(operator: User, administrator: User) -> None:
    other = seal_upload(user=administrator, kept=UPLOAD, now=NOW)
    tokens = [seal_upload(user=operator, kept=UPLOAD, now=NOW) for _ in range(8)]
    assert SealedUpload.objects.filter(user=operator).count() == 5
    assert open_upload(user=operator, token=tokens[-1], now=NOW) == UPLOAD
    with pytest.raises(UploadGoneError):
        open_upload(user=operator, token=tokens[0], now=NOW)
    assert open_upload(user=administrator, token=other, now=NOW) == UPLOAD


def test_a_row_given_the_hash_of_another_token_does_not_open(operator: User) -> None:
    one, two = (
        seal_upload(user=operator, kept=KeptUpload((text,)), now=NOW) for text in (b"1", b"2")
    )
    rows = SealedUpload.objects.order_by("pk")
    taken = rows[1].token_hash
    rows[1].delete()
    SealedUpload.objects.update(token_hash=taken)
    for token in (one, two):
        with pytest.raises(UploadGoneError):
            open_upload(user=operator, token=token, now=NOW)
