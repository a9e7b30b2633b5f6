import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SocketCall } from "./socket_call";

const RATE_HZ = 24_000;

/** An audio clock that the test turns by hand; sources end by it. */
class FakeContext {
  currentTime = 0;
  state = "running";
  destination = {};
  sources: { endsAt: number; onended: (() => void) | null }[] = [];
  constructor() {
    context = this;
  }
  resume = async () => undefined;
  close = async () => undefined;
  createGain = () => ({ connect: () => undefined, gain: { value: 1 } });
  createAnalyser = () => ({ connect: () => undefined });
  createBuffer = (_channels: number, length: number) => ({
    duration: length / RATE_HZ,
    copyToChannel: () => undefined,
  });
  createBufferSource = () => {
    const source = {
      buffer: { duration: 0 },
      endsAt: Number.POSITIVE_INFINITY,
      onended: null,
      connect: () => undefined,
      disconnect: () => undefined,
      stop: () => undefined,
      start: (at: number) => {
        source.endsAt = at + source.buffer.duration;
      },
    };
    this.sources.push(source);
    return source;
  };
}

class FakeSocket {
  static readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  onopen: (() => void) | undefined;
  onmessage: ((event: { data: unknown }) => void) | undefined;
  constructor() {
    socket = this;
  }
  send(): void {}
  close(): void {}
}

let context: FakeContext;
let socket: FakeSocket;
let call: SocketCall;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("AudioContext", FakeContext);
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", { href: "http://127.0.0.1:8000/" });
  call = new SocketCall();
  await call.start();
  socket.onopen?.();
});

