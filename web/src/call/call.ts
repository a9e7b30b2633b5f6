/** One conversation as the page sees it, whichever way it travels. */

export type AgentState =
  | "idle"
  | "connecting"
  | "listening"
  | "thinking"
  | "speaking"
  | "reconnecting"
  | "ended";

export interface Line {
  id: string;
  who: "user" | "agent";
  /** The character's name, where several answer. */
  name?: string;
  text: string;
  /** The words may still change or grow. */
  open: boolean;
  /** The user cut the agent off after `text`. */
  interrupted: boolean;
  /** After which word is a guess: the voice does not tell when they sound. */
  estimated?: boolean;
  /** When its sound began (`performance.now()`), where that differs from when its text came. */
  soundsAtMs?: number;
}

/** What went wrong, as a key of the translations, with the server's own words if it gave some. */
export interface Problem {
  code:
    | "microphone_denied"
    | "microphone_missing"
    | "microphone_busy"
    | "microphone_insecure"
    | "server_down"
    | "cut_off"
    | "room_full"
    | "token_rejected"
    | "may_not_speak"
    | "may_not_hear"
    | "agent_missing"
    | "second_tab"
    | "room_unreachable"
    | "hung_up"
    | "failed";
  detail?: string;
  /** The server's code, where `detail` is its words. */
  error?: string;
}

/** Stages of one turn, milliseconds from the end of the user's speech. */
export interface Waterfall {
  turnId: string;
  stages: { name: string; startMs: number; endMs: number }[];
  totalMs: number;
  interrupted: boolean;
  /** What was heard of an answer that was cut off, where the other side tells it here. */
  heardText?: string;
  /** `heardText` is a guess. */
  estimated?: boolean;
}

export interface LogEntry {
  at: number;
  kind: string;
  text: string;
}

export interface CallSnapshot {
  state: AgentState;
  lines: readonly Line[];
  problem: Problem | undefined;
  muted: boolean;
  waterfalls: readonly Waterfall[];
  log: readonly LogEntry[];
  /** The flow's session behind the call, where the other side tells it. */
  session: { flowId: string; sessionId: string } | undefined;
}

const KEPT_LOG_ENTRIES = 500;
const KEPT_WATERFALLS = 200;

export const NO_CALL: CallSnapshot = {
  state: "idle",
  lines: [],
  problem: undefined,
  muted: false,
  waterfalls: [],
  log: [],
  session: undefined,
};

/** A call is a store that React subscribes to; `start` and `end` happen once each. */
export abstract class Call {
  private snapshot: { -readonly [name in keyof CallSnapshot]: CallSnapshot[name] } = { ...NO_CALL, state: "connecting" };
  private readonly listeners = new Set<() => void>();

  abstract readonly kind: "livekit" | "socket";
  abstract start(): Promise<void>;
  abstract end(): Promise<void>;
  abstract setMuted(muted: boolean): Promise<void>;
  abstract sendText(text: string): void;
  /** Stops the agent's voice. */
  abstract interrupt(): void;
  /** Both sides' sound as it is now, for a recording; nothing where there is none yet. */
  abstract streams(): { user?: MediaStream; agent?: MediaStream };
  abstract setVolume(volume: number): void;
  /** From now on, or from the start if that is still to come; empty: the system's choice. */
  abstract setMicrophone(deviceId: string): Promise<void>;
  abstract setSpeaker(deviceId: string): Promise<void>;
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly getSnapshot = (): CallSnapshot => this.snapshot;

  protected update(change: Partial<CallSnapshot>): void {
    const { state, log } = this.snapshot;
    this.snapshot = { ...this.snapshot, ...change };
    if (change.state && change.state !== state) this.snapshot.log = logged(log, "state", change.state);
    for (const listener of this.listeners) listener();
  }

  /** Ends the call because another tab has begun one: two would hear each other. */
  async takenOver(): Promise<void> {
    if (this.snapshot.state === "ended") return;
    await this.end();
    this.update({ problem: { code: "second_tab" } });
  }

  protected fail(problem: Problem): void {
    this.log("error", problem.detail ?? problem.code);
    this.update({ problem, state: "ended" });
  }

  /** Adds a line, or changes the one with this id; an empty line that closes is dropped. */
  protected line(id: string, who: Line["who"], change: Partial<Omit<Line, "id" | "who">>): void {
    const lines = this.snapshot.lines;
    const at = lines.findIndex((line) => line.id === id);
    const before = lines[at] ?? { id, who, text: "", open: true, interrupted: false };
    const after: Line = { ...before, ...change };
    const next =
      at < 0 ? [...lines, after] : lines.map((line, index) => (index === at ? after : line));
    this.update({
      lines: after.open || after.text.trim() ? next : next.filter((line) => line.id !== id),
    });
  }

  protected waterfall(waterfall: Waterfall): void {
    const others = this.snapshot.waterfalls.filter((w) => w.turnId !== waterfall.turnId);
    this.update({ waterfalls: [...others, waterfall].slice(-KEPT_WATERFALLS) });
  }

  protected log(kind: string, text: string): void {
    this.update({ log: logged(this.snapshot.log, kind, text) });
  }
}

const logged = (log: readonly LogEntry[], kind: string, text: string): readonly LogEntry[] =>
  [...log, { at: Date.now(), kind, text }].slice(-KEPT_LOG_ENTRIES);

/** Waits before each try to connect again; the last one repeats. */
export const RECONNECT_DELAYS_MS = [250, 500, 1000, 2000, 4000, 8000];

/** Browsers lend the microphone only to pages that came over https or from this machine. */
export const microphoneIsLent = (): boolean => globalThis.isSecureContext !== false;

/** Says which microphone problem a `getUserMedia` error is. */
export function microphoneProblem(error: unknown): Problem {
  if (!microphoneIsLent()) return { code: "microphone_insecure" };
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return { code: "microphone_denied" };
  if (name === "NotFoundError" || name === "OverconstrainedError")
    return { code: "microphone_missing" };
  if (name === "NotReadableError" || name === "AbortError") return { code: "microphone_busy" };
  return { code: "failed", detail: error instanceof Error ? error.message : String(error) };
}
