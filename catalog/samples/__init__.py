"""The data plane: typed samples, their bytes, shards of them, and datasets made of shards.

::

    arrays      ndarray ⇄ bytes (.npy; the compact form is read too)
    packable    a class with typed fields ⇄ a msgpack map ⇄ a sample type
    shards      tars of samples: opened safely, checked, written deterministically
    dataset     shards as one iterable of typed samples, from URLs or from an at:// URI

Terminology
-----------
*Sample*: one item of a dataset, a flat map of field name → value. *Key*: its name inside its shard. *Wire name*: the
name of a field in the map, any text; its *attribute* is the Python name it goes by. *Shard*: one tar.
"""
