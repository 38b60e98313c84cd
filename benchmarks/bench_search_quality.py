"""Measure the quality of search results: judged queries in store, site and AppView.

    python benchmarks/bench_search_quality.py [--worst]

The catalogs are those of ``tests/judged.py``: 115 real datasets, and 20 datasets in many languages. Each query has the
datasets that it should find, graded from 1 (welcome) to 3 (exactly this was meant). Exit code 1 if a target is missed.

success@3    share of the queries with a relevant dataset among the first three results
nDCG@5       quality of the order of the first five results; 1 is the best possible order
empty        queries without any result although a relevant dataset exists
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results
from tests.judged import PLACES, SETS, catalog, judged_queries, quality, rows_of, search

SUCCESS, NDCG = 0.92, 0.85


def main() -> int:
    """Measure every set in every place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worst", action="store_true", help="list the queries with the worst results")
    results = Results(__file__, parser)
    asked = parser.parse_args()
    missed = False
    for name in SETS:
        judged = judged_queries(name)
        with TemporaryDirectory() as folder:
            path = catalog(Path(folder), rows_of(name))
            for place in PLACES:
                found = quality(judged, search(path, place, [one.query for one in judged]))
                print(
                    f"{name:13} {place:8} success@3 {found.success:.3f}   nDCG@5 {found.ndcg:.3f}"
                    f"   empty {found.empty} of {found.queries}"
                )
                what = f"{place}, {name} datasets"
                results.add(f"success@3, {what}", "share", found.success, wanted=SUCCESS, better="higher")
                results.add(f"nDCG@5, {what}", "share", found.ndcg, wanted=NDCG, better="higher")
                results.add(f"empty though relevant, {what}", "queries", found.empty, wanted=0)
                missed |= found.success < SUCCESS or found.ndcg < NDCG or found.empty > 0
                if asked.worst:
                    for score, query, shown in found.worst:
                        print(f"    {score:.2f}  {query}: {', '.join(shown)}")
                    for query, shown in found.surplus.items():
                        print(f"    should find nothing: {query}: {', '.join(shown)}")
    results.write(asked)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
