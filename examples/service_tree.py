"""A small HTTP job service as a tree of supervisors, and a client that tries it.

The server runs in this interpreter, since its threads share it (isolation="thread"); the workers have interpreters of
their own, and so all cores.  `csp tree examples.service_tree:tree` shows it, `csp run` runs it as a service.
"""

import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import csp
from csp import BrokenChannel, RecvChannel, SendChannel, actor


@actor
def worker(jobs: RecvChannel) -> None:
    while True:
        with jobs.lease() as (n, reply):  # if this life ends over it, the next one takes it
            reply.send(sum(k for k in range(1, n) if n % k == 0) == n)


@actor(isolation="thread", trap_stop=True, ready=True)
def web(jobs: SendChannel, port: int, bound: SendChannel | None) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                n = int(self.path.removeprefix("/perfect/"))
                reply, answer = csp.channel(1)
                jobs.send((n, reply), timeout=1)  # bounded: full means busy
                self.respond(200, {"number": n, "perfect": answer.recv(timeout=10)})
            except ValueError:
                self.respond(404, {"error": "ask for /perfect/<number>"})
            except (csp.Timeout, BrokenChannel):
                self.respond(503, {"error": "busy"})

        def respond(self, status: int, body: dict) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,)).start()
        if bound is not None:
            bound.send(server.server_port)
        me = csp.current_actor()
        me.ready()
        me.stopping.recv()  # until the tree stops: then leave off, and let the requests in hand finish
        server.shutdown()


def tree(port: int = 8000, bound: SendChannel | None = None) -> csp.Supervisor:
    jobs = csp.Channel(16)
    workers = csp.Supervisor([csp.ChildSpec(worker, args=(jobs.receiver,), count=2)], id="workers")
    return csp.Supervisor([workers, csp.ChildSpec(web, args=(jobs.sender, port, bound))], id="service")


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"


if __name__ == "__main__":
    bound = csp.Channel(1)
    with tree(port=0, bound=bound.sender) as service:
        url = f"http://127.0.0.1:{bound.recv()}"
        for path in ("/perfect/8128", "/perfect/8129", "/nothing"):
            print(path, get(url + path))
        print("one worker is killed:", service["workers/worker[0]"].kill().reason)
        print("/perfect/496", get(url + "/perfect/496"))
    print("stopped:", service.count_children().active, "children left")
