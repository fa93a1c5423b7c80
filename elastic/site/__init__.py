"""The documentation as a site: the pages of ``elastic/docs``, and pages of reference made from what the code knows.

Sphinx (extra ``docs``) is loaded when a site is built; what writes a page of reference only needs the registries.
"""

from __future__ import annotations

from elastic.site.building import build_site
from elastic.site.opening import built_site

__all__ = ["build_site", "built_site"]
