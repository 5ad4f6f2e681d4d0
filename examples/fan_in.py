"""Several actors send to one channel; it ends by itself when the last of them is gone."""

import csp
from csp import SendChannel, actor


@actor
def measure(station: str, readings: SendChannel, count: int) -> None:
    for n in range(count):
        readings.send((station, (len(station) * 7 + n * 13) % 30))


def main() -> None:
    sender, readings = csp.channel(capacity=4)
    for station, count in (("north", 3), ("south", 5), ("harbour", 4)):
        measure.spawn(station, sender, count)
    sender.close()  # ours; each station has its own

    warmest: dict[str, int] = {}
    total = 0
    for station, degrees in readings:
        total += 1
        warmest[station] = max(degrees, warmest.get(station, degrees))

    print(total, "readings")
    for station in sorted(warmest):
        print(f"{station}: at most {warmest[station]} degrees")


if __name__ == "__main__":
    main()
