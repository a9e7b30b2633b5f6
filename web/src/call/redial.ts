/** When a connection that is gone is tried again, and what is said of it meanwhile. */

import type { ParleyError } from "@parley/client";
import { type Problem, RECONNECT_DELAYS_MS } from "./call";

/** A connection that lasted so long was a call: the next loss begins with the shortest delay. */
export const SETTLED_MS = 2000;

export class Redial {
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * A full server takes a page's connection in order to say so, and closes it: one that has opened
   * counts only once it has lasted.
   */
  opened(onSettled: () => void): void {
    this.stop();
    this.timer = setTimeout(() => {
      this.failures = 0;
      onSettled();
    }, SETTLED_MS);
  }

  /** Plans the next try. `problem` is what is said so far. */
  closed(error: ParleyError, problem: Problem | undefined, again: () => void): Problem | undefined {
    this.stop();
    const delay = RECONNECT_DELAYS_MS[Math.min(this.failures, RECONNECT_DELAYS_MS.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(again, delay);
    if (error.code === "closed_1013") return { code: "room_full" };
    if (error.code === "closed_1011") return { code: "cut_off", detail: error.message };
    return this.failures > 1 && problem?.code !== "room_full" ? { code: "server_down" } : problem;
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
