import { expect, it } from "vitest";
import { isReachable } from "./reach";

it.each([
  ["ws://127.0.0.1:7880", "localhost", true],
  ["ws://localhost:7880", "[::1]", true],
  ["ws://127.0.0.1:7880", "192.168.1.5", false],
  ["ws://[::1]:7880", "parley.lan", false],
  ["ws://192.168.1.5:7880", "192.168.1.5", true],
  ["wss://rooms.example.org", "localhost", true],
  ["nonsense", "192.168.1.5", true],
  [undefined, "192.168.1.5", true],
])("%s from %s: %s", (url, host, reachable) => {
  expect(isReachable(url, host)).toBe(reachable);
});
