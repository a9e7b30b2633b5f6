import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { Schema } from "./schema_form";
import { GERMAN_NAMES, GERMAN_TEXTS } from "./schema_texts";

const schema = JSON.parse(readFileSync("../docs/flow.schema.json", "utf8")) as Schema & { $defs: Record<string, Schema> };

/** Every schema inside of this one, itself included. */
function parts(part: unknown): Schema[] {
  if (typeof part !== "object" || part === null) return [];
  return [...(Array.isArray(part) ? [] : [part as Schema]), ...Object.values(part).flatMap(parts)];
}

it("says in German whatever the editor shows of the schema, and nothing that it does not have", () => {
  const all = parts(schema);
  const types = schema.$defs.Node?.oneOf?.flatMap(({ properties }) => properties?.type?.enum ?? properties?.type?.const) ?? [];
  const names = [...types, ...all.flatMap(({ properties }) => Object.keys(properties ?? {}))];
  expect(Object.keys(GERMAN_NAMES).sort()).toEqual([...new Set(names)].sort());
  const shown = all.flatMap(({ description }) => (typeof description === "string" ? [description] : []));
  const wanted = new Set(shown.filter((text) => !/^Fields of /.test(text)));
  expect(Object.keys(GERMAN_TEXTS).sort()).toEqual([...wanted].sort());
});
