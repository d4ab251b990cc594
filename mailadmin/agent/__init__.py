"""Runs as root on the mail host: plans, applies, proves and takes back changes. No Django, no Celery."""
