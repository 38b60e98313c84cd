// The format of the index files and the limits on reading them: those of catalog/store/index_format.py (a test compares them).

export const MAX_ROWS = 5_000_000;
export const MAX_BUCKETS = 100_000;
export const MAX_SHOWN = 1000; // results in a file
export const MAX_SHARDS = 10_000_000;
export const MAX_WORDS_PER_ROW = 10_000;
export const LEVELS = 12; // of a term, see catalog/store/searchable.py
export const FORMAT = 3; // of the text index
export const BASE = 91;
export const LAST = 60; // the last digit of a number of variable length is below
