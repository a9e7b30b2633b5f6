/** Flow documents and how the editor draws and changes them. Every function leaves its input alone. */

import dagre from "@dagrejs/dagre";
import type { Problem } from "../i18n/problem_texts";
import { TextError } from "../i18n/text_error";

export interface FlowNode {
  id: string;
  type: string;
  data?: Record<string, unknown>;
  position?: { x: number; y: number } | null;
}

export interface FlowEdge {
  id: string;
  source: string;
  target: string;
  data?: Record<string, unknown>;
  sourceHandle?: string | null;
  targetHandle?: string | null;
}

export interface FlowDocument {
  id: string;
  name?: string;
  description?: string;
  version?: number | null;
  default?: Record<string, unknown>;
  variables?: Record<string, unknown>;
  nodes: FlowNode[];
  edges?: FlowEdge[];
}

export const NODE_WIDTH = 220;
export const NODE_HEIGHT = 84;

/** @throws Error that says what is missing, for what is no flow at all. */
export function readDocument(value: unknown): FlowDocument {
  const { id, nodes, edges } = (value ?? {}) as Record<string, unknown>;
  if (typeof id !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._~-]*$/.test(id))
    throw new TextError("flow_without_id");
  const are = (list: unknown, ...keys: string[]) =>
    Array.isArray(list) &&
    list.every((part) => keys.every((key) => typeof (part as Record<string, unknown> | null)?.[key] === "string"));
  if (!are(nodes, "id", "type")) throw new TextError("flow_without_nodes");
  if (edges !== undefined && !are(edges, "id", "source", "target"))
    throw new TextError("flow_with_bad_edges");
  return value as FlowDocument;
}

export function newDocument(id: string, name: string): FlowDocument {
  return {
    id,
    name,
    nodes: [
      { id: "start", type: "start", data: {}, position: { x: 0, y: 0 } },
      {
        id: "talk",
        type: "conversation",
        data: { instructions: "You are a helpful voice assistant. Answer in one or two short sentences." },
        position: { x: 0, y: 160 },
      },
    ],
    edges: [{ id: "begin", source: "start", target: "talk", data: { condition_type: "always" } }],
  };
}

const freeId = (taken: readonly { id: string }[], stem: string): string => {
  const ids = new Set(taken.map(({ id }) => id));
  let id = stem;
  for (let number = 2; ids.has(id); number += 1) id = `${stem}_${number}`;
  return id;
};

export function withNode(
  document: FlowDocument,
  type: string,
  position: { x: number; y: number },
  data: Record<string, unknown> = {},
): { document: FlowDocument; id: string } {
  const id = freeId(document.nodes, type);
  return { document: { ...document, nodes: [...document.nodes, { id, type, data, position }] }, id };
}

export function withEdge(
  document: FlowDocument,
  source: string,
  target: string,
): { document: FlowDocument; id: string } {
  const edges = document.edges ?? [];
  const id = freeId(edges, `${source}_to_${target}`);
  const edge = { id, source, target, data: { condition_type: "always" } };
  return { document: { ...document, edges: [...edges, edge] }, id };
}

/** Removes nodes and edges, and the edges of the nodes. */
export function without(document: FlowDocument, ids: { nodes?: string[]; edges?: string[] }): FlowDocument {
  const nodes = new Set(ids.nodes);
  const edges = new Set(ids.edges);
  return {
    ...document,
    nodes: document.nodes.filter(({ id }) => !nodes.has(id)),
    edges: (document.edges ?? []).filter(
      ({ id, source, target }) => !edges.has(id) && !nodes.has(source) && !nodes.has(target),
    ),
  };
}

/** Changes a node; a new id is carried over to its edges, and refused if it is taken or empty. */
export function changeNode(document: FlowDocument, id: string, change: Partial<FlowNode>): FlowDocument {
  const next = change.id ?? id;
  if (next !== id && (!next || document.nodes.some((node) => node.id === next))) return document;
  return {
    ...document,
    nodes: document.nodes.map((node) => (node.id === id ? { ...node, ...change } : node)),
    ...(next !== id && {
      edges: (document.edges ?? []).map((edge) => ({
        ...edge,
        source: edge.source === id ? next : edge.source,
        target: edge.target === id ? next : edge.target,
      })),
    }),
  };
}

