"""What axe-core says about a page."""

from __future__ import annotations

import json

from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import DEFAULT_OPTIONS
from playwright.sync_api import Page

# In one step: between bringing it and running it, the page could be exchanged for another.
_RUN = f"async () => {{ {AXE_SCRIPT}; return await axe.run({json.dumps(DEFAULT_OPTIONS)}) }}"


def violations(page: Page) -> list[str]:
    """Return what is wrong with the page, one line each.

    Whoever has clicked waits first for what the next page says: until it has begun to come, this
    is about the one before it.
    """
    page.wait_for_load_state("load")
    found = page.evaluate(_RUN)["violations"]
    return [f"{item['id']}: {[node['target'] for node in item['nodes']]}" for item in found]
