"""What Django's system check says of the master key, before a key is needed."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error

from mailadmin.certificates.master_key import CustodyProblem, read_master_keys
from mailadmin.certificates.sentences import say


def check_master_key(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001  # Django's signature
    **_kwargs: object,
) -> list[CheckMessage]:
    """Say why the master key cannot be used; one that is not drawn yet is no fault."""
    try:
        read_master_keys(settings.MASTER_KEY_FILE)
    except CustodyProblem as error:
        return [Error(say(error.problem), id="certificates.E001")]
    return []
