/** Sessions and turns of a flow: streams that go on at the next event after a broken connection. */

import { ParleyError, request } from "./errors.js";
import { newId } from "./ids.js";
import type { TurnEvent } from "./events.js";
import { readEvents } from "./sse.js";

export interface FlowClientOptions {
  baseUrl?: string;
  headers?: Record<string, string>;
  /** How often a broken stream is resumed before the error is given on. */
  attempts?: number;
}

export interface SessionOpened {
  session_id: string;
  /** 0 for a document that is tried. */
  flow_version: number;
  greeting: string | null;
}

const TERMINAL = new Set(["done", "error", "cancelled"]);

export class FlowClient {
  private readonly base: string;

  constructor(
    readonly flowId: string,
    private readonly options: FlowClientOptions = {},
  ) {
    this.base = `${options.baseUrl ?? ""}/api/flows/${encodeURIComponent(flowId)}`;
  }

  /** `document` is a flow of the same id to try in place of the published one; nothing of it is kept. */
  async openSession(
    body: { variables?: object; metadata?: object; version?: number; document?: object } = {},
  ): Promise<SessionOpened> {
    const response = await this.call("/sessions", { method: "POST", body: JSON.stringify(body) });
    return (await response.json()) as SessionOpened;
  }

  /** Runs a turn and yields its events; the last one is terminal. Leaving early cancels the turn. */
  async *turn(
    sessionId: string,
    input: string,
    { turnId = newId(), signal }: { turnId?: string; signal?: AbortSignal } = {},
  ): AsyncGenerator<TurnEvent, void, void> {
    const turns = `/sessions/${encodeURIComponent(sessionId)}/turns`;
    const events = `${turns}/${encodeURIComponent(turnId)}`;
    let lastId = "";
    let ended = false;
    let failures = 0;
    try {
      while (!ended) {
        try {
          const response = lastId
            ? await this.call(`${events}/events`, { headers: { "last-event-id": lastId }, ...(signal && { signal }) })
            : await this.call(turns, {
                method: "POST",
                body: JSON.stringify({ input, turn_id: turnId }),
                ...(signal && { signal }),
              });
          if (!response.body) throw new ParleyError("stream_interrupted", "No body.", undefined, true);
          for await (const { data, id } of readEvents(response.body)) {
            const event = JSON.parse(data) as TurnEvent;
            lastId = id;
            failures = 0;
            ended = TERMINAL.has(event.type);
            yield event;
            if (ended) return;
          }
          throw new ParleyError("stream_interrupted", "The answer broke off.", undefined, true);
        } catch (error) {
          if (signal?.aborted) return;
          const retryable = !(error instanceof ParleyError) || error.retryable;
          if (!retryable || ++failures > (this.options.attempts ?? 5)) throw error;
          await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** failures));
        }
      }
    } finally {
      if (!ended) await this.call(events, { method: "DELETE" }).catch(() => undefined);
    }
  }

  private call(path: string, init: RequestInit): Promise<Response> {
    return request(this.base + path, {
      ...init,
      headers: {
        ...(init.body ? { "content-type": "application/json" } : {}),
        ...this.options.headers,
        ...(init.headers as Record<string, string> | undefined),
      },
    });
  }
}
