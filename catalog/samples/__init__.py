"""The data plane: typed samples, their bytes, shards of them, and datasets made of shards.

::

    arrays        ndarray ⇄ bytes (.npy; the compact form is read too)
    formats       sparse, structured, arrow tensor, safetensors ⇄ bytes, through optional libraries
    annotations   the annotations of a class ⇄ the fields of a sample type
    fitting       whether a value fits its field, and the errors that say which doesn't
    views         large byte strings of a msgpack map without copying them
    layouts       the quick way to read: what to do with a map of certain names
    packing       a sample ⇄ a msgpack map: pack, unpack, unpacker
    packable      a class ⇄ a sample type: PackableSample, packable, class_from
    preview       a sample for a person to look at
    tar           the tar format: members read, members written
    storage       where a shard's bytes come from: files, https, s3; cache and checksums
    shards        tars of samples: opened safely, checked, written deterministically
    batches       some samples as one, their arrays stacked
    published     the records of datasets and schemas, from their accounts' own PDSes
    dataset       shards as one iterable of typed samples, from URLs or from an at:// URI
    lens          a sample of one type as one of another, and back
    lenscode      the code of a published lens: fetched and run on request
    publishing    what publishing from code needs of a client

Terminology
-----------
*Sample*: one item of a dataset, a flat map of field name → value. *Key*: its name inside its shard. *Wire name*: the
name of a field in the map, any text; its *attribute* is the Python name it goes by. *Shard*: one tar.
"""
