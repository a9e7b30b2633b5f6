/** The API key that a backend may ask for, kept in this browser. */

import { remember, remembered } from "./memory";

const KEY = "key";
const listeners = new Set<() => void>();
let asked: "no" | "missing" | "refused" = "no";

export const apiKey = (): string | undefined => remembered(KEY);

/** Headers that every call to the backend carries. */
export function authorization(): Record<string, string> {
  const key = apiKey();
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** The backend answered 401: asks the user for a key, once for all that failed. */
export function askForKey(): void {
  asked = apiKey() ? "refused" : "missing";
  for (const listener of listeners) listener();
}

export const keyAsked = {
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  getSnapshot: (): typeof asked => asked,
};

/** Keeps the key and begins anew with it; what is being edited stays in the browser. */
export function takeKey(key: string): void {
  remember(KEY, key.trim());
  location.reload();
}
