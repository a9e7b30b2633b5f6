/** Reading the worker's account of a turn (topic `parley.waterfall`). */

import type { Waterfall } from "./call";

export const WATERFALL_TOPIC = "parley.waterfall";

/** Gives nothing for data that is not a waterfall: anyone in a room can send to a topic. */
export function readWaterfall(json: string): Waterfall | undefined {
  try {
    return waterfallFrom(JSON.parse(json));
  } catch {
    return undefined;
  }
}

export function waterfallFrom(data: unknown): Waterfall | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { turn_id, stages, total_ms, interrupted, heard_text, estimated } = data as Record<string, unknown>;
  if (typeof turn_id !== "string" || !Array.isArray(stages)) return undefined;
  const read = stages.flatMap((stage: unknown) => {
    const { name, start_ms, end_ms } = (stage ?? {}) as Record<string, unknown>;
    return typeof name === "string" && Number.isFinite(start_ms) && Number.isFinite(end_ms)
      ? [{ name, startMs: start_ms as number, endMs: end_ms as number }]
      : [];
  });
  const totalMs =
    typeof total_ms === "number" ? total_ms : Math.max(0, ...read.map((stage) => stage.endMs));
  return {
    turnId: turn_id,
    stages: read,
    totalMs,
    interrupted: interrupted === true,
    ...(typeof heard_text === "string" && { heardText: heard_text, estimated: estimated === true }),
  };
}

/** The value below which a share `p` (0 to 1) of the numbers lies (nearest rank). */
export function percentile(values: readonly number[], p: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(p * sorted.length) - 1))];
}
