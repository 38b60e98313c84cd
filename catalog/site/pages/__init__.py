"""The pages of the catalog, one module a kind: what each shows that a template can't work out.

::

    dataset · schema · lens      a record's page, its template of the same name
    listings                     many records: a section, an account
    sections                     the catalog as a whole: browse, publishers, status, home

Each gives a :class:`catalog.site.templates.Page`, or the body of a page that the theme has rendered in place.
"""
