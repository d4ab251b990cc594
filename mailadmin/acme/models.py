"""Accounts at authorities, what is to be had from them, and each attempt to get it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from mailadmin.deployments.models import Deployment
from mailadmin.pki import names as pki_names
from mailadmin.servers.models import MailServer

Json = dict[str, Any]


class AcmeSecret(models.Model):
    """A secret of an account or a DNS access; only :mod:`mailadmin.acme.sealing` opens it."""

    # Binds the ciphertext to this row.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    ciphertext = models.BinaryField()
    nonce = models.BinaryField()
    master_key_id = models.CharField(max_length=16, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"secret {self.pk}"


class AcmeAccount(models.Model):
    """An account at an authority (RFC 8555, section 7.1.2)."""

    class Status(models.TextChoices):
        """``NEW``: not registered yet. ``LOST``: the authority does not know it any more."""

        NEW = "new"
        VALID = "valid"
        DEACTIVATED = "deactivated"
        LOST = "lost"

    class Errand(models.TextChoices):
        """What a worker is to do with the account at the authority."""

        REGISTER = "register"
        UPDATE = "update"
        ROLL_OVER = "roll_over"
        DEACTIVATE = "deactivate"

    title = models.CharField(max_length=80, unique=True)
    directory_url = models.CharField(max_length=500)
    # Where the same authority lets one rehearse; empty if it has no such place.
    staging_url = models.CharField(max_length=500, blank=True)
    contact = models.CharField(max_length=254, blank=True)
    # PEM of the roots that the directory's own certificate leads to; empty: the public ones.
    ca_bundle = models.TextField(blank=True)
    terms_url = models.CharField(max_length=500, blank=True)
    terms_agreed_at = models.DateTimeField(null=True)
    eab_key_id = models.CharField(max_length=200, blank=True)
    eab_secret = models.ForeignKey(
        AcmeSecret, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    private_key = models.ForeignKey(
        PrivateKey, null=True, on_delete=models.PROTECT, related_name="acme_accounts"
    )
    # Drawn and kept before the authority is told of it; in force once it said yes.
    next_private_key = models.ForeignKey(
        PrivateKey, null=True, on_delete=models.PROTECT, related_name="next_acme_accounts"
    )
    account_url = models.CharField(max_length=500, blank=True)
    # The account at ``staging_url``, made at the first rehearsal with the same key.
    staging_account_url = models.CharField(max_length=500, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.NEW)
    # Under way, or waiting for a worker; empty if nothing is to be done.
    errand = models.CharField(max_length=10, choices=Errand.choices, blank=True)
    errand_at = models.DateTimeField(null=True)
    # What the directory said of itself: profiles, caaIdentities, website, hasRenewalInfo.
    about: models.JSONField[Json, Json] = models.JSONField(default=dict)
    about_read_at = models.DateTimeField(null=True)
    # The last thing that went wrong with the account itself.
    problem: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["title", "pk"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the page of this account."""
        return reverse("acme:account_detail", args=[self.pk])


class DnsAccess(models.Model):
    """How TXT records are written into somebody's zones."""

    class Kind(models.TextChoices):
        """``RFC2136``: dynamic updates with TSIG. ``LEXICON``: a provider's own interface."""

        RFC2136 = "rfc2136"
        LEXICON = "lexicon"

    title = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # Public settings. rfc2136: server, port, zone, key_name, algorithm. lexicon: provider, options.
    settings: models.JSONField[Json, Json] = models.JSONField(default=dict)
    # rfc2136: the TSIG key (base64). lexicon: a JSON object of the provider's secret options.
    secret = models.ForeignKey(AcmeSecret, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["title", "pk"]

    def __str__(self) -> str:
        return self.title


class AcmeCertificate(models.Model):
    """A certificate that is to be had, and kept fresh: names, from whom, and how it is proven."""

    class Challenge(models.TextChoices):
        """How the authority is shown that the names are ours (RFC 8555, section 8)."""

        HTTP_01 = "http-01"
        DNS_01 = "dns-01"
        DNS_PERSIST_01 = "dns-persist-01"

    class HttpWay(models.TextChoices):
        """Who answers on port 80."""

        AGENT = "agent"
        PANEL = "panel"
        WEB_ROOT = "web_root"

    class KeyChoice(models.TextChoices):
        """``AUTO``: kept while a TLSA record names it, else a new one each time."""

        AUTO = "auto"
        KEEP = "keep"
        NEW = "new"

    names: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    server = models.ForeignKey(
        MailServer, null=True, on_delete=models.CASCADE, related_name="acme_certificates"
    )
    account = models.ForeignKey(AcmeAccount, on_delete=models.PROTECT, related_name="certificates")
    fallback_account = models.ForeignKey(
        AcmeAccount, null=True, blank=True, on_delete=models.SET_NULL, related_name="fallback_for"
    )
    challenge = models.CharField(max_length=16, choices=Challenge.choices)
    http_way = models.CharField(max_length=8, choices=HttpWay.choices, default=HttpWay.AGENT)
    # Null with dns-01: the admin writes the records.
    dns_access = models.ForeignKey(
        DnsAccess, null=True, blank=True, on_delete=models.PROTECT, related_name="certificates"
    )
    key_kind = models.CharField(max_length=20)
    key_choice = models.CharField(max_length=4, choices=KeyChoice.choices, default=KeyChoice.AUTO)
    profile = models.CharField(max_length=40, blank=True)
    # A renewal is put in place without anybody; the first one never is.
    is_deployed_automatically = models.BooleanField(default=True)
    is_renewed_automatically = models.BooleanField(default=True)
    # The newest one that was issued.
    certificate = models.ForeignKey(
        Certificate, null=True, blank=True, on_delete=models.SET_NULL, related_name="acme"
    )
    # Since the last success; decides when the next attempt is and when the fallback is asked.
    failures = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, db_index=True)
    # RFC 9773: start, end, explanation_url, ask_again_at, picked_at; empty if there is none.
    renewal_info: models.JSONField[Json, Json] = models.JSONField(default=dict)
    rehearsed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150)

    class Meta:
        ordering: ClassVar = ["next_attempt_at", "pk"]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        """Return the page of this certificate's renewals."""
        return reverse("acme:detail", args=[self.pk])

    @property
    def label(self) -> str:
        """Return its first name in readable form."""
        return pki_names.display_name(self.names[0]) if self.names else f"{self.pk}"


