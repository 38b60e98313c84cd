"""The catalog for machines: what lies beside the pages, in their heads, and at the site's root.

::

    beside      index.json beside every page: the record as it came, its CID, what the page adds
    jsonld      schema.org/Dataset in a dataset's page, DataCatalog in the home page
    croissant   croissant.json beside a dataset's page
    heads       OpenGraph, feeds and other forms of a page
    feeds       feed.xml: everything, an account, a tag
    dcat        catalog.ttl: the catalog as DCAT
    index       catalog.json, index.json of the sections, llms.txt, robots.txt
    redirects   /@handle/name/
    downloads   where shards can be had, whatever their storage
    words       what several of them say alike

Nothing here says when it was made: two builds of the same store are the same, byte for byte.
"""
