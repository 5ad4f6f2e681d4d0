"""The counts of a tree, taken in one thread by one loop, without csp: what the pipeline has to agree with."""

import os

from csp.demo.measure import measure_file
from csp.demo.totals import Totals
from csp.demo.walk import base, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any


def count(root: str, skip: "Collection[str]" = ()) -> "dict[str, Any]":
    """Count the tree under `root`; the result equals the `counts` of a pipeline's outcome."""
    totals = Totals()
    folder = base(root)
    for name in walk(root, skip):
        totals.add([measure_file(os.path.join(folder, name), name)])
    return totals.counts()
