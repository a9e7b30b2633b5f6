import { describe, expect, it } from "vitest";
import { readEvents, type ServerSentEvent } from "./sse.js";

function stream(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
  });
}

async function all(text: string, size: number): Promise<ServerSentEvent[]> {
  const events = [];
  for await (const event of readEvents(stream(new TextEncoder().encode(text), size))) {
    events.push(event);
  }
  return events;
}

describe("readEvents", () => {
  const text =
    ": ping\n\nid: t:1\ndata: {\"a\":\"ü\u2028😀\"}\n\nevent: text\r\ndata: one\r\ndata: two\r\n\r\n" +
    "data:no space\n\nevent: nothing\n\ndata\n\ndata: cut off";
  const expected = [
    { event: "message", data: '{"a":"ü\u2028😀"}', id: "t:1" },
    { event: "text", data: "one\ntwo", id: "t:1" },
    { event: "message", data: "no space", id: "t:1" },
    { event: "message", data: "", id: "t:1" },
  ];

  it.each([1, 2, 3, 5, 7, 1000])("gives the same events in packets of %i bytes", async (size) => {
    expect(await all(text, size)).toEqual(expected);
  });

  it("cancels the response when the reader leaves", async () => {
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
      cancel: () => {
        cancelled = true;
      },
    });
    for await (const event of readEvents(endless)) {
      expect(event.data).toBe("x");
      break;
    }
    expect(cancelled).toBe(true);
  });
});
