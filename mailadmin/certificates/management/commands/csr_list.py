"""``csr_list [--json]``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from mailadmin.accounts.relative_time import distance_words
from mailadmin.certificates.models import CertificateSigningRequest
from mailadmin.certificates.selectors import list_pending_requests


class Command(BaseCommand):
    """Lists the requests that wait."""

    help = "List the certificate requests that wait for their certificate, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, **options: Any) -> None:
        """Print them."""
        rows = list(list_pending_requests())
        if options["json"]:
            self.stdout.write(json.dumps([_as_dict(csr) for csr in rows], indent=2))
            return
        now = timezone.now()
        for csr in rows:
            age = distance_words((now - csr.created_at).total_seconds())
            place = ", key elsewhere" if csr.is_key_elsewhere else ""
            self.stdout.write(f"{csr.pk}  {csr}  {csr.key_description}{place}  waiting for {age}")
        if not rows:
            self.stdout.write("No request waits.")


def _as_dict(csr: CertificateSigningRequest) -> dict[str, Any]:
    return {
        "id": csr.pk,
        "names": csr.names,
        "common_name": csr.common_name,
        "key": csr.key_description,
        "is_key_elsewhere": csr.is_key_elsewhere,
        "public_key_sha256": csr.public_key_id,
        "renews": csr.renews_id,
        "created_at": csr.created_at.isoformat(),
        "created_by": csr.created_by,
    }
