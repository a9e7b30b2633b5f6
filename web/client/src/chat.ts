/** `POST /api/chat/stream`: text and speech of one answer (named events, raw data). */

import { ParleyError, request } from "./errors.js";
import { readEvents } from "./sse.js";

export interface ChatOptions {
  /** Origin of the backend; the page's own by default. */
  baseUrl?: string;
  sessionId?: string;
  voice?: string;
  /** 1 is the voice's own pace. */
  speed?: number;
  headers?: Record<string, string>;
}

export interface ChatHandlers {
  /** A piece of the answer, as it comes. */
  onText?: (piece: string) => void;
  /** One sentence's audio, base64 of a whole file (WAV unless asked otherwise), in order. */
  onAudio?: (base64: string) => void;
  /** The answer is whole; called once, and not after an error or `close`. */
  onComplete?: (result: { fullText: string; audioChunks: number }) => void;
  /** Something failed; called once. */
  onError?: (error: ParleyError) => void;
}

export interface ChatStream {
  /** Stops the answer at the server too; no handler is called afterwards. */
  close(): void;
  /** Settles when the stream is over, however it ended. */
  readonly finished: Promise<void>;
}

/** Sends a message and calls the handlers as the answer comes. */
export function streamChat(
  message: string,
  handlers: ChatHandlers,
  options: ChatOptions = {},
): ChatStream {
  const abort = new AbortController();
  const run = async (): Promise<void> => {
    const response = await request(`${options.baseUrl ?? ""}/api/chat/stream`, {
      method: "POST",
      headers: { "content-type": "application/json", ...options.headers },
      body: JSON.stringify({
        message,
        session_id: options.sessionId,
        voice: options.voice,
        speed: options.speed,
      }),
      signal: abort.signal,
    });
    if (!response.body) throw new ParleyError("stream_interrupted", "The answer has no body.");
    let fullText = "";
    for await (const { event, data } of readEvents(response.body)) {
      if (abort.signal.aborted) return;
      if (event === "text") {
        fullText += data;
        handlers.onText?.(data);
      } else if (event === "audio") {
        handlers.onAudio?.(data);
      } else if (event === "error") {
        throw new ParleyError("stream_failed", data);
      } else if (event === "done") {
        handlers.onComplete?.({ fullText, audioChunks: Number(data) });
        return;
      }
    }
    throw new ParleyError("stream_interrupted", "The answer broke off.", undefined, true);
  };
  const finished = run().catch((error: unknown) => {
    if (abort.signal.aborted) return;
    handlers.onError?.(
      error instanceof ParleyError
        ? error
        : new ParleyError("stream_interrupted", "The connection broke.", undefined, true),
    );
  });
  return { close: () => abort.abort(), finished };
}
