"""The static site: record pages stamped onto a shell that the user's own theme has rendered.

*Archetype*: a page with tokens in place of a record's title, address and body; the theme renders it once a kind.
*Shell*: such a rendered page, cut at its tokens. *Stamping*: filling the cuts for one record.

- All text of a record is untrusted. It goes through :func:`catalog.site.markup.shown` (the templates do so for every
  value) and then through HTML escaping.
- Asset links are relative, so an archetype has the same depth as the pages stamped from it.
"""
