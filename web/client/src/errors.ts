/** What a Parley backend says when a call fails. */
export class ParleyError extends Error {
  override readonly name = "ParleyError";
  constructor(
    /** Snake case, as in the backend's table of errors; `network` when nobody answered. */
    readonly code: string,
    message: string,
    readonly status?: number,
    readonly retryable = false,
    readonly retryAfterSeconds?: number,
    /** The server's answer as a whole: some errors say more, as `flow_invalid` its `problems`. */
    readonly body?: unknown,
  ) {
    super(message);
  }
}

/** Reads the JSON body of a response that is not 2xx. */
export async function errorFrom(response: Response): Promise<ParleyError> {
  const body: unknown = await response.json().catch(() => undefined);
  const fields = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const message = fields.message ?? fields.error ?? fields.detail;
  const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new ParleyError(
    typeof fields.code === "string" ? fields.code : `http_${response.status}`,
    typeof message === "string" ? message : `The server answered ${response.status}.`,
    response.status,
    fields.retryable === true,
    Number.isFinite(retryAfter) ? retryAfter : undefined,
    body,
  );
}

/** Sends a request and gives its 2xx response, or throws a ParleyError. */
export async function request(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ParleyError("network", "The server cannot be reached.", undefined, true);
  }
  if (!response.ok) throw await errorFrom(response);
  return response;
}
