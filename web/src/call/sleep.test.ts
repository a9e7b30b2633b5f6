import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { watchSleep } from "./sleep";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("tells of time that was missed, and not of time that only was slow", () => {
  const missed: number[] = [];
  const stop = watchSleep(30_000, (ms) => missed.push(ms));
  vi.advanceTimersByTime(60_000);
  expect(missed).toEqual([]);
  vi.setSystemTime(Date.now() + 20_000);
  vi.advanceTimersByTime(1000);
  expect(missed).toEqual([]);
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(1000);
  expect(missed).toEqual([3_600_000]);
  stop();
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(5000);
  expect(missed).toHaveLength(1);
});
