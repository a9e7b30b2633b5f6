import { expect, it } from "vitest";
import {
  changeNode,
  diffLines,
  type FlowDocument,
  newDocument,
  placed,
  problemsByPart,
  readDocument,
  tidied,
  withEdge,
  without,
  withNode,
  withPlaces,
} from "./document";
import { changed, newHistory, redone, undone } from "./history";

const chain = (count: number): FlowDocument => ({
  id: "f",
  nodes: Array.from({ length: count }, (_, n) => ({ id: `n${n}`, type: "say" })),
  edges: Array.from({ length: count - 1 }, (_, n) => ({ id: `e${n}`, source: `n${n}`, target: `n${n + 1}` })),
});

it("refuses what is no flow, and says why", () => {
  expect(() => readDocument("text")).toThrow("id");
  expect(() => readDocument({ id: "a/b", nodes: [] })).toThrow("id");
  expect(() => readDocument({ id: "a" })).toThrow("nodes");
  expect(() => readDocument({ id: "a", nodes: [{ id: "x" }] })).toThrow("type");
  expect(() => readDocument({ id: "a", nodes: [null] })).toThrow("nodes");
  expect(() => readDocument({ id: "a", nodes: [], edges: [{ id: "e" }] })).toThrow("edge");
  expect(readDocument(newDocument("a", "A")).id).toBe("a");
});

it("gives new parts ids of their own", () => {
  let document = newDocument("f", "F");
  const ids = ["say", "say", "say"].map((type) => {
    const added = withNode(document, type, { x: 0, y: 0 });
    document = added.document;
    return added.id;
  });
  expect(ids).toEqual(["say", "say_2", "say_3"]);
  expect(withEdge(document, "start", "talk").id).toBe("start_to_talk");
});

it("removes a node with its edges", () => {
  const left = without(chain(3), { nodes: ["n1"] });
  expect(left.nodes.map(({ id }) => id)).toEqual(["n0", "n2"]);
  expect(left.edges).toEqual([]);
});

it("carries a new id over to the edges, and refuses a taken one", () => {
  const document = chain(3);
  expect(changeNode(document, "n1", { id: "middle" }).edges).toMatchObject([{ target: "middle" }, { source: "middle" }]);
  expect(changeNode(document, "n1", { id: "n2" })).toBe(document);
  expect(changeNode(document, "n1", { id: "" })).toBe(document);
});

it("places nodes along the edges without one over another", () => {
  const { nodes } = tidied(chain(20));
  const heights = nodes.map(({ position }) => position?.y ?? 0);
  for (const [index, y] of heights.slice(1).entries()) expect(y).toBeGreaterThan((heights[index] ?? 0) + 83);
});

it("lays out edges that lead nowhere, and keeps places that are there", () => {
  const dangling = { ...chain(2), edges: [{ id: "e", source: "n0", target: "gone" }] };
  expect(tidied(dangling).nodes.every(({ position }) => position)).toBe(true);
  const document = newDocument("f", "F");
  expect(placed(document)).toBe(document);
});

it("shows problems at the part that they are about", () => {
  const problems = ["nodes[1].data.url", "nodes[1]", "edges[0].data.condition", "nodes[9]", "variables.x", ""].map(
    (path) => ({ path, message: "wrong" }),
  );
  const found = problemsByPart(chain(2), problems);
  expect([...found].map(([part, list]) => [part, list.length])).toEqual([
    ["nodes/n1", 2],
    ["edges/e0", 1],
    ["", 3],
  ]);
});

it("finds the smallest difference of lines", () => {
  const show = (before: string, after: string) =>
    diffLines(before, after).map(({ kind, text }) => ({ same: " ", added: "+", removed: "-" })[kind] + text);
  expect(show("a\nb\nc", "a\nx\nc")).toEqual([" a", "-b", "+x", " c"]);
  expect(show("a\nb", "a\nb")).toEqual([" a", " b"]);
  expect(show("a", "a\na")).toEqual([" a", "+a"]);
  expect(show("a\nb\nc\nd", "b\nd\ne")).toEqual(["-a", " b", "-c", " d", "+e"]);
});

it("undoes and redoes, and takes quick changes of one field as one step", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => newDocument("f", name)) as [FlowDocument, FlowDocument, FlowDocument, FlowDocument];
  let history = newHistory(a);
  history = changed(history, b, "name", 1000);
  history = changed(history, c, "name", 1500);
  history = changed(history, d, "name", 9000);
  expect(undone(history).present).toBe(c);
  expect(undone(undone(history)).present).toBe(a);
  expect(undone(undone(undone(history))).present).toBe(a);
  expect(redone(redone(undone(undone(history)))).present).toBe(d);
  expect(changed(undone(history), b, "", 9999).future).toEqual([]);
});

it("moves one node and leaves the others where they are drawn", () => {
  const drawn = tidied(chain(3));
  const moved = withPlaces(chain(3), new Map([["n1", { x: 7, y: 8 }]]));
  expect(moved.nodes.map(({ position }) => position)).toEqual([
    drawn.nodes[0]?.position,
    { x: 7, y: 8 },
    drawn.nodes[2]?.position,
  ]);
  expect(placed(moved)).toBe(moved);
});
