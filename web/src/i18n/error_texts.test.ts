import { expect, it } from "vitest";
import { germanError } from "./error_texts";

it("says in German what a code means, with the server's words where they are needed", () => {
  expect(germanError("overloaded", "This backend has 3 answers under way.")).toMatch(/^Gerade sind alle Plätze/);
  expect(germanError("request_invalid", "data.text: $& missing")).toBe(
    "Der Server kann damit nichts anfangen: data.text: $& missing",
  );
});

it.each([undefined, "", "of_a_newer_server", "constructor"])("leaves the words of %s as they are", (code) => {
  expect(germanError(code, "Something new.")).toBe("Something new.");
});
