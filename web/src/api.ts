/** The backend's JSON calls that the page makes. */

import { ParleyError } from "@parley/client";
import { askForKey, authorization } from "./key";

export interface Answer<T> {
  body: T;
  etag: string | undefined;
}

/** @throws ParleyError with the server's code, or `network`. */
export async function call<T>(path: string, init: RequestInit = {}): Promise<Answer<T>> {
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      headers: {
        ...(init.body ? { "content-type": "application/json" } : {}),
        ...authorization(),
        ...(init.headers as Record<string, string> | undefined),
      },
    });
  } catch {
    throw new ParleyError("network", "The server cannot be reached.", undefined, true);
  }
  const text = await response.text();
  const body: unknown = readJson(text);
  if (response.status === 401) askForKey();
  if (!response.ok) {
    const { code, message, error, retryable } = (body ?? {}) as Record<string, unknown>;
    throw new ParleyError(
      typeof code === "string" ? code : `http_${response.status}`,
      String(message ?? error ?? response.statusText),
      response.status,
      retryable === true,
      undefined,
      body,
    );
  }
  return { body: body as T, etag: response.headers.get("etag") ?? undefined };
}

/** What a proxy or a crash puts in place of JSON counts as nothing. */
function readJson(text: string): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/** `GET /api/status`; every field may be missing in an older backend. */
export interface Status {
  ready?: boolean;
  parts?: Record<string, { ready: boolean; detail?: string }>;
  livekit?: { url?: string; ready?: boolean };
  models?: Record<string, string>;
  versions?: Record<string, string>;
  sessions?: number;
  /** Downloads that run on the server's machine; `total_bytes` is 0 while it is not known. */
  downloads?: { name: string; done_bytes: number; total_bytes: number }[];
}

export interface Providers {
  llm?: ProviderRow[];
  tts?: ProviderRow[];
  stt?: ProviderRow[];
}

export interface ProviderRow {
  name: string;
  label?: string;
  configured: boolean;
  /** Settings that it lacks or has. */
  needs?: string[];
  models?: string[];
  voices?: { id: string; name: string }[];
}

export interface FlowRow {
  id: string;
  name: string;
  description: string;
  published_version: number | null;
}
