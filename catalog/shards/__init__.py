"""Shards: the files that hold a dataset's samples. ``storage`` opens them, ``reader`` reads their samples."""
