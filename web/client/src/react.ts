/** React hooks on top of the client. */

import { useCallback, useEffect, useRef, useState } from "react";
import { GaplessPlayer } from "./audio.js";
import { type ChatOptions, type ChatStream, streamChat } from "./chat.js";
import type { ParleyError } from "./errors.js";

export interface StreamingChat {
  /** Starts an answer; one that is running is cancelled first. Call it from a user's gesture. */
  sendMessage(message: string): void;
  /** Stops text and voice. */
  cancelStream(): void;
  /** Text is still coming. */
  isStreaming: boolean;
  /** The answer so far. */
  fullText: string;
  error: ParleyError | undefined;
}

/** Streams answers of `/api/chat/stream`, spoken without gaps. */
export function useStreamingChat(
  options: ChatOptions & { speak?: boolean } = {},
): StreamingChat {
  const [isStreaming, setStreaming] = useState(false);
  const [fullText, setFullText] = useState("");
  const [error, setError] = useState<ParleyError>();
  const stream = useRef<ChatStream | undefined>(undefined);
  const player = useRef<GaplessPlayer | undefined>(undefined);
  const latest = useRef(options);
  latest.current = options;

  const cancelStream = useCallback(() => {
    stream.current?.close();
    stream.current = undefined;
    player.current?.stop();
    setStreaming(false);
  }, []);

  const sendMessage = useCallback(
    (message: string) => {
      cancelStream();
      setFullText("");
      setError(undefined);
      setStreaming(true);
      const { speak = true, ...chat } = latest.current;
      if (speak) player.current ??= new GaplessPlayer();
      stream.current = streamChat(
        message,
        {
          onText: (piece) => setFullText((text) => text + piece),
          onAudio: (base64) => {
            if (speak) void player.current?.enqueueBase64(base64).catch(() => undefined);
          },
          onComplete: () => setStreaming(false),
          onError: (problem) => {
            setError(problem);
            setStreaming(false);
          },
        },
        chat,
      );
    },
    [cancelStream],
  );

  useEffect(
    () => () => {
      stream.current?.close();
      void player.current?.close();
      player.current = undefined;
    },
    [],
  );

  return { sendMessage, cancelStream, isStreaming, fullText, error };
}
