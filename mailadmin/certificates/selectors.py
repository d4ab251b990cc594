"""Reading certificates, requests and keys. Every function costs a fixed number of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db.models import (
    BooleanField,
    Case,
    ExpressionWrapper,
    IntegerField,
    Q,
    QuerySet,
    Value,
    When,
)
from django.utils.module_loading import import_string

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate, CertificateSigningRequest, PrivateKey
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.keys import KeyAlgorithm, algorithm_of
from mailadmin.pki.names import NameProblem, normalize_host_name

# The rows of the apps above that can name a certificate, by the relations they give it.
_USES = ("default_for", "listeners", "sni_bindings")
_MOST_KNOWN_CHAINS = 20
_MOST_SHOWN = 20
_MOST_REQUESTS_COMPARED = 50
_ANY_DOMAIN = "invalid"


class UseKind(StrEnum):
    """In which role a certificate is wanted."""

    DEFAULT = "default"
    LISTENER = "listener"
    HOST_NAME = "host_name"
    BESIDE = "beside"
    SERVED = "served"
    DEPLOYMENT = "deployment"


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a certificate is wanted: a mail server, a listener, a host name (SNI).

    ``BESIDE`` means that its companion is wanted there, ``SERVED`` that a mail server serves it
    now, though another one is wanted there, ``DEPLOYMENT`` that one waits or runs with it.
    """

    kind: UseKind
    where: str


def list_certificates(*, now: datetime) -> QuerySet[Certificate]:
    """Return the certificates by urgency: those in use by what is left, then the spare ones.

    Expired ones that nobody uses come last.
    """
    return (
        annotate_uses(Certificate.objects.filter(deleted_at=None))
        .annotate(
            urgency=Case(
                When(is_used=True, then=Value(0)),
                When(not_after__gt=now, then=Value(1)),
                default=Value(2),
                output_field=IntegerField(),
            )
        )
        .order_by("urgency", "not_after", "pk")
        .defer("leaf_pem", "chain_pem", "root_pem")
    )


