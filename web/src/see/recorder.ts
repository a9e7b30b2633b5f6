/** A recording of both sides of a call, with the time of each line; it stays in the browser. */

import type { Call, Line } from "../call/call";

export interface Recording {
  sound: Blob;
  /** Seconds from the beginning at which each line began. */
  lines: readonly (Line & { atS: number })[];
}

export class Recorder {
  private readonly context = new AudioContext();
  private readonly mix = this.context.createMediaStreamDestination();
  private readonly recorder = new MediaRecorder(this.mix.stream);
  private readonly pieces: Blob[] = [];
  private readonly mixed = new Set<string>();
  private readonly beganAt = new Map<string, number>();
  private readonly startedAt = performance.now();
  private readonly unsubscribe: () => void;

  constructor(private readonly call: Call) {
    this.recorder.ondataavailable = ({ data }) => this.pieces.push(data);
    this.recorder.start(1000);
    this.unsubscribe = call.subscribe(this.follow);
    for (const line of call.getSnapshot().lines) this.beganAt.set(line.id, 0);
    this.follow();
  }

  /** Voices come and go, as on a change of microphone or after a reconnect. */
  private readonly follow = (): void => {
    const now = (performance.now() - this.startedAt) / 1000;
    for (const { id } of this.call.getSnapshot().lines)
      if (!this.beganAt.has(id)) this.beganAt.set(id, now);
    for (const stream of this.call.streams()) {
      const [track] = stream.getAudioTracks();
      if (!track || this.mixed.has(track.id)) continue;
      this.mixed.add(track.id);
      this.context.createMediaStreamSource(stream).connect(this.mix);
    }
  };

  async stop(): Promise<Recording> {
    this.unsubscribe();
    const { lines } = this.call.getSnapshot();
    if (this.recorder.state !== "inactive") {
      await new Promise((resolve) => {
        this.recorder.onstop = resolve;
        this.recorder.stop();
      });
    }
    await this.context.close();
    return {
      sound: new Blob(this.pieces, { type: this.recorder.mimeType }),
      lines: lines.map((line) => ({ ...line, atS: this.beganAt.get(line.id) ?? 0 })),
    };
  }
}
