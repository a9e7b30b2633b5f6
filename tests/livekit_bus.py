"""LiveKit's message bus in Redis, on which its server and livekit-sip call each other.

The wire is that of psrpc 0.7: each message is an `internal.Msg` on a channel of Redis' pub/sub, and
a request is served by the one whose claim the client takes. Field numbers are those of psrpc's
`internal.proto` and of `rpc/io.proto` and `rpc/sip.proto` in LiveKit's protocol 1.44.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from livekit.protocol import room as _room  # noqa: F401 - puts its messages into the pool
from livekit.protocol import sip as _sip  # noqa: F401 - likewise

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int64": _Field.TYPE_INT64,
    "float": _Field.TYPE_FLOAT,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
}
CALL_WITHIN_S = 10.0

Handler = Callable[[Any], Awaitable[Message]]


def _messages(package: str, needs: list[str], **messages: str) -> dict[str, type[Message]]:
    """Makes message classes from `type name number, …`; `map name number` is of strings."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"tests/{package}.proto", package=package, syntax="proto3", dependency=needs
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            kind, label, number = field.split()
            added = message.field.add(
                name=label, number=int(number), label=_Field.LABEL_OPTIONAL, json_name=label
            )
            if kind == "map":
                entry = "".join(part.capitalize() for part in label.split("_")) + "Entry"
                nested = message.nested_type.add(name=entry)
                nested.options.map_entry = True
                for index, part in enumerate(("key", "value"), 1):
                    nested.field.add(
                        name=part, number=index, label=_Field.LABEL_OPTIONAL, type=_TYPES["string"]
                    )
                added.label = _Field.LABEL_REPEATED
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{package}.{name}.{entry}"
            elif kind in _TYPES:
                added.type = _TYPES[kind]
            else:
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{kind}"
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


_BUS = _messages(
    "internal",
    [],
    Msg="string type_url 1, bytes value 2, string channel 3",
    Request=(
        "string request_id 1, string client_id 2, int64 sent_at 3, int64 expiry 4, "
        "bytes raw_request 8"
    ),
    Response=(
        "string request_id 1, string server_id 2, int64 sent_at 3, string error 5, "
        "string code 6, bytes raw_response 7"
    ),
    ClaimRequest="string request_id 1, string server_id 2, float affinity 3",
    ClaimResponse="string request_id 1, string server_id 2",
)
RPC = _messages(
    "rpc",
    ["livekit_sip.proto", "livekit_room.proto", "google/protobuf/duration.proto"],
    SIPCall=(
        "string lk_call_id 1, string source_ip 2, livekit.SIPUri address 3, "
        "livekit.SIPUri from 4, livekit.SIPUri to 5"
    ),
    GetSIPTrunkAuthenticationRequest="rpc.SIPCall call 8",
    GetSIPTrunkAuthenticationResponse=(
        "string username 1, string password 2, bool drop 3, string sip_trunk_id 4"
    ),
    EvaluateSIPDispatchRulesRequest="string sip_trunk_id 10, rpc.SIPCall call 12",
    EvaluateSIPDispatchRulesResponse=(
        "string room_name 1, string participant_identity 2, string participant_name 7, "
        "string participant_metadata 8, map participant_attributes 11, int32 result 6, "
        "livekit.RoomConfiguration room_config 21"
    ),
    InternalCreateSIPParticipantRequest=(
        "string sip_call_id 13, string sip_trunk_id 19, string address 2, string number 3, "
        "string call_to 4, string username 5, string password 6, string room_name 7, "
        "string participant_identity 8, string participant_name 14, "
        "string participant_metadata 15, map participant_attributes 17, "
        "google.protobuf.Duration ringing_timeout 23, bool wait_until_answered 29"
    ),
    InternalCreateSIPParticipantResponse=(
        "string participant_id 1, string participant_identity 2, string sip_call_id 3"
    ),
    InternalTransferSIPParticipantRequest=(
        "string sip_call_id 1, string transfer_to 2, google.protobuf.Duration ringing_timeout 5"
    ),
    Empty="bool unused 15",
)


