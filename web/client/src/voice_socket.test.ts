import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { WebSocket as Peer, WebSocketServer } from "ws";
import type { ParleyError } from "./errors.js";
import { deferred } from "./testing.js";
import type { ServerMessage } from "./voice_messages.js";
import { VoiceSocket } from "./voice_socket.js";

let server: WebSocketServer;
let baseUrl: string;
let peer: Promise<{ socket: Peer; url: string; protocol: string }>;

beforeEach(async () => {
  vi.stubGlobal("WebSocket", Peer); // what browsers have and Node 20 has not
  const connected = deferred<{ socket: Peer; url: string; protocol: string }>();
  peer = connected.promise;
  server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await new Promise((resolve) => server.once("listening", resolve));
  server.on("connection", (socket, { url = "", headers }) =>
    connected.resolve({ socket, url, protocol: headers["sec-websocket-protocol"] ?? "" }),
  );
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  for (const client of server.clients) client.terminate();
  server.close();
  vi.unstubAllGlobals();
});

it("asks for a flow and details in the address, and carries the key as a subprotocol", async () => {
  const open = deferred<void>();
  const socket = new VoiceSocket({ onOpen: open.resolve }, { baseUrl, flow: "front desk", details: true, key: "k1" });
  const { url, protocol } = await peer;
  await open.promise;
  expect(url).toBe("/ws?flow=front+desk&details=true");
  expect(protocol.split(/, ?/)).toEqual(["parley", "parley.key.k1"]);
  socket.close();
});

it("pairs each frame with the message before it", async () => {
  const messages: ServerMessage[] = [];
  const heard = deferred<[number, string]>();
  const socket = new VoiceSocket(
    {
      onMessage: (message) => messages.push(message),
      onAudio: (pcm, meta) => heard.resolve([pcm.byteLength, meta.message_id]),
    },
    { baseUrl },
  );
  const { socket: other, url } = await peer;
  expect(url).toBe("/ws");
  other.send(JSON.stringify({ type: "stt_update", text: "Hel" }));
  other.send(new Uint8Array(2)); // belongs to nothing
  other.send(JSON.stringify({ type: "audio_chunk_meta", message_id: "m", chunk_index: 0 }));
  other.send(new Uint8Array(6));
  expect(await heard.promise).toEqual([6, "m"]);
  expect(messages[0]).toEqual({ type: "stt_update", text: "Hel" });
  socket.close();
});

it.each([
  [1013, "The server is full.", true],
  [1011, "The database cannot be reached.", true],
  [1008, "There is no such flow.", false],
])("tells why the server closed with %i", async (code, reason, retryable) => {
  const closed = deferred<ParleyError | undefined>();
  new VoiceSocket({ onClose: closed.resolve }, { baseUrl });
  (await peer).socket.close(code, reason);
  expect(await closed.promise).toMatchObject({ code: `closed_${code}`, message: reason, retryable });
});

it("reports no error for its own goodbye", async () => {
  const [open, closed] = [deferred<void>(), deferred<ParleyError | undefined>()];
  const socket = new VoiceSocket({ onOpen: open.resolve, onClose: closed.resolve }, { baseUrl });
  await open.promise;
  socket.close();
  expect(await closed.promise).toBeUndefined();
});
