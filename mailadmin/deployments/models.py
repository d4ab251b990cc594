"""Plans, deployments with their steps, and what was seen on the wire."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from mailadmin.servers.models import MailServer

Json = dict[str, Any]


class Plan(models.Model):
    """What the agent says would change on the host for one desired state."""

    class Status(models.TextChoices):
        """Where the question to the agent stands."""

        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"

    server = models.ForeignKey(MailServer, on_delete=models.CASCADE, related_name="plans")
    state_digest = models.CharField(max_length=64)
    # The public part of what it is for, if that is not simply what is wanted.
    state: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    # The agent's digest over the host's real files and the state; Apply must show it again.
    digest = models.CharField(max_length=64, blank=True)
    files: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    problems: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    error: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    requested_by = models.CharField(max_length=150)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["server", "state_digest", "-created_at"])]

    def __str__(self) -> str:
        return f"plan {self.pk} ({self.status})"


class Foresight(models.Model):
    """Who would notice what one desired state changes: counted from logs, and soon forgotten,
    because it names people.
    """

    class Status(models.TextChoices):
        """Where the question to the agent stands."""

        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"

    server = models.ForeignKey(MailServer, on_delete=models.CASCADE, related_name="foresights")
    state_digest = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    # How far it is.
    lines = models.PositiveBigIntegerField(default=0)
    source = models.CharField(max_length=300, blank=True)
    # When the worker that sees to it was last heard of.
    heartbeat_at = models.DateTimeField(null=True)
    # As ``Outlook`` writes it; null where nothing is taken away from anybody.
    outlook: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    # Whether what newly opens can be reached, and is looked after.
    surroundings: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    error: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    requested_by = models.CharField(max_length=150)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["server", "state_digest", "-created_at"])]

    def __str__(self) -> str:
        return f"foresight {self.pk} ({self.status})"

    @property
    def is_waiting(self) -> bool:
        """Tell whether the answer is still to come."""
        return self.status in {self.Status.QUEUED, self.Status.RUNNING}


class HostReading(models.Model):
    """A look at a host as its own files have it, and what was made of it. Holds no key, no PEM."""

    class Purpose(models.TextChoices):
        """``HAND_BACK``: to want what the files say, and nothing of the panel's."""

        ADOPT = "adopt"
        HAND_BACK = "hand_back"

    class Status(models.TextChoices):
        """``ACCEPTED``: somebody said yes to what was read."""

        QUEUED = "queued"
        RUNNING = "running"
        READ = "read"
        ACCEPTED = "accepted"
        DONE = "done"
        FAILED = "failed"

    # None: not registered yet.
    server = models.ForeignKey(
        MailServer, null=True, on_delete=models.CASCADE, related_name="readings"
    )
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.ADOPT)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    host_name = models.CharField(max_length=253)
    # As ``runner.adopting.HostAsLeft`` writes it.
    found: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    problem: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    takes_keys = models.BooleanField(default=False)
    # The state that leaves the host to its own files, once that is wanted.
    wanted_digest = models.CharField(max_length=64, blank=True)
    requested_by = models.CharField(max_length=150)
    actor: models.JSONField[Json, Json] = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    # When the worker was told last: of the reading, or of the yes.
    asked_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"reading {self.pk} ({self.status})"

    @property
    def is_under_way(self) -> bool:
        """Tell whether a worker has it, or is to take it."""
        return self.status in {self.Status.QUEUED, self.Status.RUNNING, self.Status.ACCEPTED}


