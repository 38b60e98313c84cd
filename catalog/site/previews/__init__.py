"""Previews: the first samples of datasets, fetched during the build and rendered as pictures, plots and text.

Off by default. An error of one is reported on its page and in the log; the build continues.
"""

from __future__ import annotations

from catalog.site.previews.fetch import Previews, check_painter, gather
from catalog.site.previews.model import Preview

__all__ = ["Preview", "Previews", "check_painter", "gather"]
