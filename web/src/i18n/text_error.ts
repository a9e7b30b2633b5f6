import { en, type Key } from "./en";

/** An error of the page's own, which is shown in the visitor's language. */
export class TextError extends Error {
  constructor(
    readonly key: Key,
    /** What a library says of it, in its own language. */
    readonly detail?: string,
  ) {
    super(en[key]);
  }
}
