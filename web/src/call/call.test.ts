import { expect, it } from "vitest";
import { Call, type Line, microphoneProblem } from "./call";

class QuietCall extends Call {
  override readonly kind = "socket";
  override async start() {}
  override async end() {}
  override async setMuted() {}
  override sendText() {}
  override interrupt() {}
  override streams() {
    return {};
  }
  override setVolume() {}
  override async setMicrophone() {}
  override async setSpeaker() {}
  say(id: string, who: Line["who"], change: Partial<Line>) {
    this.line(id, who, change);
  }
  note(text: string) {
    this.log("note", text);
  }
  turn(turnId: string, totalMs: number) {
    this.waterfall({ turnId, totalMs, stages: [], interrupted: false });
  }
}

const texts = (call: Call) => call.getSnapshot().lines.map(({ text }) => text);

it("keeps lines in the order in which they began, while both grow", () => {
  const call = new QuietCall();
  call.say("u1", "user", { text: "What" });
  call.say("a1", "agent", { text: "Par" });
  call.say("u1", "user", { text: "What is it?", open: false });
  call.say("a1", "agent", { text: "Paris.", open: false });
  expect(texts(call)).toEqual(["What is it?", "Paris."]);
  expect(call.getSnapshot().lines.every(({ open }) => !open)).toBe(true);
});

it("drops a line that closes without words, but not one that is still open", () => {
  const call = new QuietCall();
  call.say("u1", "user", { text: "" });
  expect(texts(call)).toEqual([""]);
  call.say("u1", "user", { text: " ", open: false });
  expect(texts(call)).toEqual([]);
});

it("marks where a line was cut, and keeps the name", () => {
  const call = new QuietCall();
  call.say("a1", "agent", { text: "One two three", name: "Ada" });
  call.say("a1", "agent", { text: "One two", interrupted: true, open: false });
  expect(call.getSnapshot().lines[0]).toMatchObject({ text: "One two", name: "Ada", interrupted: true });
});

it("gives subscribers a new snapshot for each change, until they leave", () => {
  const call = new QuietCall();
  const seen = new Set([call.getSnapshot()]);
  const leave = call.subscribe(() => seen.add(call.getSnapshot()));
  call.say("u1", "user", { text: "a" });
  call.note("b");
  leave();
  call.note("c");
  expect(seen.size).toBe(3);
});

it("keeps a bounded log, and the last account of each turn", () => {
  const call = new QuietCall();
  for (let entry = 0; entry < 600; entry += 1) call.note(String(entry));
  expect(call.getSnapshot().log).toHaveLength(500);
  expect(call.getSnapshot().log[0]?.text).toBe("100");
  call.turn("t1", 1);
  call.turn("t2", 2);
  call.turn("t1", 3);
  expect(call.getSnapshot().waterfalls.map(({ totalMs }) => totalMs)).toEqual([2, 3]);
});

it.each([
  ["NotAllowedError", "microphone_denied"],
  ["NotFoundError", "microphone_missing"],
  ["NotReadableError", "microphone_busy"],
  ["TypeError", "failed"],
])("says what %s means", (name, code) => {
  const error = Object.assign(new Error("x"), { name });
  expect(microphoneProblem(error).code).toBe(code);
});
