import { afterEach, expect, it } from "vitest";
import { FlowClient } from "./flow.js";
import { deferred, serve, type TestServer } from "./testing.js";

let server: TestServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const event = (seq: number, body: object) =>
  `id: t1:${seq}\ndata: ${JSON.stringify({ seq, turn_id: "t1", session_id: "s", ...body })}\n\n`;

it("goes on at the next event after the connection breaks", async () => {
  const calls: string[] = [];
  server = await serve((request, response) => {
    calls.push(`${request.method} ${request.url} ${request.headers["last-event-id"] ?? ""}`);
    if (request.method === "POST") {
      response.write(event(1, { type: "token", content: "one ", node_id: "n", speak: true }));
      setImmediate(() => response.destroy());
    } else {
      response.write(event(2, { type: "token", content: "two", node_id: "n", speak: true }));
      response.end(event(3, { type: "done", content: "one two" }));
    }
  });
  const seen = [];
  for await (const e of new FlowClient("f", { baseUrl: server.url }).turn("s", "Hi", { turnId: "t1" })) {
    seen.push(e.type === "token" || e.type === "done" ? e.content : e.type);
  }
  expect(seen).toEqual(["one ", "two", "one two"]);
  expect(calls).toEqual([
    "POST /api/flows/f/sessions/s/turns ",
    "GET /api/flows/f/sessions/s/turns/t1/events t1:1",
  ]);
});

it("cancels the turn when the caller leaves early", async () => {
  const deleted = deferred<string | undefined>();
  server = await serve((request, response) => {
    if (request.method === "DELETE") {
      deleted.resolve(request.url);
      response.writeHead(204).end();
    } else {
      response.write(event(1, { type: "token", content: "one", node_id: "n", speak: true }));
    }
  });
  for await (const e of new FlowClient("f", { baseUrl: server.url }).turn("s", "Hi", { turnId: "t1" })) {
    expect(e.seq).toBe(1);
    break;
  }
  expect(await deleted.promise).toBe("/api/flows/f/sessions/s/turns/t1");
});

it("gives errors that cannot be retried on", async () => {
  server = await serve((_request, response) => {
    response.writeHead(404, { "content-type": "application/json" });
    response.end('{"code": "flow_not_found", "message": "There is no flow f.", "retryable": false}');
  });
  const turn = new FlowClient("f", { baseUrl: server.url }).turn("s", "Hi");
  await expect(turn.next()).rejects.toMatchObject({ code: "flow_not_found", status: 404 });
});
