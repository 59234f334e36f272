"""What stands in for a collector: takes what is sent to it, and prints each span or event as a line of JSON.

    python -m tests.servers.tracing.collector otlp|sentry|skywalking PORT

A process of its own, because only it needs the packages that decode what comes.
"""

import gzip
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def tell(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def value_of(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def otlp(body: bytes, headers: Any) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = {pair.key: value_of(pair.value) for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                tell(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind=span.kind,
                    error=span.status.code == 2,
                    service=service.get("service.name"),
                    authorization=headers.get("authorization"),
                    attributes={pair.key: value_of(pair.value) for pair in span.attributes},
                    events=[event.name for event in span.events],
                )


def sentry(body: bytes, headers: Any) -> None:
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    lines = body.split(b"\n")
    if json.loads(lines[1]).get("type") == "event":
        tell(**json.loads(lines[2]))


def serve_http(port: int, read: Any) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("content-encoding") == "gzip" and read is otlp:
                body = gzip.decompress(body)
            read(body, self.headers)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}" if read is sentry else b"")
            if read is otlp:
                self.wfile.write(b"\x0a\x00")  # an empty ExportTracePartialSuccess

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    tell(listening=True)
    server.serve_forever()


def serve_skywalking(port: int) -> None:
    import grpc
    from skywalking.protocol.common.Command_pb2 import Commands
    from skywalking.protocol.language_agent.Tracing_pb2_grpc import (
        TraceSegmentReportServiceServicer,
        add_TraceSegmentReportServiceServicer_to_server,
    )
    from skywalking.protocol.management.Management_pb2_grpc import (
        ManagementServiceServicer,
        add_ManagementServiceServicer_to_server,
    )

    class Segments(TraceSegmentReportServiceServicer):
        def collect(self, segments: Any, context: Any) -> Any:
            for segment in segments:
                for span in segment.spans:
                    tell(
                        name=span.operationName,
                        trace=segment.traceId,
                        span=span.spanId,
                        parent=span.parentSpanId,
                        kind=span.spanType,
                        error=span.isError,
                        service=segment.service,
                        instance=segment.serviceInstance,
                        references=[reference.parentService for reference in span.refs],
                        attributes={tag.key: tag.value for tag in span.tags},
                    )
            return Commands()

    class Management(ManagementServiceServicer):
        def reportInstanceProperties(self, request: Any, context: Any) -> Any:  # noqa: N802
            return Commands()

        def keepAlive(self, request: Any, context: Any) -> Any:  # noqa: N802
            return Commands()

    server = grpc.server(ThreadPoolExecutor(8))
    add_TraceSegmentReportServiceServicer_to_server(Segments(), server)
    add_ManagementServiceServicer_to_server(Management(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    tell(listening=True)
    server.wait_for_termination()


if __name__ == "__main__":
    kind, number = sys.argv[1], int(sys.argv[2])
    if kind == "skywalking":
        serve_skywalking(number)
    else:
        serve_http(number, {"otlp": otlp, "sentry": sentry}[kind])
