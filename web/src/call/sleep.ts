/** Notices that the page did not run for a while: a closed laptop, a frozen tab. */

const TICK_MS = 1000;

/** Calls back with the time that was missed, when it was more than `afterMs`. */
export function watchSleep(afterMs: number, onWake: (missedMs: number) => void): () => void {
  let last = Date.now();
  const timer = setInterval(() => {
    const missed = Date.now() - last - TICK_MS;
    last = Date.now();
    if (missed > afterMs) onWake(missed);
  }, TICK_MS);
  return () => clearInterval(timer);
}