class AcmeOrder(models.Model):
    """One attempt to get a certificate, and to put it in place."""

    class Status(models.TextChoices):
        """Where it stands.

        ``WAITING``: for somebody to write a DNS record. ``ISSUED``: not to be deployed by itself.
        ``DEPLOYING``: handed to an ordinary deployment. ``PROVEN``: seen on the wire.
        ``UNPROVEN``: issued, but the deployment was taken back: the old one is served.
        """

        QUEUED = "queued"
        RUNNING = "running"
        WAITING = "waiting"
        ISSUED = "issued"
        DEPLOYING = "deploying"
        PROVEN = "proven"
        UNPROVEN = "unproven"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Trigger(models.TextChoices):
        """Why it was made."""

        FIRST = "first"
        DUE = "due"
        RENEWAL_INFO = "renewal_info"
        FORCED = "forced"
        REHEARSAL = "rehearsal"

    FINISHED = (
        Status.ISSUED,
        Status.PROVEN,
        Status.UNPROVEN,
        Status.FAILED,
        Status.CANCELLED,
    )

    UNDER_WAY = (Status.QUEUED, Status.RUNNING, Status.WAITING, Status.DEPLOYING)

    acme_certificate = models.ForeignKey(
        AcmeCertificate, on_delete=models.CASCADE, related_name="orders"
    )
    account = models.ForeignKey(AcmeAccount, on_delete=models.PROTECT, related_name="orders")
    trigger = models.CharField(max_length=12, choices=Trigger.choices)
    # Those that are ordered this time; a name that cannot be proven may be left out.
    names: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    profile = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    # Filled as soon as the authority said so, so that a new worker goes on and never orders twice.
    order_url = models.CharField(max_length=500, blank=True)
    # A rehearsal that went well is followed by an order of this kind.
    followed_by = models.CharField(max_length=12, choices=Trigger.choices, blank=True)
    # RFC 9773, section 5: the identifier of the certificate that this one takes the place of.
    replaces_id = models.CharField(max_length=200, blank=True)
    expires_at = models.DateTimeField(null=True)
    csr = models.ForeignKey(
        CertificateSigningRequest, null=True, on_delete=models.SET_NULL, related_name="acme_orders"
    )
    certificate = models.ForeignKey(
        Certificate, null=True, on_delete=models.SET_NULL, related_name="acme_orders"
    )
    # The one that it takes the place of, and that is served until this one is proven.
    previous = models.ForeignKey(
        Certificate, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.SET_NULL, related_name="acme_orders"
    )
    # What ended it, or what it waits for, as a code with parameters and the authority's own words.
    problem: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    requested_by = models.CharField(max_length=150)
    actor: models.JSONField[Json, Json] = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    requested_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True)
    # Which worker has it, and until when nobody else may take it.
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    # When somebody should go on with it (waiting for DNS, for the authority).
    resume_at = models.DateTimeField(null=True, db_index=True)
    # How often the authority was away since the request was handed in.
    stalls = models.PositiveSmallIntegerField(default=0)
    # How often it was made anew because the authority had forgotten it.
    restarts = models.PositiveSmallIntegerField(default=0)
    issued_at = models.DateTimeField(null=True)
    deployed_at = models.DateTimeField(null=True)
    proven_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-requested_at", "-pk"]
        constraints: ClassVar = [
            # Two workers never order twice: the second row does not get into the table.
            models.UniqueConstraint(
                fields=["acme_certificate"],
                condition=Q(status__in=["queued", "running", "waiting", "deploying"]),
                name="one_order_under_way",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["status", "resume_at"])]

    def __str__(self) -> str:
        return f"order {self.pk} ({self.status})"

    def get_absolute_url(self) -> str:
        """Return the page of this attempt."""
        return reverse("acme:order_detail", args=[self.pk])

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.status in self.FINISHED

    @property
    def is_handed_in(self) -> bool:
        """Tell whether the authority may have the request: a certificate may exist by now."""
        return self.csr_id is not None and self.issued_at is None and not self.is_finished

    def is_cancellable(self, now: datetime) -> bool:
        """Tell whether it can be given up.

        Once the request is handed in, not while a worker has it: that one may hold the certificate.
        """
        early = {self.Status.QUEUED, self.Status.RUNNING, self.Status.WAITING}
        if self.status not in early or self.issued_at is not None:
            return False
        is_in_hand = self.leased_until is not None and self.leased_until >= now
        return self.csr_id is None or not is_in_hand

    def is_put_off(self, now: datetime) -> bool:
        """Tell whether it waits for a moment, and would go on at once if somebody asked."""
        is_open = self.status in {self.Status.RUNNING, self.Status.WAITING}
        return is_open and self.resume_at is not None and self.resume_at > now


