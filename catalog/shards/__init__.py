"""Shards: the files that hold a dataset's samples.

::

    shard       one shard: its URL, its checksum
    locations   the shards of a dataset record
    braces      a-{000..009}.tar
    storage     open a shard: local file, https, S3 or PDS blob
      download    resumable downloads; ranges: files read by ranges
      s3   buckets: addresses, regions, signatures
      cache       verified copies of remote shards
    reader      the samples in a shard ─ tar: the members in it
    limits      what readers refuse and write_shards doesn't write
    source      what bytes are read from; hash them on the way
    checksum    checksums of records
    hash_local, hash_remote   SHA-256, size and number of samples; hash_cache remembers them
"""
