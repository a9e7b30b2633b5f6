import { expect, it } from "vitest";
import { percentile, readWaterfall } from "./waterfall";

it("reads the worker's account of a turn", () => {
  const json = JSON.stringify({
    turn_id: "t1",
    stages: [{ name: "stt_final", start_ms: 0, end_ms: 80 }],
    total_ms: 420,
    interrupted: true,
    heard_text: "Number one",
    estimated: true,
  });
  expect(readWaterfall(json)).toEqual({
    turnId: "t1",
    stages: [{ name: "stt_final", startMs: 0, endMs: 80 }],
    totalMs: 420,
    interrupted: true,
    heardText: "Number one",
    estimated: true,
  });
});

it("takes the end of the last stage where no total is given", () => {
  const stages = [
    { name: "a", start_ms: 0, end_ms: 80 },
    { name: "b", start_ms: 60, end_ms: 300 },
  ];
  expect(readWaterfall(JSON.stringify({ turn_id: "t", stages }))?.totalMs).toBe(300);
});

it.each(["", "null", "7", "[]", '{"turn_id": 1, "stages": []}', '{"turn_id": "t"}'])("gives nothing for %j", (json) =>
  expect(readWaterfall(json)).toBeUndefined(),
);

it("leaves out stages that are none", () => {
  const stages = [null, { name: "x" }, { name: "y", start_ms: "0", end_ms: 1 }];
  expect(readWaterfall(JSON.stringify({ turn_id: "t", stages }))?.stages).toEqual([]);
});

it("takes percentiles by nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect([percentile(values, 0.5), percentile(values, 0.95), percentile([7], 0.95)]).toEqual([50, 95, 7]);
  expect(percentile([], 0.5)).toBeUndefined();
});
