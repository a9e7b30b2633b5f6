import { expect, it } from "vitest";
import { SpokenText } from "./spoken_text.js";

/** Words of half a second each, as the backend tells them. */
const words = (sentence_index: number, text: string, from = 0) => {
  let at = 0;
  const spoken = text.split(" ").map((word, number) => {
    const start_char = [...text.slice(0, text.indexOf(word, at))].length;
    at = text.indexOf(word, at) + word.length;
    return { start_char, end_char: [...text.slice(0, at)].length, start_ms: (from + number) * 500, end_ms: (from + number + 1) * 500 };
  });
  return { type: "spoken_words" as const, message_id: "m", sentence_index, text, words: spoken };
};

it("shows each word when it begins to sound, and nothing before", () => {
  const answer = new SpokenText();
  answer.add("One two three.");
  expect(answer.shownAt(100)).toBe("");
  answer.words(words(0, "One two three."));
  expect(answer.shownAt(100)).toBe("");
  answer.sounds(0, { startsAt: 10, endsAt: 11.5 });
  expect([9.9, 10, 10.49, 10.5, 11.2].map((time) => answer.shownAt(time))).toEqual([
    "",
    "One",
    "One",
    "One two",
    "One two three.",
  ]);
});

it("waits with the words where the player has run dry", () => {
  const answer = new SpokenText();
  answer.add("One two three");
  answer.words(words(0, "One two three"));
  answer.sounds(0, { startsAt: 0, endsAt: 0.6 });
  answer.sounds(0, { startsAt: 5, endsAt: 5.9 });
  expect(answer.shownAt(4.9)).toBe("One two");
  expect(answer.shownAt(5.5)).toBe("One two three");
});

it("keeps the white space between pieces, tells the same words apart, and counts emoji as the backend does", () => {
  const answer = new SpokenText();
  answer.add("Yes. 👍🏽 yes.\n\nYes.");
  for (const [index, text] of ["Yes.", "👍🏽 yes.", "Yes."].entries()) {
    answer.words(words(index, text));
    answer.sounds(index, { startsAt: index * 2, endsAt: index * 2 + 1 });
  }
  expect(answer.shownAt(1)).toBe("Yes.");
  expect(answer.shownAt(2)).toBe("Yes. 👍🏽");
  expect(answer.shownAt(3)).toBe("Yes. 👍🏽 yes.");
  expect(answer.shownAt(4)).toBe("Yes. 👍🏽 yes.\n\nYes.");
});

it("reckons a pace for voices without timings, whole words at a time", () => {
  const answer = new SpokenText();
  answer.add("Once upon a time there was.");
  answer.words({ ...words(0, "Once upon a time there was."), words: [] });
  answer.sounds(0, { startsAt: 0, endsAt: 3 });
  expect(answer.shownAt(0.1)).toBe("Once");
  expect(answer.shownAt(0.5)).toBe("Once upon");
  expect(answer.shownAt(0.2)).toBe("Once upon");
  expect(answer.shownAt(3)).toBe("Once upon a time there was.");
});

it("shows everything at once where nothing sounds", () => {
  const answer = new SpokenText();
  answer.add("Nobody ");
  answer.showAll();
  answer.add("speaks.");
  expect(answer.shownAt(0)).toBe("Nobody speaks.");
});
