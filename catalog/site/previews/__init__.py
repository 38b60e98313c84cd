"""The first samples of datasets, fetched when the site is built and shown as people would look at them.

::

    graph ─▶ place of the first shard ─▶ cache? ─▶ its first bytes ─▶ painter ─▶ cache ─▶ page
             reading                     cache     reading           painter    model
                                                                     └ painting: pictures · plots

Nobody's previews are made unless the catalog's owner asks for them. Whatever goes wrong with one is a line on its page
and in the log; the build goes on.
"""

from __future__ import annotations

from catalog.site.previews.fetch import Previews, check_painter, gather
from catalog.site.previews.model import Preview

__all__ = ["Preview", "Previews", "check_painter", "gather"]
