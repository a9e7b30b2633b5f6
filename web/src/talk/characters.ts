/** Who answers over `/ws` in the flow's place; kept in this browser. */

import { type Character, newId } from "@parley/client";
import { remember, remembered } from "../memory";

/** As many as the server takes. */
export const MOST_CHARACTERS = 8;

const EXAMPLES: readonly Character[] = [
  { id: "ada", name: "Ada", instructions: "You are curious and like numbers." },
  { id: "ben", name: "Ben", speed: 1.1, instructions: "You are dry and a little doubtful." },
];

export function rememberedCharacters(): Character[] {
  try {
    const kept: unknown = JSON.parse(remembered("characters") ?? "");
    return (kept as Partial<Character>[])
      .filter(({ id, name, instructions }) => [id, name, instructions].every((text) => typeof text === "string"))
      .slice(0, MOST_CHARACTERS) as Character[];
  } catch {
    return [...EXAMPLES];
  }
}

export function rememberCharacters(characters: readonly Character[]): void {
  remember("characters", JSON.stringify(characters));
}

export function newCharacter(): Character {
  return { id: newId().slice(0, 8), name: "", instructions: "" };
}

/** Those that can answer: with a name, and as the server wants them. */
export const ready = (characters: readonly Character[]): Character[] =>
  characters
    .map(({ voice, ...character }) => ({ ...character, name: character.name.trim(), ...(voice && { voice }) }))
    .filter(({ name }) => name !== "");
