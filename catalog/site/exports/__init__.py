"""Machine-readable exports: files beside the pages, in their heads, and at the site's root.

::

    record_json index.json beside every page: the record, its CID, data of the page
    jsonld      schema.org/Dataset in a dataset's page, DataCatalog in the home page
    croissant   croissant.json beside a dataset's page
    meta_tags   OpenGraph, links to feeds and other formats of a page
    feeds       feed.xml: everything, an account, a tag
    dcat        catalog.ttl: the catalog as DCAT
    index       catalog.json, index.json of the sections, llms.txt, robots.txt
    redirects   /@handle/name/
    downloads   URLs of the shards, for every storage type
    common      values that several exports share

No export contains the time of the build: two builds of the same store are identical.
"""
