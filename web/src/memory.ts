/** What the page remembers in this browser; works without, as in private windows. */

const PREFIX = "parley.";

export function remembered(key: string): string | undefined {
  try {
    return localStorage.getItem(PREFIX + key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Names of what is remembered that begin so, without that beginning. */
export function rememberedNames(beginning: string): string[] {
  try {
    return Object.keys(localStorage).flatMap((key) =>
      key.startsWith(PREFIX + beginning) ? [key.slice(PREFIX.length + beginning.length)] : [],
    );
  } catch {
    return [];
  }
}

/** Gives whether it worked: storage may be full or forbidden. */
export function remember(key: string, value: string | undefined): boolean {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
    return true;
  } catch {
    return false; // the page works, it only forgets
  }
}
