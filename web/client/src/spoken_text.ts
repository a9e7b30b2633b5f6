/** The words of one answer over `/ws`, in step with its sound. */

import type { Sounding } from "./audio.js";
import type { SpokenWords } from "./voice_messages.js";

/** Pace of speech for voices without word timings, as the backend reckons it. */
const CHARS_PER_S = 15;

interface Piece {
  /** Where it stands in the answer's text. */
  start: number;
  end: number;
  words: { end: number; startsS: number }[];
  frames: Sounding[];
}

/**
 * Give it every `text_chunk` and `spoken_words` of one answer, and when its frames sound. Times are
 * seconds of one clock, the player's; pauses in which the player had run dry do no harm.
 */
export class SpokenText {
  /** All of the text that has come. */
  text = "";
  private readonly pieces = new Map<number, Piece>();
  private silent = false;
  private shown = 0;

  /** The text of a `text_chunk`. */
  add(text: string): void {
    this.text += text;
  }

  words({ sentence_index, text, words }: SpokenWords): void {
    let piece = this.pieces.get(sentence_index);
    if (!piece) {
      const from = Math.max(0, ...[...this.pieces.values()].map(({ end }) => end));
      const start = Math.max(from, this.text.indexOf(text, from));
      piece = { start, end: start + text.length, words: [], frames: [] };
      this.pieces.set(sentence_index, piece);
    }
    const characters = [...text];
    for (const { end_char, start_ms } of words) {
      // The backend counts code points, JavaScript UTF-16 units.
      const end = piece.start + characters.slice(0, end_char).join("").length;
      piece.words.push({ end, startsS: start_ms / 1000 });
    }
  }

  /** A frame of piece `sentenceIndex` has been queued; frames are told in the order of playing. */
  sounds(sentenceIndex: number, frame: Sounding): void {
    this.pieces.get(sentenceIndex)?.frames.push(frame);
  }

  /** No sound tells the words' times: from now on all of the text counts as shown. */
  showAll(): void {
    this.silent = true;
  }

  /** Nothing can sound now: what has come by now counts as shown, what comes later is in step again. */
  showSoFar(): void {
    this.shown = this.text.length;
  }

  /** The text up to the word that sounds at this time; never less than it gave before. */
  shownAt(timeS: number): string {
    if (this.silent) return this.text;
    for (const piece of this.pieces.values()) {
      const first = piece.frames[0];
      if (first && first.startsAt <= timeS) this.shown = Math.max(this.shown, this.endIn(piece, timeS));
    }
    return this.text.slice(0, this.shown);
  }

  private endIn({ start, end, words, frames }: Piece, timeS: number): number {
    const heardS = frames.reduce(
      (sum, { startsAt, endsAt }) => sum + Math.max(0, Math.min(timeS, endsAt) - startsAt),
      0,
    );
    if (words.length > 0)
      return words.reduce((last, word) => (word.startsS <= heardS ? Math.max(last, word.end) : last), start);
    const space = this.text.indexOf(" ", start + Math.floor(heardS * CHARS_PER_S));
    return space < 0 ? end : Math.min(space, end);
  }
}