afterEach(async () => {
  await call.end();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const tell = (message: object) => socket.onmessage?.({ data: JSON.stringify(message) });
const lines = () => call.getSnapshot().lines.map(({ name, text, open, interrupted }) => ({ name, text, open, interrupted }));

async function pass(seconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(0); // what has come is queued first
  context.currentTime += seconds;
  for (const source of context.sources) if (source.endsAt <= context.currentTime) source.onended?.();
  await vi.advanceTimersByTimeAsync(seconds * 1000);
}

/** An answer of one piece, each word half a second long, all of its sound sent at once. */
function answer(message_id: string, character_name: string, text: string, { whole = true } = {}): void {
  tell({ type: "text_stream_start", message_id, character_name });
  tell({ type: "text_chunk", message_id, text });
  tell({ type: "text_stream_stop", message_id });
  tell({ type: "audio_stream_start", message_id, character_name, sample_rate: RATE_HZ });
  const words = [...text.matchAll(/\S+/g)].map(({ 0: word, index }, number) => ({
    start_char: index,
    end_char: index + word.length,
    start_ms: number * 500,
    end_ms: number * 500 + 500,
  }));
  tell({ type: "spoken_words", message_id, sentence_index: 0, text, words });
  frame(message_id, words.length * 0.5);
  if (whole) tell({ type: "audio_complete", session_id: "s", message_id });
}

function frame(message_id: string, seconds: number): void {
  tell({ type: "audio_chunk_meta", message_id, character_id: "a", sentence_index: 0, chunk_index: 0 });
  socket.onmessage?.({ data: new ArrayBuffer(seconds * RATE_HZ * 2) });
}

it("shows the words as they sound, and closes the line when the last has", async () => {
  answer("m1", "Ada", "One two three");
  await pass(0.1);
  expect(lines()).toEqual([{ name: "Ada", text: "One", open: true, interrupted: false }]);
  await pass(0.5);
  expect(lines()[0]?.text).toBe("One two");
  expect(call.getSnapshot().state).toBe("speaking");
  await pass(2);
  expect(lines()).toEqual([{ name: "Ada", text: "One two three", open: false, interrupted: false }]);
  expect(call.getSnapshot().state).toBe("listening");
});

it("shows what was heard of an answer that is interrupted, and plays no more of it", async () => {
  answer("m1", "Ada", "One two three four", { whole: false });
  await pass(0.7);
  call.interrupt();
  expect(lines()).toEqual([{ name: "Ada", text: "One two", open: false, interrupted: true }]);
  frame("m1", 0.5);
  await pass(1);
  expect(context.sources).toHaveLength(1);
  tell({ type: "interrupted", message_id: "m1", heard_text: "One", estimated: false });
  expect(lines()).toEqual([{ name: "Ada", text: "One", open: false, interrupted: true }]);
  expect(call.getSnapshot().lines[0]?.estimated).toBe(false);
});

it("has no line for an answer of which nothing was heard", async () => {
  tell({ type: "text_stream_start", message_id: "m1", character_name: "Ada" });
  tell({ type: "text_chunk", message_id: "m1", text: "Nobody hears this." });
  await pass(0.1);
  expect(lines()).toEqual([]);
  tell({ type: "interrupted", message_id: "m1", heard_text: "", estimated: false });
  expect(lines()).toEqual([]);
});

it("notes that the cut is a guess where the voice does not tell when its words sound", () => {
  tell({ type: "text_stream_start", message_id: "m1", character_name: "Ada" });
  tell({ type: "interrupted", message_id: "m1", heard_text: "One or two", estimated: true });
  expect(call.getSnapshot().lines[0]).toMatchObject({ text: "One or two", interrupted: true, estimated: true });
});

it("shows all words while the audio clock stands still, and those that follow in step once it runs", async () => {
  context.state = "suspended";
  answer("m1", "Ada", "One two three", { whole: false });
  await vi.advanceTimersByTimeAsync(100);
  expect(lines()).toEqual([{ name: "Ada", text: "One two three", open: true, interrupted: false }]);
  context.state = "running";
  await pass(0.1);
  expect(lines()[0]?.text).toBe("One two three");
  tell({ type: "text_chunk", message_id: "m1", text: " four five" });
  const words = [
    { start_char: 0, end_char: 4, start_ms: 0, end_ms: 500 },
    { start_char: 5, end_char: 9, start_ms: 500, end_ms: 1000 },
  ];
  tell({ type: "spoken_words", message_id: "m1", sentence_index: 1, text: "four five", words });
  tell({ type: "audio_chunk_meta", message_id: "m1", character_id: "a", sentence_index: 1, chunk_index: 0 });
  socket.onmessage?.({ data: new ArrayBuffer(1 * RATE_HZ * 2) });
  await pass(1);
  expect(lines()[0]?.text).toBe("One two three");
  await pass(0.7);
  expect(lines()[0]?.text).toBe("One two three four");
  await pass(0.5);
  expect(lines()[0]?.text).toBe("One two three four five");
});

it("keeps two characters' words apart where one begins while the other still sounds", async () => {
  answer("m1", "Ada", "One two");
  await pass(0.9);
  answer("m2", "Ben", "Three four five");
  await pass(0.2);
  expect(lines()).toEqual([
    { name: "Ada", text: "One two", open: false, interrupted: false },
    { name: "Ben", text: "Three", open: true, interrupted: false },
  ]);
});

it("shows all of an answer whose voice fails", async () => {
  tell({ type: "text_stream_start", message_id: "m1", character_name: "Ada" });
  tell({ type: "text_chunk", message_id: "m1", text: "Read this." });
  tell({ type: "error", code: "synthesis_failed", message: "No." });
  tell({ type: "text_stream_stop", message_id: "m1" });
  expect(lines()).toEqual([{ name: "Ada", text: "Read this.", open: false, interrupted: false }]);
});

it("cuts the line at the words that sounded when the connection is lost", async () => {
  answer("m1", "Ada", "One two three", { whole: false });
  await pass(0.7);
  (socket as unknown as { onclose: (event: object) => void }).onclose({ code: 1006, reason: "" });
  expect(lines()).toEqual([{ name: "Ada", text: "One two", open: false, interrupted: true }]);
});
