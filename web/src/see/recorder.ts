/** A recording of both sides of a call, with the time of each line; it stays in the browser. */

import type { Call, Line } from "../call/call";
import { withDuration } from "./webm_duration";

export interface Recording {
  sound: Blob;
  /** Seconds from the beginning at which each line began to sound. */
  lines: readonly (Line & { atS: number })[];
}

const LISTEN_MS = 40;
const AUDIBLE = 0.012;
/** Silence that parts one utterance of the user from the next. */
const PAUSE_MS = 600;

export class Recorder {
  private readonly context = new AudioContext();
  private readonly mix = this.context.createMediaStreamDestination();
  private readonly recorder = new MediaRecorder(this.mix.stream);
  private readonly pieces: Blob[] = [];
  private readonly mixed = new Set<string>();
  private readonly ear = this.context.createAnalyser();
  /** When lines came, and when the user began to be heard (`performance.now()`). */
  private readonly cameAt = new Map<string, number>();
  private readonly onsets: number[] = [];
  private heardAt = Number.NEGATIVE_INFINITY;
  private startedAt = performance.now();
  private readonly unsubscribe: () => void;
  private readonly listening: ReturnType<typeof setInterval>;

  constructor(private readonly call: Call) {
    this.recorder.ondataavailable = ({ data }) => this.pieces.push(data);
    this.recorder.onstart = () => {
      this.startedAt = performance.now();
    };
    this.recorder.start(1000);
    this.unsubscribe = call.subscribe(this.follow);
    this.listening = setInterval(this.listen, LISTEN_MS);
    this.follow();
  }

  /** Voices come and go, as on a change of microphone or after a reconnect. */
  private readonly follow = (): void => {
    for (const { id } of this.call.getSnapshot().lines)
      if (!this.cameAt.has(id)) this.cameAt.set(id, performance.now());
    for (const [who, stream] of Object.entries(this.call.streams())) {
      const [track] = stream.getAudioTracks();
      if (!track || this.mixed.has(track.id)) continue;
      this.mixed.add(track.id);
      const source = this.context.createMediaStreamSource(stream);
      source.connect(this.mix);
      if (who === "user") source.connect(this.ear);
    }
  };

  private readonly listen = (): void => {
    const samples = new Float32Array(this.ear.fftSize);
    this.ear.getFloatTimeDomainData(samples);
    if (Math.hypot(...samples) / Math.sqrt(samples.length) < AUDIBLE) return;
    const now = performance.now();
    if (now - this.heardAt > PAUSE_MS) this.onsets.push(now);
    this.heardAt = now;
  };

  async stop(): Promise<Recording> {
    this.unsubscribe();
    clearInterval(this.listening);
    const { lines } = this.call.getSnapshot();
    if (this.recorder.state !== "inactive") {
      await new Promise((resolve) => {
        this.recorder.onstop = resolve;
        this.recorder.stop();
      });
    }
    const durationMs = performance.now() - this.startedAt;
    await this.context.close();
    const sound = new Blob(this.pieces, { type: this.recorder.mimeType });
    const begins = beginnings(lines, this.cameAt, this.onsets);
    return {
      sound: await withDuration(sound, durationMs),
      lines: lines.map((line, index) => ({
        ...line,
        atS: Math.max(0, ((begins[index] ?? 0) - this.startedAt) / 1000),
      })),
    };
  }
}

/**
 * When each line began to sound: the agent's where the call says so; the user's at the last time
 * before the words came that a voice began, for words come after the voice; else when it came.
 */
export function beginnings(
  lines: readonly Line[],
  cameAt: ReadonlyMap<string, number>,
  onsets: readonly number[],
): number[] {
  let before = Number.NEGATIVE_INFINITY;
  return lines.map((line) => {
    const came = cameAt.get(line.id) ?? 0;
    if (line.who === "agent") return line.soundsAtMs ?? came;
    const after = before;
    before = came;
    return onsets.findLast((at) => at <= came && at > after) ?? came;
  });
}
