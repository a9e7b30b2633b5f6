/** The `/ws` door: voice in the browser without LiveKit. */

import { ParleyError } from "./errors.js";
import type { AudioChunkMeta, ServerMessage } from "./voice_messages.js";

export interface Character {
  id: string;
  name: string;
  voice?: string;
  speed?: number;
  instructions: string;
}

export interface VoiceSocketOptions {
  /** Origin of the backend; the page's own by default. */
  baseUrl?: string;
  /** API key, where the backend asks for one. */
  key?: string;
  /** Flow that answers and greets; the backend's choice by default. */
  flow?: string;
  /** Ask for `session` and `waterfall` messages. */
  details?: boolean;
}

export interface VoiceSocketHandlers {
  onOpen?: () => void;
  onMessage?: (message: ServerMessage) => void;
  /** PCM16 mono, little-endian, at the rate of the last `audio_stream_start`. */
  onAudio?: (pcm: ArrayBuffer, meta: AudioChunkMeta) => void;
  /** The connection is gone; `error` is set unless `close` was called. */
  onClose?: (error: ParleyError | undefined) => void;
}

const FULL_BYTES = 256 * 1024;

/** One connection. It does not reconnect: make a new one. */
export class VoiceSocket {
  private readonly socket: WebSocket;
  private meta: AudioChunkMeta | undefined;
  private closing = false;

  constructor(
    private readonly handlers: VoiceSocketHandlers,
    options: VoiceSocketOptions = {},
  ) {
    // Browsers set no headers on a WebSocket: the key travels as a subprotocol.
    const protocols = options.key ? ["parley", `parley.key.${options.key}`] : [];
    this.socket = new WebSocket(address(options), protocols);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => handlers.onOpen?.();
    this.socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.receive(event.data);
    this.socket.onclose = (event) => {
      const error = this.closing
        ? undefined
        : new ParleyError(
            event.code === 1006 ? "network" : `closed_${event.code}`,
            event.reason || "The connection to the server is gone.",
            undefined,
            event.code !== 1008,
          );
      handlers.onClose?.(error);
    };
  }

  private receive(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      if (this.meta) this.handlers.onAudio?.(data, this.meta);
      this.meta = undefined;
      return;
    }
    const message = JSON.parse(data) as ServerMessage;
    if (message.type === "audio_chunk_meta") this.meta = message;
    this.handlers.onMessage?.(message);
  }

  get open(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  sendText(text: string): void {
    this.send({ type: "user_message", data: { text } });
  }

  /** Announces microphone audio; binary frames may follow. */
  startListening(sampleRate = 16_000): void {
    this.send({ type: "start_listening", data: { sample_rate: sampleRate } });
  }

  stopListening(): void {
    this.send({ type: "stop_listening" });
  }

  /** PCM16 mono, little-endian. Dropped, not queued, when the network cannot keep up. */
  sendAudio(pcm: ArrayBuffer): void {
    if (this.open && !this.stalled) this.socket.send(pcm);
  }

  setModel(settings: { model?: string; temperature?: number } & Record<string, unknown>): void {
    this.send({ type: "model_settings", data: settings });
  }

  setCharacters(characters: Character[]): void {
    this.send({ type: "set_characters", data: characters });
  }

  interrupt(): void {
    this.send({ type: "interrupt" });
  }

  private send(message: unknown): void {
    if (this.open) this.socket.send(JSON.stringify(message));
  }

  /** Audio that the network has not taken yet; it stays full while nobody is there. */
  get stalled(): boolean {
    return this.socket.bufferedAmount >= FULL_BYTES;
  }

  close(): void {
    this.closing = true;
    this.socket.close(1000);
  }
}

function address({ baseUrl, flow, details }: VoiceSocketOptions): string {
  const url = new URL("/ws", baseUrl ?? location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (flow) url.searchParams.set("flow", flow);
  if (details) url.searchParams.set("details", "true");
  return url.href;
}