export function changeEdge(document: FlowDocument, id: string, change: Partial<FlowEdge>): FlowDocument {
  return {
    ...document,
    edges: (document.edges ?? []).map((edge) => (edge.id === id ? { ...edge, ...change } : edge)),
  };
}

/** Places every node anew, from top to bottom along the edges. */
export function tidied(document: FlowDocument): FlowDocument {
  const graph = new dagre.graphlib.Graph({ multigraph: true })
    .setGraph({ rankdir: "TB", nodesep: 40, ranksep: 50 })
    .setDefaultEdgeLabel(() => ({}));
  for (const { id } of document.nodes) graph.setNode(id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const { id, source, target } of document.edges ?? [])
    if (graph.hasNode(source) && graph.hasNode(target)) graph.setEdge(source, target, {}, id);
  dagre.layout(graph);
  return {
    ...document,
    nodes: document.nodes.map((node) => {
      const { x, y } = graph.node(node.id) as { x: number; y: number };
      return { ...node, position: { x: Math.round(x - NODE_WIDTH / 2), y: Math.round(y - NODE_HEIGHT / 2) } };
    }),
  };
}

/** The same document with a place for every node: its own, or all from a fresh layout. */
export function placed(document: FlowDocument): FlowDocument {
  return document.nodes.every((node) => node.position) ? document : tidied(document);
}

/** Puts nodes where somebody moved them; the others stay where they are drawn. */
export function withPlaces(
  document: FlowDocument,
  places: ReadonlyMap<string, { x: number; y: number }>,
): FlowDocument {
  const drawn = placed(document);
  return {
    ...drawn,
    nodes: drawn.nodes.map((node) => ({ ...node, position: places.get(node.id) ?? node.position ?? null })),
  };
}

/** Problems by the id of the node or edge that they are about; the others under `""`. */
export function problemsByPart(document: FlowDocument, problems: readonly Problem[]): Map<string, Problem[]> {
  const found = new Map<string, Problem[]>();
  for (const problem of problems) {
    const [, list, index] = /^(nodes|edges)\[(\d+)\]/.exec(problem.path) ?? [];
    const part = list ? document[list as "nodes" | "edges"]?.[Number(index)] : undefined;
    const key = part ? `${list}/${part.id}` : "";
    found.set(key, [...(found.get(key) ?? []), problem]);
  }
  return found;
}

/** What a node says on its card. */
export function summary(node: FlowNode): string {
  const { instructions, text, url, greeting, to } = node.data ?? {};
  const words = [instructions, text, greeting, url, to].find((value) => typeof value === "string" && value);
  return typeof words === "string" ? words.slice(0, 160) : "";
}

export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
}

/** A line diff (longest common subsequence) with what is alike at both ends taken off first. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split("\n");
  const b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) tail += 1;
  const x = a.slice(head, a.length - tail);
  const y = b.slice(head, b.length - tail);
  const width = y.length + 1;
  const longest = new Uint32Array((x.length + 1) * width);
  const at = (i: number, j: number): number => longest[i * width + j] ?? 0;
  for (let i = x.length - 1; i >= 0; i -= 1)
    for (let j = y.length - 1; j >= 0; j -= 1)
      longest[i * width + j] = x[i] === y[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const line = (kind: DiffLine["kind"]) => (text: string) => ({ kind, text });
  const middle: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) {
      middle.push(line("same")(x[i] as string));
      i += 1;
      j += 1;
    } else if (i < x.length && (j === y.length || at(i + 1, j) >= at(i, j + 1))) {
      middle.push(line("removed")(x[i] as string));
      i += 1;
    } else {
      middle.push(line("added")(y[j] as string));
      j += 1;
    }
  }
  return [...a.slice(0, head).map(line("same")), ...middle, ...a.slice(a.length - tail).map(line("same"))];
}
