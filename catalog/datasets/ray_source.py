"""Datasets as the source of Ray Data: each shard is read by a task."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from catalog.errors import require_package
from catalog.samples.ray_data import columns_of, row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS: Final = 256
"""Rows of a block: Ray joins small blocks, and cuts none."""


def to_ray(dataset: Any) -> Any:  # noqa: ANN401 - a Dataset; ray.data.Dataset
    """Return the samples of a dataset as a ``ray.data.Dataset``."""
    require_package("'ray[data]'", "ray", purpose="to_ray")
    import ray.data

    def read(tasks: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for number in tasks["id"]:
            samples = iter(dataset.__replace__(shards=(dataset.shards[int(number)],), _stored=None))
            while rows := [row_of(sample) for sample in islice(samples, _ROWS)]:
                yield columns_of(rows)

    count = len(dataset.shards)
    return ray.data.range(count, override_num_blocks=max(1, count)).map_batches(read, batch_size=1)
