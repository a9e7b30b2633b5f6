/** A call over `/ws`, for machines without a LiveKit server. */

import {
  type AudioChunkMeta,
  type Character,
  GaplessPlayer,
  type ParleyError,
  type ServerMessage,
  SpokenText,
  VoiceSocket,
} from "@parley/client";
import { call as request } from "../api";
import { apiKey } from "../key";
import { Call, microphoneProblem } from "./call";
import { Microphone } from "./microphone";
import { Redial } from "./redial";
import { watchSleep } from "./sleep";
import { waterfallFrom } from "./waterfall";

/** Missed time after which the server has given the connection up (its ping waits 20 s and 20 s). */
const ASLEEP_MS = 30_000;
/** How long the network may take nothing before it counts as gone. */
const STALLED_MS = 8000;
/** How often the words are brought into step with the voice. */
const WORDS_MS = 40;

export interface SocketCallOptions {
  /** Flow that answers; the server's choice by default. */
  flow?: string | undefined;
  /** Who answers in the flow's place. */
  characters?: readonly Character[] | undefined;
}

/** The answer that is being spoken; its line shows the words that have sounded. */
interface Answer {
  id: string;
  name: string;
  words: SpokenText;
  timer: ReturnType<typeof setInterval>;
  /** All of its sound has come. */
  whole: boolean;
  /** It ends with its text: there may be no more sound. */
  failed: boolean;
}

export class SocketCall extends Call {
  override readonly kind = "socket";
  private readonly context = new AudioContext({ latencyHint: "interactive" });
  private readonly player = new GaplessPlayer(this.context);
  private recorded: MediaStreamAudioDestinationNode | undefined;
  private readonly analyser = this.context.createAnalyser();
  private readonly microphone = new Microphone(
    this.context,
    (pcm) => this.sendAudio(pcm),
    () => this.update({ problem: { code: "microphone_missing" }, muted: true }),
  );
  private readonly stopWatching = watchSleep(ASLEEP_MS, (missedMs) => {
    this.log("woke", `${Math.round(missedMs / 1000)} s`);
    this.reconnect();
  });
  private socket: VoiceSocket | undefined;
  private stalledSinceMs: number | undefined;
  private readonly redial = new Redial();
  private ended = false;
  private sampleRate = 24_000;
  private voicing: string | undefined;
  private answer: Answer | undefined;
  /** Message whose sound the user has stopped; more of it may be on its way. */
  private stopped: string | undefined;
  private hypothesis = 0;
  private typed = 0;

