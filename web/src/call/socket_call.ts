/** A call over `/ws`, for machines without a LiveKit server. */

import { type Character, GaplessPlayer, type ParleyError, type ServerMessage, VoiceSocket } from "@parley/client";
import { Call, microphoneProblem } from "./call";
import { Microphone } from "./microphone";

const RECONNECT_DELAYS_MS = [250, 500, 1000, 2000, 4000, 8000];

export class SocketCall extends Call {
  override readonly kind = "socket";
  private readonly context = new AudioContext({ latencyHint: "interactive" });
  private readonly player = new GaplessPlayer(this.context);
  private recorded: MediaStreamAudioDestinationNode | undefined;
  private readonly analyser = this.context.createAnalyser();
  private readonly microphone = new Microphone(this.context, (pcm) => this.socket?.sendAudio(pcm));
  private socket: VoiceSocket | undefined;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private ended = false;
  private sampleRate = 24_000;
  private voicing: string | undefined;
  private hypothesis = 0;

  constructor(private readonly characters: readonly Character[] = []) {
    super();
    this.analyser.fftSize = 256;
    this.player.output.connect(this.analyser);
    this.player.onidle = () => {
      if (!this.voicing && this.getSnapshot().state === "speaking") this.update({ state: "listening" });
    };
  }

  override async start(): Promise<void> {
    await this.context.resume();
    try {
      await this.microphone.open();
    } catch (error) {
      this.update({ problem: microphoneProblem(error), muted: true });
    }
    if (!this.ended) this.connect();
  }

  private connect(): void {
    this.socket = new VoiceSocket({
      onOpen: () => {
        this.failures = 0;
        if (this.characters.length > 0) this.socket?.setCharacters([...this.characters]);
        if (!this.getSnapshot().muted) this.socket?.startListening(this.context.sampleRate);
        this.log("connected", "/ws");
        const { problem } = this.getSnapshot();
        this.update({
          state: "listening",
          problem: problem?.code === "server_down" ? undefined : problem,
        });
      },
      onMessage: (message) => this.receive(message),
      onAudio: (pcm, meta) => {
        if (meta.message_id !== this.voicing) return;
        void this.player.enqueuePcm16(pcm, this.sampleRate);
        this.update({ state: "speaking" });
      },
      onClose: (error) => this.onClose(error),
    });
  }

  private onClose(error: ParleyError | undefined): void {
    this.player.stop();
    this.voicing = undefined;
    if (this.ended || !error) return;
    this.log("disconnected", error.message);
    if (!error.retryable) {
      this.fail({ code: "token_rejected", detail: error.message });
      void this.release();
      return;
    }
    const delay = RECONNECT_DELAYS_MS[Math.min(this.failures, RECONNECT_DELAYS_MS.length - 1)];
    this.failures += 1;
    const full = error.code === "closed_1013";
    this.update({
      state: "reconnecting",
      ...(this.failures > 1 && {
        problem: full ? { code: "room_full" as const } : { code: "server_down" as const },
      }),
    });
    this.timer = setTimeout(() => this.connect(), delay);
  }

  private receive(message: ServerMessage): void {
    switch (message.type) {
      case "stt_update":
        this.line(`heard-${this.hypothesis}`, "user", { text: message.data.text });
        break;
      case "stt_finished":
        this.line(`heard-${this.hypothesis}`, "user", { text: message.data.text, open: false });
        this.hypothesis += 1;
        if (message.data.text) this.update({ state: "thinking" });
        break;
      case "text_stream_start":
        this.line(message.data.message_id, "agent", { name: message.data.character_name });
        break;
      case "text_chunk": {
        const line = this.getSnapshot().lines.find(({ id }) => id === message.data.message_id);
        if (line?.interrupted) break;
        this.line(message.data.message_id, "agent", { text: (line?.text ?? "") + message.data.text });
        break;
      }
      case "text_stream_stop":
        this.line(message.data.message_id, "agent", { open: false });
        break;
      case "audio_stream_start":
        this.voicing = message.data.message_id;
        this.sampleRate = message.data.sample_rate;
        break;
      case "audio_complete":
        this.voicing = undefined;
        if (!this.player.playing) this.update({ state: "listening" });
        break;
      case "interrupted":
        this.player.stop();
        this.voicing = undefined;
        this.line(message.data.message_id, "agent", {
          text: message.data.heard_text,
          interrupted: true,
          open: false,
        });
        this.log("interrupted", message.data.message_id);
        this.update({ state: "listening" });
        break;
      case "error":
        this.log("error", `${message.data.code}: ${message.data.message}`);
        this.update({ problem: { code: "failed", detail: message.data.message } });
        break;
      case "audio_chunk_meta":
        break;
    }
  }

  override async end(): Promise<void> {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket?.close();
    await this.release();
    this.update({ state: "ended" });
  }

  private async release(): Promise<void> {
    this.ended = true;
    this.microphone.close();
    if (this.context.state !== "closed") await this.player.close();
  }

  override async setMuted(muted: boolean): Promise<void> {
    if (muted) {
      this.socket?.stopListening();
      this.microphone.close();
      this.update({ muted });
      return;
    }
    try {
      await this.microphone.open();
      this.socket?.startListening(this.context.sampleRate);
      this.update({ muted, problem: undefined });
    } catch (error) {
      this.update({ problem: microphoneProblem(error) });
    }
  }

  override sendText(text: string): void {
    this.line(`typed-${Date.now()}`, "user", { text, open: false });
    this.socket?.sendText(text);
    this.update({ state: "thinking", problem: undefined });
  }

  override interrupt(): void {
    this.socket?.interrupt();
    this.player.stop();
  }

  override streams(): MediaStream[] {
    this.recorded ??= this.context.createMediaStreamDestination();
    this.analyser.connect(this.recorded);
    return [this.recorded.stream, ...(this.microphone.opened ? [this.microphone.opened] : [])];
  }

  override setVolume(volume: number): void {
    this.player.volume = volume;
  }

  override async setMicrophone(deviceId: string): Promise<void> {
    try {
      await this.microphone.open(deviceId);
    } catch (error) {
      this.update({ problem: microphoneProblem(error) });
    }
  }

  override async setSpeaker(deviceId: string): Promise<void> {
    const context = this.context as AudioContext & { setSinkId?: (id: string) => Promise<void> };
    await context.setSinkId?.(deviceId);
  }

  /** Levels of the agent's voice, 0 to 1, from low to high, for drawing. */
  agentLevels(bands: number): number[] {
    const bins = new Uint8Array(this.analyser.frequencyBinCount);
    this.analyser.getByteFrequencyData(bins);
    const each = Math.floor((bins.length * 0.6) / bands);
    return Array.from({ length: bands }, (_, band) => {
      const part = bins.subarray(band * each, (band + 1) * each);
      return part.reduce((sum, value) => sum + value, 0) / (part.length * 255);
    });
  }
}
