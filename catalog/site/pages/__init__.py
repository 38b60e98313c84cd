"""The pages of the catalog, one module a kind: the values that their templates show."""
