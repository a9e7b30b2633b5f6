/** One call at a time in one browser: a second one would hear the first one's voice. */

const CHANNEL = "parley.call";

/** Tells the other tabs that a call begins here, and calls back when one begins there. */
export function announceCall(onOther: () => void): () => void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = onOther;
  channel.postMessage("began");
  return () => channel.close();
}
