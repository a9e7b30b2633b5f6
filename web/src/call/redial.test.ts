import type { ParleyError } from "@parley/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { RECONNECT_DELAYS_MS } from "./call";
import { Redial, SETTLED_MS } from "./redial";

const full = { code: "closed_1013" } as ParleyError;
const gone = { code: "network" } as ParleyError;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("says that all places are taken, and tries again ever less often", () => {
  const redial = new Redial();
  const again = vi.fn();
  const settled = vi.fn();
  for (const delay of RECONNECT_DELAYS_MS) {
    redial.opened(settled); // taken only to be told
    again.mockClear();
    expect(redial.closed(full, undefined, again)).toEqual({ code: "room_full" });
    vi.advanceTimersByTime(delay - 1);
    expect(again).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(again).toHaveBeenCalledOnce();
  }
  expect(settled).not.toHaveBeenCalled();
});

it("keeps saying it while the connection fails otherwise, and begins anew after a call", () => {
  const redial = new Redial();
  const again = vi.fn();
  expect(redial.closed(full, undefined, again)).toEqual({ code: "room_full" });
  expect(redial.closed(gone, { code: "room_full" }, again)).toEqual({ code: "room_full" });
  const settled = vi.fn();
  redial.opened(settled);
  vi.advanceTimersByTime(SETTLED_MS);
  expect(settled).toHaveBeenCalledOnce();
  expect(redial.closed(gone, undefined, again)).toBeUndefined();
  expect(redial.closed(gone, undefined, again)).toEqual({ code: "server_down" });
});

it("says what ended a connection that the server gave up, and says it apart from a full one", () => {
  const redial = new Redial();
  const slow = { code: "closed_1011", message: "The client has read nothing for 10 s." } as ParleyError;
  const again = vi.fn();
  expect(redial.closed(slow, undefined, again)).toEqual({ code: "cut_off", detail: slow.message });
  vi.advanceTimersByTime(RECONNECT_DELAYS_MS[0] ?? 0);
  expect(again).toHaveBeenCalledOnce();
});

it("tries no more once it was stopped", () => {
  const redial = new Redial();
  const again = vi.fn();
  redial.closed(gone, undefined, again);
  redial.stop();
  vi.runAllTimers();
  expect(again).not.toHaveBeenCalled();
});
