/** What scenarios have in common: where they run, what they were given, and what they do often. */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export const [name, base, wav] = process.argv.slice(2);
export const given = process.env.GIVEN ?? "";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Waits until something was done outside. */
export const ask = async (what) => {
  process.stdout.write(`? ${what}\n`);
  await answers.next();
};

export const check = (holds, words) => {
  if (!holds) throw new Error(words);
};

export const say = async (page, text) => {
  await page.fill(".controls input", text);
  await page.press(".controls input", "Enter");
};

export const begin = (page) => page.click(".controls .primary");

export const state = (page, wanted, timeout = 60_000) =>
  page.waitForSelector(`.agent-state[data-state="${wanted}"]`, { timeout });

/** The agent's line with these words. */
export const answered = (page, words = "scripted") =>
  page.locator('.transcript li[data-who="agent"] p', { hasText: words }).first().waitFor();

/** What the file holds that a button offers. */
export async function savedBy(page, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
  return readFileSync(await download.path(), "utf8");
}
