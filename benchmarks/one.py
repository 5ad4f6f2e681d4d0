"""One measurement in a process of its own: `python -m benchmarks.one SCENARIO CONTENDER SECONDS [quick]` prints the figure.

A process each, so that nothing is left over from the measurement before, and one that hangs can be ended.
"""

import sys


def main() -> None:
    from benchmarks.scenarios import SCENARIOS

    key, contender, seconds, *quick = sys.argv[1:]
    scenario = next(s for s in SCENARIOS if s.key == key)
    print(scenario.runs[contender](float(seconds), bool(quick)))


if __name__ == "__main__":
    main()
