"""Whatever is sealed is counted before a master key is drawn, and goes along with a new one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import BinaryField
from pytest_django import Settings

from mailadmin.acme.sealing import seal_secret
from mailadmin.certificates.custody import obtain_master_keys, seal_key
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.models import SealedUpload
from mailadmin.certificates.sealed_stores import SealedStore, count_sealed, list_sealed_stores
from mailadmin.certificates.sealed_uploads import KeptUpload, seal_upload
from mailadmin.certificates.sentences import say
from mailadmin.notifications.models import Destination
from mailadmin.pki.keys import KeyKind, generate_key
from tests.factories import make_user
from tests.notification_factories import make_mailbox, make_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def path(tmp_path: Path, settings: Settings) -> Path:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"
    return tmp_path / "master.key"


def keep_key() -> None:
    seal_key(generate_key(KeyKind.ECDSA_P256))


def keep_upload() -> None:
    seal_upload(user=make_user(), kept=KeptUpload((b"x",)), now=datetime.now(UTC))


def keep_secret() -> None:
    make_webhook()


def keep_acme_secret() -> None:
    seal_secret("the token of a DNS provider")


@pytest.mark.parametrize("keep", [keep_key, keep_upload, keep_secret, keep_acme_secret])
def test_each_kind_alone_keeps_a_lost_master_key_from_being_replaced(
    path: Path, keep: object
) -> None:
    assert callable(keep)
    keep()
    path.unlink()
    with pytest.raises(CustodyProblem) as error:
        obtain_master_keys()
    assert error.value.problem.code == "custody.master_key_missing"
    assert error.value.problem.params["count"] == 1
    assert "1 secret here" in say(error.value.problem)
    assert not path.exists()


def test_all_of_them_are_counted(path: Path) -> None:
    for keep in (keep_key, keep_upload, keep_secret, keep_acme_secret):
        keep()
    assert count_sealed() == 4
    path.unlink()
    with pytest.raises(CustodyProblem) as error:
        obtain_master_keys()
    assert "4 secrets here" in say(error.value.problem)


def test_what_nobody_can_open_any_more_does_not_stand_in_the_way(path: Path) -> None:
    keep_upload()
    SealedUpload.objects.update(expires_at=datetime.now(UTC) - timedelta(minutes=1))
    make_mailbox()
    path.unlink()
    assert count_sealed() == 0
    assert len(obtain_master_keys()) == 1
    assert Destination.objects.count() == 1


def test_every_model_with_sealed_columns_is_in_the_registry() -> None:
    sealed = {
        model
        for model in apps.get_models()
        if any(isinstance(field, BinaryField) for field in model._meta.fields)
    }
    stores = list_sealed_stores()
    assert all(isinstance(store, SealedStore) for store in stores)
    assert {store.model for store in stores} == sealed
