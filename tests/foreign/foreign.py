"""A foreign peer, scripted: `foreign.py SCENE JSON`. What was checked goes to standard output as JSON lines.

It speaks the peering protocol of the wire facts with a schema and a TLS and gRPC stack of its own, in both roles,
against a running Peerway. tests/tests/foreign.rs starts the processes and reads the lines.
"""

import json
import os
import sys

# gRPC's own log tells of refused handshakes, which are what some scenes are about.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import report
from peerway import Peerway


def _scene(name, arguments):
    if name == "vectors":
        import vectors

        return vectors.compare
    module, function = name.split(".")
    peerway = Peerway(arguments["http"], arguments["datacenter"])
    scene = getattr(__import__(module), function)
    rest = {key: value for key, value in arguments.items() if key not in ("http", "datacenter")}
    return lambda: scene(peerway, **rest)


if __name__ == "__main__":
    code = report.run(_scene(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}))
    # Servers and streams that are still open have nothing more to say.
    sys.stdout.flush()
    os._exit(code)