class RefusedError(Exception):
    """What the other side of a call answers, with psrpc's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Bus:
    """A client and a server on the bus. Made by `open`."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._pubsub = client.pubsub()
        self._id = uuid.uuid4().hex
        self._handlers: dict[str, Callable[[Message], None]] = {}
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._claimed: dict[str, asyncio.Future[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, redis_port: int) -> AsyncIterator[Bus]:
        """On the Redis at this port of loopback."""
        client = redis.asyncio.Redis(port=redis_port)
        bus = cls(client)
        await bus._listen(f"IOInfo|{bus._id}|RES", bus._on_response)
        await bus._listen(f"IOInfo|{bus._id}|CLAIM", bus._on_claim)
        reader = asyncio.create_task(bus._read())
        try:
            yield bus
        finally:
            for task in [reader, *bus._tasks]:
                task.cancel()
            await asyncio.gather(reader, *bus._tasks, return_exceptions=True)
            await bus._pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py's
            await client.aclose()

    async def call(self, method: str, request: Message, answer: type[Message]) -> Any:
        """Asks LiveKit's server, as its service `IOInfo`.

        Raises:
            RefusedError: It answers with an error.
        """
        request_id = uuid.uuid4().hex
        self._waiting[request_id] = asked = asyncio.get_running_loop().create_future()
        self._claimed[request_id] = claim = asyncio.get_running_loop().create_future()
        now_ns = time.time_ns()
        await self._publish(
            f"IOInfo|{method}|REQ",
            _BUS["Request"](
                request_id=request_id,
                client_id=self._id,
                sent_at=now_ns,
                expiry=now_ns + int(CALL_WITHIN_S * 1e9),
                raw_request=request.SerializeToString(),
            ),
        )
        async with asyncio.timeout(CALL_WITHIN_S):
            chosen = _BUS["ClaimResponse"](request_id=request_id, server_id=await claim)
            await self._publish(f"IOInfo|{method}|RCLAIM", chosen)
            response = await asked
        if response.error:
            raise RefusedError(response.code, response.error)
        return answer.FromString(response.raw_response)

    async def serve(
        self, method: str, topic: str, request: type[Message], handler: Handler
    ) -> None:
        """Answers a method of `SIPInternal`; with a topic, only calls about it."""
        channel = "|".join(filter(None, ("SIPInternal", method, topic)))

        def on_request(message: Any) -> None:
            task = asyncio.create_task(self._answer(message, request, handler))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await self._listen(f"{channel}|RCLAIM", self._on_chosen)
        # A method without a topic has no bar before its last word.
        await self._listen(f"{channel}|REQ", on_request)

    async def _answer(self, asked: Any, request: type[Message], handler: Handler) -> None:
        self._claimed[asked.request_id] = chosen = asyncio.get_running_loop().create_future()
        await self._publish(
            f"SIPInternal|{asked.client_id}|CLAIM",
            _BUS["ClaimRequest"](request_id=asked.request_id, server_id=self._id, affinity=1.0),
        )
        if await chosen != self._id:
            return
        response = _BUS["Response"](request_id=asked.request_id, server_id=self._id)
        try:
            answer = await handler(request.FromString(asked.raw_request))
        except RefusedError as error:
            response.MergeFrom(_BUS["Response"](error=str(error), code=error.code))
        else:
            response.MergeFrom(_BUS["Response"](raw_response=answer.SerializeToString()))
        await self._publish(f"SIPInternal|{asked.client_id}|RES", response)

    def _on_response(self, response: Any) -> None:
        if (asked := self._waiting.pop(response.request_id, None)) and not asked.done():
            asked.set_result(response)

    def _on_claim(self, claim: Any) -> None:
        self._on_chosen(claim)

    def _on_chosen(self, claim: Any) -> None:
        if (chosen := self._claimed.pop(claim.request_id, None)) and not chosen.done():
            chosen.set_result(claim.server_id)

    async def _publish(self, channel: str, message: Message) -> None:
        name = message.DESCRIPTOR.full_name
        wrapped = _BUS["Msg"](
            type_url=f"type.googleapis.com/{name}", value=message.SerializeToString()
        )
        await self._redis.publish(channel, wrapped.SerializeToString())

    async def _listen(self, channel: str, handler: Callable[[Any], None]) -> None:
        self._handlers[channel] = handler
        await self._pubsub.subscribe(channel)

    async def _read(self) -> None:
        async for item in self._pubsub.listen():
            if item["type"] != "message":
                continue
            wrapped: Any = _BUS["Msg"].FromString(item["data"])
            kind = wrapped.type_url.rpartition(".")[2]
            self._handlers[item["channel"].decode()](_BUS[kind].FromString(wrapped.value))
