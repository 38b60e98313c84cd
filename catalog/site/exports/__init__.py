"""Machine-readable exports: files beside the pages, in their heads, and at the site's root.

No export contains the time of the build: two builds of the same store are identical.
"""
