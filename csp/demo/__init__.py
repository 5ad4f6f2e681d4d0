"""The demo: a pipeline of actors that measures a tree of Python source on every core.

    walk_tree -> batches -> measure_files (one actor a core) -> measured -> aggregate

Each actor runs in its own interpreter with its own GIL, so the parsing, which is all Python, uses all cores of one
process.  `csp demo` is the command; the rooms, in the order of a first reading:

    pipeline.py    the three actors, and the main thread's loop that watches over them
    walk.py        which files, in which order
    measure.py     what is counted in one file; the only part that takes time
    totals.py      how the figures of files add up
    reference.py   the same without csp, in one thread: what the pipeline has to agree with
"""
