import { expect, it } from "vitest";
import { de } from "./de";
import { en, type Key } from "./en";

/** Names and units are the same in both. */
const SHARED = new Set(["Parley", "Status", "System", "Agent", "WebSocket", "Downloads", "Version", "Median", "median", "Name", "Worker", "ms"]);

it("has every text in both languages", () => {
  expect(Object.keys(de).sort()).toEqual(Object.keys(en).sort());
  for (const key of Object.keys(en) as Key[]) {
    expect(de[key].trim(), key).not.toBe("");
    if (!SHARED.has(en[key])) expect(de[key], key).not.toBe(en[key]);
  }
});
