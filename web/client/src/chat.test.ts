import { afterEach, expect, it } from "vitest";
import { streamChat } from "./chat.js";
import type { ParleyError } from "./errors.js";
import { deferred, serve, type TestServer } from "./testing.js";

let server: TestServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

function listen(message: string, baseUrl: string, options = {}) {
  const seen: unknown[] = [];
  const stream = streamChat(
    message,
    {
      onText: (piece) => seen.push(piece),
      onAudio: (audio) => seen.push({ audio }),
      onComplete: (result) => seen.push(result),
      onError: (error: ParleyError) => seen.push([error.code, error.message, error.retryable]),
    },
    { baseUrl, ...options },
  );
  return { seen, stream };
}

it("sends the message and gives text, audio and the end in order", async () => {
  let sent: unknown;
  server = await serve((_request, response, body) => {
    sent = JSON.parse(body);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("event: text\ndata: Hello,\n\nevent: text\ndata:  you.\ndata: Bye.\n\n");
    response.end("event: audio\ndata: UklGRg==\n\nevent: done\ndata: 1\n\n");
  });
  const { seen, stream } = listen("Hi", server.url, { voice: "joe", speed: 1.5, sessionId: "s" });
  await stream.finished;
  expect(sent).toEqual({ message: "Hi", session_id: "s", voice: "joe", speed: 1.5 });
  expect(seen).toEqual([
    "Hello,",
    " you.\nBye.",
    { audio: "UklGRg==" },
    { fullText: "Hello, you.\nBye.", audioChunks: 1 },
  ]);
});

it("gives errors before and inside the stream, and a stream that breaks off", async () => {
  server = await serve((_request, response, body) => {
    const { message } = JSON.parse(body) as { message: string };
    if (message === "refuse") {
      response.writeHead(429, { "content-type": "application/json", "retry-after": "2" });
      response.end('{"code": "rate_limited", "message": "Later.", "retryable": true}');
    } else if (message === "fail") {
      response.end("event: error\ndata: The voice is gone.\n\n");
    } else {
      response.end("event: text\ndata: Hel\n\n");
    }
  });
  const run = async (message: string) => {
    const { seen, stream } = listen(message, server?.url ?? "");
    await stream.finished;
    return seen;
  };
  expect(await run("refuse")).toEqual([["rate_limited", "Later.", true]]);
  expect(await run("fail")).toEqual([["stream_failed", "The voice is gone.", false]]);
  expect(await run("cut")).toEqual(["Hel", ["stream_interrupted", "The answer broke off.", true]]);
  const { seen, stream } = listen("nobody", "http://127.0.0.1:9");
  await stream.finished;
  expect(seen).toEqual([["network", "The server cannot be reached.", true]]);
});

it("closing reaches the server and silences the handlers", async () => {
  const left = deferred<void>();
  server = await serve((_request, response) => {
    response.on("close", () => left.resolve(undefined));
    response.write("event: text\ndata: one\n\n");
  });
  const first = deferred<void>();
  const seen: string[] = [];
  const stream = streamChat(
    "Hi",
    {
      onText: (piece) => {
        seen.push(piece);
        first.resolve(undefined);
      },
      onError: () => seen.push("error"),
    },
    { baseUrl: server.url },
  );
  await first.promise;
  stream.close();
  await left.promise;
  await stream.finished;
  expect(seen).toEqual(["one"]);
});
