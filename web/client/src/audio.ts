/** Playing what the backend speaks: base64 pieces, and a player that joins pieces without gaps. */

export function bytesFromBase64(base64: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/**
 * Plays one whole piece of audio and resolves when it has ended or the signal stops it.
 * @throws DOMException `EncodingError` when the browser cannot decode it.
 */
export async function playBase64Audio(
  base64: string,
  { context, signal }: { context?: AudioContext; signal?: AbortSignal } = {},
): Promise<void> {
  const own = context === undefined;
  const audio = context ?? new AudioContext();
  try {
    const buffer = await audio.decodeAudioData(bytesFromBase64(base64).buffer);
    if (signal?.aborted) return;
    await audio.resume();
    const source = audio.createBufferSource();
    source.buffer = buffer;
    source.connect(audio.destination);
    await new Promise<void>((resolve) => {
      source.onended = () => resolve();
      signal?.addEventListener("abort", () => source.stop(), { once: true });
      source.start();
    });
  } finally {
    if (own) await audio.close();
  }
}

/** Little-endian PCM16 as floats of −1 to 1; an odd last byte is ignored. */
export function floatsFromPcm16(bytes: ArrayBuffer): Float32Array<ArrayBuffer> {
  const view = new DataView(bytes);
  const samples = new Float32Array(bytes.byteLength >> 1);
  for (let at = 0; at < samples.length; at++) samples[at] = view.getInt16(at * 2, true) / 32768;
  return samples;
}

/** When a piece sounds, in seconds of its context's clock. */
export interface Sounding {
  readonly startsAt: number;
  readonly endsAt: number;
}

interface Scheduled extends Sounding {
  source: AudioBufferSourceNode;
}

/**
 * Joins pieces sample to sample on the audio clock. Pieces are queued in the order of the calls,
 * even when decoding them takes different times.
 */
export class GaplessPlayer {
  /** Called when the last queued piece has ended by itself. */
  onidle: (() => void) | undefined;
  readonly output: GainNode;
  private readonly scheduled = new Set<Scheduled>();
  private tail: Promise<void> = Promise.resolve();
  private pending = 0;
  private generation = 0;
  private nextAt = 0;
  private playedBefore = 0;

  constructor(
    readonly context: AudioContext = new AudioContext({ latencyHint: "interactive" }),
    /** Seconds between the first piece's arrival and its sound; covers uneven arrival. */
    private readonly leadSeconds = 0.03,
  ) {
    this.output = context.createGain();
    this.output.connect(context.destination);
  }

  /** Queues an encoded piece (WAV, MP3, Opus) given as base64. */
  enqueueBase64(base64: string): Promise<Sounding | undefined> {
    return this.enqueueEncoded(bytesFromBase64(base64).buffer);
  }

  /** Queues an encoded piece; resolves when it is scheduled, with nothing if `stop` came before. */
  enqueueEncoded(encoded: ArrayBuffer): Promise<Sounding | undefined> {
    const decoded = this.context.decodeAudioData(encoded);
    return this.enqueue(decoded);
  }

  /** Queues raw PCM16, mono, little-endian; resolves as `enqueueEncoded` does. */
  enqueuePcm16(pcm: ArrayBuffer, sampleRate: number): Promise<Sounding | undefined> {
    const samples = floatsFromPcm16(pcm);
    if (samples.length === 0) return Promise.resolve(undefined);
    const buffer = this.context.createBuffer(1, samples.length, sampleRate);
    buffer.copyToChannel(samples, 0);
    return this.enqueue(Promise.resolve(buffer));
  }

  private enqueue(ready: Promise<AudioBuffer>): Promise<Sounding | undefined> {
    const { generation } = this;
    this.pending += 1;
    ready.catch(() => undefined);
    const queued = this.tail.then(async () => {
      try {
        const buffer = await ready;
        return generation === this.generation ? this.schedule(buffer) : undefined;
      } finally {
        this.pending -= 1;
        this.idleIfDone();
      }
    });
    this.tail = queued.catch(() => undefined).then(() => undefined);
    return queued;
  }

  private schedule(buffer: AudioBuffer): Sounding {
    void this.context.resume();
    const startsAt = Math.max(this.nextAt, this.context.currentTime + (this.scheduled.size > 0 ? 0 : this.leadSeconds));
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.output);
    const entry = { source, startsAt, endsAt: startsAt + buffer.duration };
    this.scheduled.add(entry);
    source.onended = () => {
      if (!this.scheduled.delete(entry)) return;
      this.playedBefore += entry.endsAt - entry.startsAt;
      this.idleIfDone();
    };
    source.start(startsAt);
    this.nextAt = entry.endsAt;
    return entry;
  }

  private idleIfDone(): void {
    if (!this.playing) this.onidle?.();
  }

  /** Something is queued or sounding. */
  get playing(): boolean {
    return this.pending > 0 || this.scheduled.size > 0;
  }

  /** What of the context's clock is audible now: the device is behind `currentTime`. */
  get audibleAt(): number {
    return this.context.currentTime - (this.context.outputLatency || 0);
  }

  /** Seconds of audio that have been heard since the player was made or stopped. */
  get playedSeconds(): number {
    const now = this.context.currentTime;
    let played = this.playedBefore;
    for (const { startsAt, endsAt } of this.scheduled) {
      played += Math.min(Math.max(now - startsAt, 0), endsAt - startsAt);
    }
    return played;
  }

  /** Silences at once, forgets the queue, and gives the seconds that had been heard. */
  stop(): number {
    const played = this.playedSeconds;
    this.generation += 1;
    const entries = [...this.scheduled];
    this.scheduled.clear();
    for (const { source } of entries) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.nextAt = 0;
    this.playedBefore = 0;
    return played;
  }

  /** 0 to 1. */
  set volume(value: number) {
    this.output.gain.value = Math.min(1, Math.max(0, value));
  }

  /** Stops and gives the audio device back. */
  async close(): Promise<void> {
    this.stop();
    await this.context.close();
  }
}