class AcmeAuthorization(models.Model):
    """The proof for one name in one order (RFC 8555, section 7.1.4)."""

    class Status(models.TextChoices):
        """``PRESENTED``: our answer is in place. ``ASKED``: the authority was told to look."""

        PENDING = "pending"
        PRESENTED = "presented"
        ASKED = "asked"
        VALID = "valid"
        INVALID = "invalid"

    order = models.ForeignKey(AcmeOrder, on_delete=models.CASCADE, related_name="authorizations")
    # Without "*."; two authorizations of one order may be for the same name.
    name = models.CharField(max_length=253)
    is_wildcard = models.BooleanField(default=False)
    authorization_url = models.CharField(max_length=500)
    challenge_url = models.CharField(max_length=500, blank=True)
    challenge = models.CharField(max_length=16, blank=True)
    token = models.CharField(max_length=128, blank=True)
    # dns-01: the record in which the value really is written, after following CNAMEs.
    record_name = models.CharField(max_length=253, blank=True)
    # What is to be seen there; with http-01, what the panel answers. Public, as anybody may look.
    record_value = models.CharField(max_length=500, blank=True)
    # What each authoritative server showed of the record at the last look, and when that was.
    sight: models.JSONField[Json, Json] = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    # When it was put where the authority looks, or somebody was asked to write it there.
    placed_at = models.DateTimeField(null=True)
    # It was still valid from an earlier order: nothing had to be proven.
    is_reused = models.BooleanField(default=False)
    is_cleaned_up = models.BooleanField(default=False)
    problem: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    validated_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["name", "is_wildcard", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["order", "authorization_url"], name="one_row_per_authorization"
            )
        ]

    def __str__(self) -> str:
        return f"{self.identifier} ({self.status})"

    @property
    def identifier(self) -> str:
        """Return the name as ordered."""
        return f"*.{self.name}" if self.is_wildcard else self.name


class AcmeEvent(models.Model):
    """One line of the timeline: what happened, when, and to which name."""

    acme_certificate = models.ForeignKey(
        AcmeCertificate, on_delete=models.CASCADE, related_name="events"
    )
    order = models.ForeignKey(AcmeOrder, null=True, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(db_index=True)
    code = models.CharField(max_length=60)
    severity = models.CharField(max_length=8)
    # The name it is about; empty for the whole order.
    name = models.CharField(max_length=255, blank=True)
    params: models.JSONField[Json, Json] = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        indexes: ClassVar = [models.Index(fields=["acme_certificate", "-at"])]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class AcmePreflight(models.Model):
    """A look before ordering: which names the authority would find proven, and which not."""

    class Status(models.TextChoices):
        """Where the look stands."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    acme_certificate = models.ForeignKey(
        AcmeCertificate, on_delete=models.CASCADE, related_name="preflights"
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    # Order at once if nothing stands against it.
    is_order_wanted = models.BooleanField(default=False)
    is_rehearsal_wanted = models.BooleanField(default=False)
    order = models.ForeignKey(AcmeOrder, null=True, on_delete=models.SET_NULL, related_name="+")
    actor: models.JSONField[Json, Json] = models.JSONField(default=dict)
    # Name -> {"problems": [...], "facts": {...}}; filled name by name while it runs.
    results: models.JSONField[Json, Json] = models.JSONField(default=dict)
    # About all of them: the authority, its limits.
    problems: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    requested_by = models.CharField(max_length=150)
    request_id = models.CharField(max_length=64, blank=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-requested_at", "-pk"]

    def __str__(self) -> str:
        return f"preflight {self.pk} ({self.status})"
