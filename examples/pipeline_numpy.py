"""A NumPy array that interpreters fill in place, slab by slab, and a NumPy thread that adds up behind them.

NumPy does not load in a subinterpreter, and need not: what arrives there is a view with shape and format, and `memoryview`
writes through it.  No element is ever copied: the same view goes down the pipeline, and only its handle moves.
"""

import sys
from importlib.util import find_spec

import csp
from csp import RecvChannel, SendChannel, SharedView, actor

SIDE = 600
SLAB = 25  # rows


@actor  # an interpreter of its own: plain Python on every core
def fill(slabs: RecvChannel, filled: SendChannel) -> int:
    from math import sqrt

    done = 0
    for first_row, slab in slabs:
        distance = memoryview(slab)  # two-dimensional, of doubles, writable: it is main's array
        rows, columns = distance.shape
        for y in range(rows):
            for x in range(columns):
                distance[y, x] = sqrt((first_row + y) ** 2 + x**2)
        filled.send((first_row, slab))
        done += 1
    return done


@actor(isolation="thread")  # a thread of main's interpreter, since it wants NumPy, which releases the GIL while it adds
def add_up(filled: RecvChannel) -> dict[str, float]:
    import numpy  # not at the top: the interpreters import this file as well

    total, farthest = 0.0, 0.0
    for _, slab in filled:
        distance = numpy.asarray(slab)  # no copy either
        total += float(distance.sum())
        farthest = max(farthest, float(distance.max()))
    return {"total": total, "farthest": farthest}


def main() -> None:
    import numpy

    distance = numpy.zeros((SIDE, SIDE))
    slabs_out, slabs_in = csp.channel(capacity=4)
    filled_out, filled_in = csp.channel(capacity=4)
    fillers = [fill.spawn(slabs_in, filled_out) for _ in range(2)]
    sums = add_up.spawn(filled_in)
    for handle in (slabs_in, filled_out, filled_in):
        handle.close()  # the actors have their own

    for first_row in range(0, SIDE, SLAB):
        slab: SharedView = csp.share(distance[first_row : first_row + SLAB], writable=True)
        slabs_out.send((first_row, slab))
    slabs_out.close()
    found = sums.result()
    print(sum(ref.result() for ref in fillers), "slabs filled by", len(fillers), "interpreters")

    y, x = numpy.mgrid[0:SIDE, 0:SIDE]
    expected = numpy.sqrt(y**2 + x**2)
    print("every element is NumPy's:", checked(numpy.array_equal(distance, expected)))
    print("the sum is NumPy's:", checked(numpy.isclose(found["total"], expected.sum(), rtol=1e-12)))
    print("farthest:", round(found["farthest"], 3))


def checked(right: bool) -> bool:
    if not right:
        raise SystemExit("the interpreters and NumPy do not agree")
    return True


if __name__ == "__main__":
    if find_spec("numpy") is None:
        print("this example needs NumPy: pip install numpy")
        sys.exit()
    main()
