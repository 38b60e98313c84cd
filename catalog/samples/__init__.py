"""Samples: typed classes, their bytes, inference of sample types.

*Sample*: one item of a dataset, a flat map of field name → value. *Key*: its name inside its shard. *Wire name*: the
name of a field in the map, any text; its *attribute* is the Python name. *Shard*: one file of samples.
"""