  constructor(private readonly options: SocketCallOptions = {}) {
    super();
    this.analyser.fftSize = 256;
    this.player.output.connect(this.analyser);
    this.player.onidle = () => {
      if (this.answer?.whole) this.endAnswer();
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
    const { flow, characters = [] } = this.options;
    const key = apiKey();
    this.socket = new VoiceSocket(
      {
        onOpen: () => {
          if (characters.length > 0) this.socket?.setCharacters([...characters]);
          if (!this.getSnapshot().muted) this.socket?.startListening(this.context.sampleRate);
          this.log("connected", "/ws");
          this.redial.opened(() => this.connected());
          if (!this.toldAway) this.connected();
        },
        onMessage: (message) => this.receive(message),
        onAudio: (pcm, meta) => void this.play(pcm, meta),
        onClose: (error) => this.onClose(error),
      },
      { details: true, ...(key && { key }), ...(flow && characters.length === 0 && { flow }) },
    );
  }

  /** The server took the last connection only to end it, and said why. */
  private get toldAway(): boolean {
    const code = this.getSnapshot().problem?.code;
    return code === "room_full" || code === "cut_off";
  }

  /** Somebody listens at the other end. */
  private connected(): void {
    const { problem, state } = this.getSnapshot();
    const solved = problem?.code === "server_down" || this.toldAway;
    const fresh = state === "connecting" || state === "reconnecting";
    this.update({ ...(fresh && { state: "listening" }), problem: solved ? undefined : problem });
  }

  private sendAudio(pcm: ArrayBuffer): void {
    this.socket?.sendAudio(pcm);
    if (!this.socket?.stalled) this.stalledSinceMs = undefined;
    else if (this.stalledSinceMs === undefined) this.stalledSinceMs = Date.now();
    else if (Date.now() - this.stalledSinceMs > STALLED_MS) this.reconnect();
  }

  /** Gives up a connection that is dead without having said so. */
  private reconnect(): void {
    if (this.ended || !this.socket?.open) return;
    this.stalledSinceMs = undefined;
    this.redial.stop();
    this.socket.close();
    this.forgetAnswer();
    this.log("disconnected", "given up");
    this.update({ state: "reconnecting" });
    this.connect();
  }

  private async play(pcm: ArrayBuffer, meta: AudioChunkMeta): Promise<void> {
    if (meta.message_id !== this.voicing) return;
    this.update({ state: "speaking" });
    const { answer } = this;
    const sounding = await this.player.enqueuePcm16(pcm, this.sampleRate);
    if (sounding) answer?.words.sounds(meta.sentence_index, sounding);
  }

  private beginAnswer(id: string, name: string): void {
    this.endAnswer();
    const timer = setInterval(() => this.showWords(), WORDS_MS);
    this.answer = { id, name, words: new SpokenText(), timer, whole: false, failed: false };
  }

  private showWords(): void {
    if (!this.answer) return;
    const { id, name, words } = this.answer;
    // Without an audio clock nothing sounds, which is no reason to hide what is said.
    if (this.context.state !== "running") words.showSoFar();
    const text = words.shownAt(this.player.audibleAt);
    const before = this.getSnapshot().lines.find((line) => line.id === id)?.text ?? "";
    if (text !== before) this.line(id, "agent", { text, name });
  }

  /** All of it has sounded, or there is no sound to wait for. */
  private endAnswer(): void {
    this.answer?.words.showAll();
    this.closeAnswer({});
  }

  private closeAnswer(change: { interrupted?: boolean }): void {
    if (!this.answer) return;
    const { id, name } = this.answer;
    this.showWords();
    this.dropAnswer();
    this.line(id, "agent", { name, open: false, ...change });
  }

  private dropAnswer(): void {
    clearInterval(this.answer?.timer);
    this.answer = undefined;
  }

  private forgetAnswer(): void {
    this.closeAnswer({ interrupted: true });
    this.player.stop();
    this.voicing = undefined;
    for (const line of this.getSnapshot().lines)
      if (line.open) this.line(line.id, line.who, { open: false, interrupted: line.who === "agent" });
  }

  private onClose(error: ParleyError | undefined): void {
    if (!error) return; // closed by us
    this.forgetAnswer();
    if (this.ended) return;
    this.log("disconnected", error.message);
    if (!error.retryable) {
      this.fail({ code: "failed", detail: error.message });
      void this.release();
      return;
    }
    const problem = this.redial.closed(error, this.getSnapshot().problem, () => this.connect());
    this.update({ state: "reconnecting", problem });
    if (error.code === "network") void this.askWhy();
  }

  /** A browser hides why a WebSocket was refused; the same server's status tells. */
  private async askWhy(): Promise<void> {
    const refusal = await request("/api/status").then(
      () => undefined,
      (error: ParleyError) => error,
    );
    if (!refusal || this.ended || this.socket?.open) return;
    if (refusal.code === "overloaded" || refusal.code === "rate_limited") {
      this.update({ problem: { code: "room_full" } });
    } else if (refusal.status === 401 || refusal.status === 403) {
      this.fail({ code: "token_rejected", detail: refusal.message, error: refusal.code });
      void this.release();
    }
  }

  private receive(message: ServerMessage): void {
    switch (message.type) {
      case "stt_update":
        this.line(`heard-${this.hypothesis}`, "user", { text: message.text });
        break;
      case "stt_finished":
        this.line(`heard-${this.hypothesis}`, "user", { text: message.text, open: false });
        this.hypothesis += 1;
        if (message.text) this.update({ state: "thinking" });
        break;
      case "text_stream_start":
        this.beginAnswer(message.message_id, message.character_name);
        break;
      case "text_chunk":
        if (this.answer?.id === message.message_id) this.answer.words.add(message.text);
        break;
      case "text_stream_stop":
        if (this.answer?.failed) this.endAnswer();
        break;
      case "spoken_words":
        if (this.answer?.id === message.message_id) this.answer.words.words(message);
        break;
      case "audio_stream_start":
        if (message.message_id === this.stopped) break;
        this.voicing = message.message_id;
        this.sampleRate = message.sample_rate;
        if (this.answer) this.line(this.voicing, "agent", { name: this.answer.name, soundsAtMs: performance.now() });
        break;
      case "audio_complete":
        this.voicing = undefined;
        if (this.answer) this.answer.whole = true;
        if (this.player.playing) break;
        this.endAnswer();
        this.update({ state: "listening" });
        break;
      case "interrupted":
        this.player.stop();
        this.voicing = undefined;
        this.line(message.message_id, "agent", {
          ...(this.answer && { name: this.answer.name }),
          text: message.heard_text,
          interrupted: true,
          estimated: message.estimated,
          open: false,
        });
        this.dropAnswer();
        this.log("interrupted", message.heard_text);
        this.update({ state: "listening" });
        break;
      case "session":
        this.update({ session: { flowId: message.flow_id, sessionId: message.session_id } });
        break;
      case "waterfall": {
        const waterfall = waterfallFrom(message);
        if (!waterfall) break;
        this.waterfall(waterfall);
        this.log("turn", `${Math.round(waterfall.totalMs)} ms`);
        break;
      }
      case "error":
        if (message.code === "session_ended") {
          void this.end().then(() => this.update({ problem: { code: "hung_up" } }));
          break;
        }
        if (this.answer) {
          this.answer.words.showAll();
          this.answer.failed = true;
        }
        this.log("error", `${message.code}: ${message.message}`);
        this.update({ problem: { code: "failed", detail: message.message, error: message.code }, state: "listening" });
        break;
      case "audio_chunk_meta":
        break;
    }
  }

  override async end(): Promise<void> {
    await this.release();
    this.update({ state: "ended" });
  }

  private async release(): Promise<void> {
    this.ended = true;
    this.closeAnswer({});
    this.redial.stop();
    this.stopWatching();
    this.socket?.close();
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
    this.typed += 1;
    this.line(`typed-${this.typed}`, "user", { text, open: false });
    this.socket?.sendText(text);
    this.update({ state: "thinking", problem: undefined });
  }

  /** Others answer from now on; what was said so far is forgotten at the server. */
  setCharacters(characters: readonly Character[]): void {
    this.options.characters = characters;
    this.socket?.setCharacters([...characters]);
  }

  override interrupt(): void {
    this.socket?.interrupt();
    this.stopped = this.answer?.id;
    this.closeAnswer({ interrupted: true });
    this.player.stop();
    this.voicing = undefined;
    this.update({ state: "listening" });
  }

  override streams(): { user?: MediaStream; agent?: MediaStream } {
    this.recorded ??= this.context.createMediaStreamDestination();
    this.analyser.connect(this.recorded);
    const user = this.microphone.opened;
    return { agent: this.recorded.stream, ...(user && { user }) };
  }

  override setVolume(volume: number): void {
    this.player.volume = volume;
  }

  override async setMicrophone(deviceId: string): Promise<void> {
    this.microphone.deviceId = deviceId;
    if (!this.microphone.opened) return;
    try {
      await this.microphone.open();
    } catch (error) {
      this.update({ problem: microphoneProblem(error) });
    }
  }

  override async setSpeaker(deviceId: string): Promise<void> {
    const context = this.context as AudioContext & { setSinkId?: (id: string) => Promise<void> };
    // A speaker that is gone: the one before goes on.
    await context.setSinkId?.(deviceId).catch(() => undefined);
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
