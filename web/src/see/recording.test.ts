import { expect, it } from "vitest";
import type { Line } from "../call/call";
import { beginnings } from "./recorder";
import { withDuration } from "./webm_duration";

const UNKNOWN = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const SCALE = [0x2a, 0xd7, 0xb1, 0x83, 0x0f, 0x42, 0x40];
const CLUSTER = [0x1f, 0x43, 0xb6, 0x75, ...UNKNOWN, 0xe7, 0x81, 0x00];
const webm = (info: number[]) =>
  new Blob(
    [
      new Uint8Array([
        ...[0x1a, 0x45, 0xdf, 0xa3, 0x83, 1, 2, 3],
        ...[0x18, 0x53, 0x80, 0x67, ...UNKNOWN],
        ...[0x15, 0x49, 0xa9, 0x66, 0x80 | info.length, ...info],
        ...CLUSTER,
      ]),
    ],
    { type: "audio/webm;codecs=opus" },
  );

it("writes a duration behind the time scale, and leaves all else as it is", async () => {
  const made = await withDuration(webm(SCALE), 2500);
  const bytes = new Uint8Array(await made.arrayBuffer());
  const at = bytes.findIndex((byte, index) => byte === 0x44 && bytes[index + 1] === 0x89);
  expect(new DataView(bytes.buffer).getFloat64(at + 3)).toBe(2500);
  expect([...bytes.slice(at + 11)]).toEqual(CLUSTER);
  expect(bytes[24]).toBe(0x10); // four bytes of size
  expect(bytes[27]).toBe(SCALE.length + 11);
  expect(await withDuration(made, 9)).toBe(made);
});

it.each([
  ["nothing", new Blob([], { type: "audio/webm" })],
  ["noise", new Blob([new Uint8Array(64)], { type: "audio/webm" })],
  ["another format", new Blob(["ftyp"], { type: "audio/mp4" })],
])("leaves %s alone", async (_, sound) => {
  expect(await withDuration(sound, 1000)).toBe(sound);
});

it("lets lines begin with the voice and not with the words", () => {
  const line = (id: string, who: Line["who"], soundsAtMs?: number): Line => ({
    id,
    who,
    text: id,
    open: false,
    interrupted: false,
    ...(soundsAtMs !== undefined && { soundsAtMs }),
  });
  const lines = [line("u1", "user"), line("a1", "agent", 4000), line("typed", "user"), line("a2", "agent")];
  const came = new Map([["u1", 1500], ["a1", 3000], ["typed", 6000], ["a2", 7000]]);
  expect(beginnings(lines, came, [200, 1000, 8000])).toEqual([1000, 4000, 6000, 7000]);
});
