"""How the figures of single files add up to those of a tree, whatever the order in which they come."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

SUMS = ("lines", "code", "comment", "blank", "tokens", "functions", "classes")
"""What is summed over the files that could be measured."""

LONGEST = 10
"""How many of the longest functions are kept, of each file and in all."""


class Totals:
    """The counts of a tree.  Two trees' worth of the same files give equal counts, in any order and any grouping."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self.sums = dict.fromkeys(SUMS, 0)
        self.failed: list[dict[str, str]] = []
        self.longest: list[dict[str, Any]] = []

    def add(self, files: "Iterable[dict[str, Any]]") -> None:
        """Add the figures of some files, as `measure_file` gives them."""
        longest = self.longest
        for figures in files:
            self.files += 1
            self.bytes += figures["bytes"]
            if figures["problem"] is not None:
                self.failed.append({key: figures[key] for key in ("path", "problem", "message")})
                continue
            for key in SUMS:
                self.sums[key] += figures[key]
            longest.extend({"lines": lines, "function": name, "path": figures["path"], "line": line} for lines, name, line in figures["longest"])
        longest.sort(key=lambda found: (-found["lines"], found["path"], found["line"]))
        del longest[LONGEST:]

    def counts(self) -> "dict[str, Any]":
        """All counts, as a dictionary of plain values that is equal for equal trees."""
        problems: dict[str, int] = {}
        for failure in self.failed:
            problems[failure["problem"]] = problems.get(failure["problem"], 0) + 1
        return {
            "files": self.files,
            "measured": self.files - len(self.failed),
            "bytes": self.bytes,
            **self.sums,
            "problems": dict(sorted(problems.items())),
            "failed": sorted(self.failed, key=lambda failure: failure["path"]),
            "longest": list(self.longest),
        }
