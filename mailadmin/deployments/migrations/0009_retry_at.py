"""When the agent tries again a way back that was not proven."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("deployments", "0008_host_reading")]
    operations: ClassVar = [
        migrations.AddField("deployment", "retry_at", models.DateTimeField(null=True)),
    ]
