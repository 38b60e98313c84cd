"""The data plane: typed samples, their bytes, shards of them, datasets made of shards, and lenses between them.

::

    values    arrays        ndarray ⇄ bytes: .npy, and the compact form when reading
              formats       the optional forms: sparse, structured, Arrow, safetensors
    samples   packable      a class with typed fields ⇄ a sample type
              annotations   what its annotations say, as a plan
              packing       sample ⇄ msgpack bytes; quick where layouts repeat (layouts), large values uncopied (views)
              inferring     the fields of samples that come without a type
              fitting       whether a value fits its field, and the error when not
              preview       a sample for people
    shards    shards        tars of samples; written, and read
              tar           the format
              storage       where the bytes are: files, the cache, checksums
              remote, s3    downloads that go on where they broke off; buckets
    datasets  dataset       shards as one iterable of typed samples, from URLs or from an at:// URI
              iterating     dealt out, shuffled, unpacked, changed
              batches       samples as one, arrays stacked
              pytorch       workers of a DataLoader
              retyping      the way to another class
              published     records read from their accounts' own PDS
              publishing    what publishing from code needs of a client
    lenses    lens          @lens, networks of lenses
              lenstype      one lens, and one after another
              lenslaws      the laws, tried on samples
              recasting     the same sample as another class of its type
              lenscode      the code of a published lens: shown, and run on request (checkout: one commit as a folder)
              codereference a function as repository, commit, file and name

Terminology
-----------
*Sample*: one item of a dataset, a flat map of field name → value. *Key*: its name inside its shard. *Wire name*: the
name of a field in the map, any text; its *attribute* is the Python name it goes by. *Shard*: one tar. *Lens*: a getter
from one type of sample to another, and a putter back.
"""
