"""The provider on the wire: Pulumi's gRPC protocol. No other module imports gRPC or Pulumi's messages.

Every request is answered by the handler of its resource type. Nothing here may print: the first line
of standard output is the port, and the engine shows the rest of it as noise.
"""

# ruff: noqa: ARG002, D102, N802  names, arguments and meaning of the methods are those of Pulumi's protocol

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from platform_iac.provider.handlers import Change, Context, Diff, Handler, HandlerError, PartialFailure, Severity
from platform_iac.provider.values import Decoded, decode, encode

VERSION = "1.0.0"
MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # as Pulumi's own channels
PARALLEL = 64
SEVERITIES: Mapping[Severity, engine_pb2.LogSeverity.ValueType] = {
    "debug": engine_pb2.DEBUG,
    "info": engine_pb2.INFO,
    "status": engine_pb2.INFO,
    "warning": engine_pb2.WARNING,
    "error": engine_pb2.ERROR,
}
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
]


class EngineLog:
    """The engine's log. A line that cannot be delivered is dropped: the engine is gone then."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, OPTIONS)) if address else None

    def __call__(self, urn: str, severity: Severity, text: str) -> None:
        """Write one line for the resource `urn`."""
        if self._stub is None or not text:
            return
        request = engine_pb2.LogRequest(
            severity=SEVERITIES[severity],
            message=text,
            urn=urn,
            ephemeral=severity == "status",
        )
        try:
            self._stub.Log(request, timeout=10)
        except grpc.RpcError:
            return


class Service(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine. Handlers are found by the resource's type token."""

    def __init__(self, handlers: Mapping[str, Handler], engine: str = "") -> None:
        self._handlers = handlers
        self._log = EngineLog(engine)
        self._config: dict[str, Any] = {}
        self.cancelled = threading.Event()

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._log = EngineLog(request.address)
        return Empty()

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        schema = {"name": "platform", "version": VERSION, "resources": {token: {} for token in self._handlers}}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        same = decode(request.olds).values == decode(request.news).values
        changes = provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(changes=changes)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._config = {name.removeprefix("platform:config:"): value for name, value in request.variables.items()}
        self._config |= decode(request.args).values
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.cancelled.set()
        return Empty()

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        news = decode(request.news)
        inputs, failures = self._handler(request, context).check(decode(request.olds).values, news.values)
        return provider_pb2.CheckResponse(
            inputs=request.news if inputs == news.values else encode(inputs, news.secrets),
            failures=[provider_pb2.CheckFailure(property=item.property, reason=item.reason) for item in failures],
        )

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        handler = self._handler(request, context)
        old_inputs, olds, news = (decode(item).values for item in (request.old_inputs, request.olds, request.news))
        return _diff_response(handler.diff(request.id, old_inputs, olds, news))

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        handler, inputs = self._handler(request, context), decode(request.properties)
        with _Answer(context, handler, inputs) as answer:
            id, outputs = handler.create(inputs.values, self._context(request))
            return provider_pb2.CreateResponse(id=id, properties=answer.encode(outputs))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        handler, news = self._handler(request, context), decode(request.news)
        old_inputs, olds = decode(request.old_inputs).values, decode(request.olds).values
        with _Answer(context, handler, news) as answer:
            outputs = handler.update(request.id, old_inputs, olds, news.values, self._context(request))
            return provider_pb2.UpdateResponse(properties=answer.encode(outputs))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        handler, inputs, olds = self._handler(request, context), decode(request.inputs), decode(request.properties)
        with _Answer(context, handler, Decoded({}, inputs.secrets | olds.secrets)) as answer:
            found = handler.read(request.id, inputs.values, olds.values, self._context(request))
            if found is None:
                return provider_pb2.ReadResponse()
            same = found[0] == inputs.values
            return provider_pb2.ReadResponse(
                id=request.id,
                inputs=request.inputs if same else encode(found[0], inputs.secrets),
                properties=answer.encode(found[1]),
            )

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        handler, olds = self._handler(request, context), decode(request.properties)
        with _Answer(context, handler, olds):
            handler.delete(request.id, decode(request.old_inputs).values, olds.values, self._context(request))
            return Empty()

    def _handler(self, request: Any, context: grpc.ServicerContext) -> Handler:
        token = request.type or request.urn.split("::")[2].rsplit("$", 1)[-1]
        if token not in self._handlers:
            context.abort(grpc.StatusCode.NOT_FOUND, f"this provider has no resource {token!r}")
        return self._handlers[token]

    def _context(self, request: Any) -> Context:
        urn, log = request.urn, self._log
        return Context(
            urn=urn,
            preview=getattr(request, "preview", False),
            config=self._config,
            log=lambda severity, text: log(urn, severity, text),
            cancelled=self.cancelled,
        )


class _Answer:
    """Encodes outputs with their secrets marked, and turns a handler's exceptions into gRPC statuses."""

    def __init__(self, context: grpc.ServicerContext, handler: Handler, inputs: Decoded) -> None:
        self._context = context
        self._secrets = handler.secret_outputs | inputs.secrets

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PartialFailure):
            self._init_failed(error)
        if isinstance(error, HandlerError):
            self._context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def encode(self, outputs: Mapping[str, Any]) -> Struct:
        return encode(outputs, self._secrets)

    def _init_failed(self, error: PartialFailure) -> NoReturn:
        detail = provider_pb2.ErrorResourceInitFailed(
            id=error.id, properties=self.encode(error.outputs), reasons=error.reasons
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
        status.details.add().Pack(detail)
        self._context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        self._context.abort(grpc.StatusCode.UNKNOWN, str(error))
        raise AssertionError("abort raises")


def _diff_response(diff: Diff) -> Any:
    replaces = tuple(diff.replaces)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if diff.changes else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=replaces,
        deleteBeforeReplace=bool(replaces) and diff.delete_first,
        diffs=sorted({path.split(".")[0].split("[")[0] for path in diff.changes}),
        detailedDiff={path: _property_diff(change, path in replaces) for path, change in diff.changes.items()},
        hasDetailedDiff=True,
    )


def _property_diff(change: Change, replaces: bool) -> Any:  # noqa: FBT001  private, called once
    kind = f"{change.kind.upper()}{'_REPLACE' if replaces else ''}"
    return provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(kind), inputDiff=not change.recorded)


def serve(service: Service) -> tuple[int, Callable[[float], Any]]:
    """Start answering on a free loopback port; return the port and what stops it within some seconds."""
    server = grpc.server(ThreadPoolExecutor(PARALLEL), options=OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, server.stop
