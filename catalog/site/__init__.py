"""The static site: record pages stamped onto a shell that the user's own theme has rendered.

Terminology
-----------
*Archetype*: a page with tokens where a record's title, address and body belong; the theme renders it once a kind.
*Shell*: such a rendered page, cut at its tokens. *Stamping*: filling the cuts for one record.

::

    graph ──▶ pages ──┐
    theme ──▶ shell ──┴──▶ build ──▶ files      facets · search: two files' work beside them

Tricky bits
-----------
- All text of a record is untrusted. It goes through :func:`catalog.site.markup.shown` (the templates do so for every
  value) and then through HTML escaping.
- Asset links are relative, so an archetype has the same depth as the pages stamped from it.
"""
