"""Runs as root on the mail host: plans, applies, proves, takes back. No Django, no Celery."""
