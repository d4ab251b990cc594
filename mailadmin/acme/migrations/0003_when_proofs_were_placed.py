from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("acme", "0002_what_servers_show"),
    ]

    operations = [
        migrations.AddField(
            model_name="acmeauthorization",
            name="placed_at",
            field=models.DateTimeField(null=True),
        ),
    ]
