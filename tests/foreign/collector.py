"""A collector of traces: `collector.py PORT FILE`. Takes OTLP over gRPC on 127.0.0.1 and appends a JSON line for each
span to the file. Reads the few fields that it tells of by their numbers in opentelemetry.proto.trace.v1.
"""

import json
import sys
from concurrent import futures

import grpc

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _fields(data):
    """Number and value of each field; a length-delimited value as bytes, others as a number."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 1:
            value, at = int.from_bytes(data[at : at + 8], "little"), at + 8
        elif kind == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind == 5:
            value, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, value


def _all(data, number):
    return [value for found, value in _fields(data) if found == number]


def _first(data, number, default=b""):
    return next(iter(_all(data, number)), default)


def _attributes(data, number):
    """Texts by name."""
    pairs = _all(data, number)
    return {_first(pair, 1).decode(): _first(_first(pair, 2), 1).decode() for pair in pairs if _text(pair)}


def _text(pair):
    return isinstance(_first(_first(pair, 2), 1, None), bytes)


def _spans(request):
    for resource_spans in _all(request, 1):
        service = _attributes(_first(resource_spans, 1), 1).get("service.name")
        for scope_spans in _all(resource_spans, 2):
            for span in _all(scope_spans, 2):
                yield {
                    "service": service,
                    "trace": _first(span, 1).hex(),
                    "span": _first(span, 2).hex(),
                    "parent": _first(span, 4).hex(),
                    "name": _first(span, 5).decode(),
                    "attributes": _attributes(span, 9),
                }


class _Collector(grpc.GenericRpcHandler):
    def __init__(self, path):
        self._path = path

    def service(self, details):
        if details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(self._export)

    def _export(self, request, _context):
        lines = "".join(json.dumps(span) + "\n" for span in _spans(request))
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(lines)
        return b""


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    server.add_generic_rpc_handlers((_Collector(sys.argv[2]),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
