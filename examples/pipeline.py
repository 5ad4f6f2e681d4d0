"""A pipeline of actors that ends from the front: read, parse on two cores, add up."""

import csp
from csp import RecvChannel, SendChannel, actor

LOG = """\
200 GET /index.html 512
404 GET /missing 87
200 GET /data.csv 20480
500 POST /form 0
200 GET /index.html 512
nonsense
304 GET /data.csv 0
"""


@actor
def read(lines: SendChannel, copies: int) -> None:
    for _ in range(copies):
        lines.send_many(LOG.splitlines())


@actor
def parse(lines: RecvChannel, records: SendChannel) -> int:
    refused = 0
    for line in lines:
        try:
            status, method, path, size = line.split()
            records.send({"status": int(status), "method": method, "path": path, "bytes": int(size)})
        except ValueError:
            refused += 1
    return refused


@actor
def add_up(records: RecvChannel) -> dict[str, object]:
    by_status: dict[int, int] = {}
    volume = 0
    for record in records:
        by_status[record["status"]] = by_status.get(record["status"], 0) + 1
        volume += record["bytes"]
    return {"by status": dict(sorted(by_status.items())), "bytes": volume}


def main() -> None:
    lines_out, lines_in = csp.channel(capacity=16)
    records_out, records_in = csp.channel(capacity=16)
    read.spawn(lines_out, copies=100)
    parsers = [parse.spawn(lines_in, records_out) for _ in range(2)]
    report = add_up.spawn(records_in)
    for handle in (lines_out, lines_in, records_out, records_in):
        handle.close()  # the actors have their own: when the reader returns, the end runs through

    for name, figure in report.result().items():
        print(f"{name}: {figure}")
    print("refused:", sum(ref.result() for ref in parsers))


if __name__ == "__main__":
    main()