class Deployment(models.Model):
    """One attempt to make the host what was wanted, and how it ended."""

    class Status(models.TextChoices):
        """``FAILED`` means: not known to be good."""

        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        ROLLED_BACK = "rolled_back"
        FAILED = "failed"

    class Kind(models.TextChoices):
        """Why the state was asked for. ``SWAP``: one certificate alone, without what is pending."""

        BASELINE = "baseline"
        APPLY = "apply"
        SWAP = "swap"

    class Decision(models.TextChoices):
        """What somebody said about a deployment that waits to be confirmed."""

        KEEP = "keep"
        TAKE_BACK = "take_back"

    server = models.ForeignKey(MailServer, on_delete=models.CASCADE, related_name="deployments")
    # Counts per server; what people call "generation 41".
    number = models.PositiveIntegerField()
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.APPLY)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)
    restores = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="restored_by"
    )
    plan = models.ForeignKey(Plan, null=True, on_delete=models.SET_NULL, related_name="deployments")
    plan_digest = models.CharField(max_length=64, blank=True)
    state_digest = models.CharField(max_length=64)
    # The public part of the desired state: no keys, no PEM.
    state: models.JSONField[Json, Json] = models.JSONField(default=dict)
    # Which certificate takes the place of which, as ``swapping.Swap`` writes it.
    swap: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    changes: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    files: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    requested_by = models.CharField(max_length=150)
    actor: models.JSONField[Json, Json] = models.JSONField(default=dict)
    reason = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    requested_at = models.DateTimeField(auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # When the worker that runs it was last heard of.
    heartbeat_at = models.DateTimeField(null=True)
    # The problem that ended it, as a code with parameters; null when it succeeded.
    failure: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    # Per listener and SNI name: what the last handshakes showed.
    evidence: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    proof_ms = models.PositiveIntegerField(null=True)
    # When the agent tries again to take it back with proof; null where it does not, or is away.
    retry_at = models.DateTimeField(null=True)
    # For how long it was to wait to be confirmed; null: it just stays.
    confirm_minutes = models.PositiveSmallIntegerField(null=True)
    # When the agent takes it back unless it is confirmed; set with the proof.
    confirm_by = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=10, choices=Decision.choices, blank=True)
    decided_by: models.JSONField[Json, Json] = models.JSONField(default=dict)
    # What was applied before, which is so again once it is taken back.
    state_before: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["server", "number"], name="one_number_per_deployment"),
            models.UniqueConstraint(
                fields=["server"], condition=Q(status="running"), name="one_running_per_server"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["server", "status", "-number"])]

    def __str__(self) -> str:
        return f"deployment {self.number} ({self.status})"

    def get_absolute_url(self) -> str:
        """Return the page of this deployment."""
        return reverse("deployments:detail", args=[self.number])

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.status not in {self.Status.QUEUED, self.Status.RUNNING}

    @property
    def is_left_unproven(self) -> bool:
        """Tell whether it was taken back without proof, which the agent goes on trying."""
        code = (self.failure or {}).get("code")
        return self.status == self.Status.FAILED and code == "rollback.not_proven"

    @property
    def is_awaiting(self) -> bool:
        """Tell whether it is proven, and taken back unless somebody confirms it."""
        is_waiting = self.confirm_by is not None and self.confirmed_at is None
        return is_waiting and self.status == self.Status.SUCCEEDED


class DeploymentStep(models.Model):
    """One thing the agent did, as it told it."""

    class Status(models.TextChoices):
        """How the step stands."""

        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=300, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices)
    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField(null=True)
    evidence: models.JSONField[Json, Json] = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["deployment", "position"], name="one_step_per_position")
        ]

    def __str__(self) -> str:
        return f"{self.position} {self.code} {self.status}"


class ProbeRun(models.Model):
    """One look at every port of a server."""

    class Status(models.TextChoices):
        """Where the look stands."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    class Trigger(models.TextChoices):
        """Why we looked."""

        BEAT = "beat"
        MANUAL = "manual"
        DEPLOYMENT = "deployment"

    server = models.ForeignKey(MailServer, on_delete=models.CASCADE, related_name="probe_runs")
    trigger = models.CharField(max_length=12, choices=Trigger.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, db_index=True)
    error: models.JSONField[Json | None, Json | None] = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["server", "status", "-finished_at"])]

    def __str__(self) -> str:
        return f"look {self.pk} ({self.status})"


class Observation(models.Model):
    """What one port showed in one look, with and without a host name asked for (SNI)."""

    run = models.ForeignKey(ProbeRun, on_delete=models.CASCADE, related_name="observations")
    service = models.CharField(max_length=20)
    address = models.CharField(max_length=45)
    port = models.PositiveIntegerField()
    sni_name = models.CharField(max_length=253, blank=True)
    is_open = models.BooleanField()
    # Empty when what was seen is what was wanted; else the codes of the differences.
    problems: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    fingerprint = models.CharField(max_length=64, blank=True)
    evidence: models.JSONField[Json, Json] = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["service", "-run"])]

    def __str__(self) -> str:
        return f"{self.service} {self.address}:{self.port} {self.sni_name}"


class Drift(models.Model):
    """What of an applied state somebody changed on the host, from when it was found until it is
    gone or becomes another one. ``digest`` tells one drift from the next.
    """

    server = models.ForeignKey(MailServer, on_delete=models.CASCADE, related_name="drifts")
    digest = models.CharField(max_length=64)
    # As the agent tells them: names, redacted diffs, public parts of certificates; never a key.
    pieces: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    # The listeners that the changed files ask for.
    listeners: models.JSONField[list[Json], list[Json]] = models.JSONField(default=list)
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, db_index=True)
    # Who said that it may stay as it is, and why; asked again when it changes.
    left_at = models.DateTimeField(null=True)
    left_by = models.CharField(max_length=150, blank=True)
    left_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["server"], condition=Q(closed_at=None), name="one_open_drift_per_server"
            )
        ]

    def __str__(self) -> str:
        return f"drift {self.pk} ({self.digest[:8]})"

    @property
    def is_left(self) -> bool:
        """Tell whether somebody decided that it may stay."""
        return self.left_at is not None

    @property
    def names(self) -> list[str]:
        """Return what drifted: files, and files of certificates."""
        return [str(piece["name"]) for piece in self.pieces]
