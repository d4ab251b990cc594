#!/usr/bin/env python
"""Django's command line, with our Celery application current so that commands can queue work."""

import os
import sys

from django.core.management import execute_from_command_line

from mailadmin.celery import app as celery_app

__all__ = ["celery_app"]

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (``manage.py plan | head``). Nothing is left to be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
