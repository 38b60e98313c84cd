"""Samples: typed classes, their bytes, inference of sample types.

::

    packable        a class with typed fields ⇄ a sample type
      annotations     its annotations as fields, and the plan for packing and unpacking
    packing         sample ⇄ msgpack bytes
      fast_decode     the compiled reader for repeating layouts     zero_copy   large values as views
      validation      values against their fields
    arrays          ndarray ⇄ .npy bytes; reads the compact form    array_formats   sparse, Arrow, safetensors, …
    inference       fields from samples without a type
    cast            a sample as another class of its sample type
    preview         a sample as text or JSON
    write_shards    samples to shards
      write_members   fields to members of a WebDataset     write_parquet   samples to rows
    storable        names and nested values that can be read again
    publishing      the client that publishing from code needs

Terminology
-----------
*Sample*: one item of a dataset, a flat map of field name → value. *Key*: its name inside its shard. *Wire name*: the
name of a field in the map, any text; its *attribute* is the Python name. *Shard*: one file of samples.
"""
