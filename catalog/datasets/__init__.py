"""Datasets: shards as one iterable of typed samples."""