def annotate_uses(certificates: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """Add ``is_used``: wanted somewhere, or the companion of one that is."""
    return certificates.annotate(is_used=ExpressionWrapper(used_condition(), BooleanField()))


def used_condition() -> Q:
    """Return what is true of a certificate in use.

    Asked from the few rows that use one, not for each of the many certificates.
    """
    is_used = Q()
    for relation in _USES:
        used = Certificate.objects.filter(**{f"{relation}__isnull": False}).order_by()
        # A companion is served wherever the other of its pair is wanted.
        beside = used.filter(companion__isnull=False)
        is_used |= Q(pk__in=used.values("pk")) | Q(pk__in=beside.values("companion"))
    return is_used


def search(certificates: QuerySet[Certificate], wanted: str) -> QuerySet[Certificate]:
    """Return those with the text in a name, the issuer, or at the start of the fingerprint."""
    if not wanted:
        return certificates
    digits = wanted.replace(":", "").replace(" ", "").lower()
    return certificates.filter(
        Q(names__icontains=_to_stored_name(wanted))
        | Q(common_name__icontains=wanted)
        | Q(issuer__icontains=wanted)
        | Q(fingerprint__startswith=digits)
        | Q(serial__startswith=digits)
    )


def find_uses(certificate: Certificate) -> list[Use]:
    """Return every place that needs the certificate and its key."""
    beside = _find_own_uses(certificate.companion) if certificate.companion else []
    return [
        *_find_own_uses(certificate),
        *(Use(UseKind.BESIDE, use.where) for use in beside),
        *_find_uses_elsewhere(certificate),
    ]


def _find_own_uses(certificate: Certificate) -> list[Use]:
    servers = certificate.default_for.values_list("host_name", flat=True)
    listeners = certificate.listeners.order_by("port").values_list("service", "port")
    names = certificate.sni_bindings.values_list("host_name", flat=True)
    return [
        *(Use(UseKind.DEFAULT, host) for host in servers),
        *(Use(UseKind.LISTENER, f"{service} ({port})") for service, port in listeners),
        *(Use(UseKind.HOST_NAME, name) for name in names),
    ]


def _find_uses_elsewhere(certificate: Certificate) -> Iterator[Use]:
    """Ask the apps above that know of uses which no relation shows; the settings name them."""
    for path in settings.CERTIFICATE_USE_FINDERS:
        find: Callable[[Certificate], Iterable[Use]] = import_string(path)
        yield from find(certificate)


def list_pending_requests() -> QuerySet[CertificateSigningRequest]:
    """Return the requests that wait for their certificate, newest first."""
    return CertificateSigningRequest.objects.filter(status=CertificateSigningRequest.Status.PENDING)


def lock_pending_request(public_key_id: str) -> CertificateSigningRequest | None:
    """Return the request that waits for a certificate with this public key.

    Its row is locked until the transaction ends.
    """
    rows = list_pending_requests().select_for_update()
    return rows.filter(public_key_id=public_key_id).first()


def is_answer(csr: CertificateSigningRequest, leaf: CertificateFacts) -> bool:
    """Tell whether a certificate is what a waiting request asked for.

    It has the request's key; but one that is not newer than the certificate whose key was kept is
    that one, or one from before it.
    """
    if leaf.public_key_id != csr.public_key_id:
        return False
    renews = csr.renews
    is_key_kept = renews is not None and renews.public_key_id == csr.public_key_id
    return renews is None or not is_key_kept or leaf.not_before > renews.not_before


def find_waiting_requests(public_key_ids: Iterable[str]) -> list[CertificateSigningRequest]:
    """Return the requests that wait for a certificate with one of these public keys."""
    rows = list_pending_requests().filter(public_key_id__in=set(public_key_ids))
    return list(rows.select_related("renews"))


def find_waiting_renewals(certificate: Certificate) -> list[CertificateSigningRequest]:
    """Return the requests that wait for the successor of the certificate, newest first."""
    return list(list_pending_requests().filter(renews=certificate)[:_MOST_SHOWN])


def find_key_keepers(certificate: Certificate) -> list[Certificate | CertificateSigningRequest]:
    """Return what else needs the certificate's key, so that it outlives the certificate."""
    key = certificate.private_key_id
    if key is None:
        return []
    others = Certificate.objects.filter(private_key=key).exclude(pk=certificate.pk)
    waiting = list_pending_requests().filter(private_key=key)
    return [*others[:_MOST_SHOWN], *waiting[:_MOST_SHOWN]]


def find_others_with_key(csr: CertificateSigningRequest) -> list[Certificate]:
    """Return the certificates that keep the request's key in use, so that it is not destroyed."""
    if csr.private_key_id is None:
        return []
    return list(Certificate.objects.filter(private_key=csr.private_key_id)[:_MOST_SHOWN])


def find_waiting_for(names: Iterable[str]) -> CertificateSigningRequest | None:
    """Return a request that waits for a certificate with one of these names, the newest."""
    wanted = set(names)
    waiting = list_pending_requests()[:_MOST_REQUESTS_COMPARED]
    return next((csr for csr in waiting if wanted.intersection(csr.names)), None)


def find_key_ids_elsewhere(public_key_ids: Iterable[str]) -> set[str]:
    """Return those of the public keys whose private key is known to be elsewhere.

    That is: of a request made elsewhere, or of a certificate that is here without its key, as one
    that was found on the mail server.
    """
    wanted = set(public_key_ids)
    requests = list_pending_requests().filter(is_key_elsewhere=True, public_key_id__in=wanted)
    certificates = Certificate.objects.filter(
        private_key=None, deleted_at=None, public_key_id__in=wanted
    )
    return {
        *requests.values_list("public_key_id", flat=True),
        *certificates.values_list("public_key_id", flat=True),
    }


def find_newest_with_key(public_key_ids: Iterable[str]) -> Certificate | None:
    """Return the newest certificate with one of these public keys, unless it was deleted."""
    rows = Certificate.objects.filter(deleted_at=None, public_key_id__in=set(public_key_ids))
    return rows.order_by("-not_before", "-pk").first()


def is_stored(fingerprint: str) -> bool:
    """Tell whether a certificate is here, and not deleted."""
    return Certificate.objects.filter(fingerprint=fingerprint, deleted_at=None).exists()


def is_known(fingerprint: str) -> bool:
    """Tell whether a certificate is or was here."""
    return Certificate.objects.filter(fingerprint=fingerprint).exists()


def find_key_ids(public_key_ids: Iterable[str]) -> set[str]:
    """Return those of the public keys whose private key is here."""
    return set(
        PrivateKey.objects.filter(public_key_id__in=set(public_key_ids)).values_list(
            "public_key_id", flat=True
        )
    )


def find_chains_of(issuers: Iterable[str]) -> list[str]:
    """Return the chains (PEM) that other certificates of these issuers came with."""
    return list(
        Certificate.objects.filter(issuer__in=set(issuers))
        .exclude(chain_pem="")
        .order_by("-pk")
        .values_list("chain_pem", flat=True)[:_MOST_KNOWN_CHAINS]
    )


def find_answered_request(certificate: Certificate) -> CertificateSigningRequest | None:
    """Return the request that the certificate was issued for."""
    requests = CertificateSigningRequest.objects.filter(
        public_key_id=certificate.public_key_id,
        status=CertificateSigningRequest.Status.ISSUED,
    ).select_related("renews")
    found = requests[:_MOST_SHOWN]
    return next((csr for csr in found if _was_answered_by(csr, certificate)), None)


def find_answers(csr: CertificateSigningRequest) -> list[Certificate]:
    """Return the certificates that were issued for the request, newest first."""
    rows = (
        Certificate.objects.filter(public_key_id=csr.public_key_id)
        .select_related("replaces")
        .order_by("-not_before", "-pk")
        .defer("leaf_pem", "chain_pem", "root_pem")[:_MOST_SHOWN]
    )
    return [row for row in rows if _was_answered_by(csr, row)]


def _was_answered_by(csr: CertificateSigningRequest, certificate: Certificate) -> bool:
    """Tell whether the certificate came for this request, and not for another with the same key.

    One whose key was kept took the place of the certificate that the request renews; the first
    with a key took the place of none that has it.
    """
    replaced, renews = certificate.replaces, csr.renews
    has_kept_key = replaced is not None and replaced.public_key_id == certificate.public_key_id
    if renews is not None and renews.public_key_id == csr.public_key_id:
        return certificate.replaces_id == csr.renews_id
    return not has_kept_key


def find_events(certificate: Certificate) -> list[AuditEvent]:
    """Return what was done with the certificate, newest first."""
    events = AuditEvent.objects.filter(object_type="certificate", object_id=str(certificate.pk))
    return list(events[:_MOST_SHOWN])


def find_heirs(certificate: Certificate) -> list[Certificate]:
    """Return the certificates that took its place, newest first; deleted ones too."""
    rows = certificate.replaced_by.order_by("-not_before", "-pk")
    return list(rows.defer("leaf_pem", "chain_pem", "root_pem")[:_MOST_SHOWN])


def find_related(certificate: Certificate) -> list[Certificate]:
    """Return the other certificates with the very same names: what it replaced or is replaced by.

    Names are compared as stored, in order; deleted ones are part of the history.
    """
    return list(
        Certificate.objects.filter(names=certificate.names)
        .exclude(pk=certificate.pk)
        .order_by("-not_before", "-pk")
        .defer("leaf_pem", "chain_pem", "root_pem")[:_MOST_SHOWN]
    )


def find_companions(certificate: Certificate, now: datetime) -> list[Certificate]:
    """Return what could be served beside the certificate: the other kind of key, a name in common,
    its key at hand, valid, and not one of a pair yet. Those with just its names come first.
    """
    algorithm = algorithm_of(certificate.key_description)
    if algorithm is None or certificate.deleted_at is not None:
        return []
    (other,) = set(KeyAlgorithm) - {algorithm}
    is_key_known = Q(private_key__isnull=False) | Q(origin=Certificate.Origin.FOUND)
    found = (
        Certificate.objects.filter(is_key_known, _has_one_of(certificate.names[:_MOST_SHOWN]))
        .filter(deleted_at=None, companion=None, not_after__gt=now)
        .filter(key_description__istartswith=f"{other} ")
        .exclude(pk=certificate.pk)
        .order_by("-not_before", "-pk")
        .defer("leaf_pem", "chain_pem", "root_pem")[:_MOST_SHOWN]
    )
    wanted = set(certificate.names)
    return sorted(
        found, key=lambda item: (not wanted <= set(item.names), wanted != set(item.names))
    )


def _has_one_of(names: Iterable[str]) -> Q:
    """Match certificates that list one of the names, or the wildcard that covers it."""
    known = set(names)
    known |= {f"*.{name.partition('.')[2]}" for name in known if not name.startswith("*.")}
    query = Q(pk__in=())
    for name in sorted(known):
        query |= Q(names__icontains=f'"{name}"')
    return query


def _to_stored_name(typed: str) -> str:
    """Return a name, or whole parts of one, as it is stored (A-labels)."""
    try:
        # A single part is no host name; with a domain behind it, it is.
        return normalize_host_name(f"{typed}.{_ANY_DOMAIN}").removesuffix(f".{_ANY_DOMAIN}")
    except NameProblem:
        return typed.lower()
