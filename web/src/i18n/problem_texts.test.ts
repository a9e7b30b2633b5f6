import { expect, it } from "vitest";
import { germanProblem } from "./problem_texts";

const problem = (code: string, values = {}) => ({ path: "nodes[0]", message: "in English", code, values });

it("says in German what a code means, with the names that belong to it", () => {
  expect(germanProblem(problem("unknown_node", { name: "$&", meant: "bye" }))).toBe(
    "den Knoten „$&“ gibt es nicht. Meintest du „bye“?",
  );
  expect(germanProblem(problem("not_one_of", { known: "send, read" }))).toBe(
    "diesen Wert gibt es hier nicht; es gibt: send, read",
  );
  expect(germanProblem(problem("too_large"))).toBe("zu groß; die Grenze ist …");
});

it.each([undefined, "", "of_a_newer_server", "constructor"])("leaves the words of %s as they are", (code) => {
  expect(germanProblem({ path: "", message: "in English", ...(code !== undefined && { code }) })).toBe("in English");
});
