/** A flow as a graph: to look at, or to change. */

import "@xyflow/react/dist/style.css";
import "./graph.css";
import {
  Background,
  type Connection,
  Controls,
  type Edge,
  type EdgeChange,
  Handle,
  MarkerType,
  type Node,
  type NodeChange,
  type NodeProps,
  Position,
  ReactFlow,
  type ReactFlowInstance,
  useNodesState,
  useReactFlow,
  useStore,
} from "@xyflow/react";
import { memo, useEffect, useMemo, useRef } from "react";
import { type Translation, useTexts } from "../i18n";
import type { Problem } from "../i18n/problem_texts";
import { type FlowDocument, NODE_WIDTH, placed, summary } from "./document";
import { schemaName } from "./schema_texts";

export interface Selection {
  kind: "node" | "edge";
  id: string;
}

export interface Path {
  /** Nodes in the order in which they were entered; the last one is active. */
  nodes: readonly string[];
  edges: readonly string[];
}

type Card = Node<
  { type: string; title: string; text: string; problems: number; visited: boolean; active: boolean },
  "card"
>;

const CardView = memo(function CardView({ data }: NodeProps<Card>) {
  const { t, language } = useTexts();
  return (
    <div
      className="card"
      data-type={data.type}
      data-visited={data.visited || undefined}
      data-active={data.active || undefined}
      data-problems={data.problems || undefined}
    >
      {data.type !== "start" && <Handle type="target" position={Position.Top} />}
      <span className="card-type">{schemaName(data.type, language)}</span>
      {data.problems > 0 && (
        <span className="card-problems">
          {data.problems} <span className="hidden-text">{t("problems")}</span>
        </span>
      )}
      <b>{data.title}</b>
      {data.text && <span className="card-text">{data.text}</span>}
      {data.type !== "end" && <Handle type="source" position={Position.Bottom} />}
    </div>
  );
});

const NODE_TYPES = { card: CardView };
const NOTHING: Path = { nodes: [], edges: [] };
const NO_PROBLEMS: ReadonlyMap<string, Problem[]> = new Map();
const MANY_NODES = 100;

interface Props {
  document: FlowDocument;
  path?: Path | undefined;
  problems?: ReadonlyMap<string, Problem[]>;
  selection?: Selection | undefined;
  editing?: {
    onSelect(selection: Selection | undefined): void;
    onMove(places: ReadonlyMap<string, { x: number; y: number }>): void;
    onConnect(source: string, target: string): void;
    onDelete(ids: { nodes: string[]; edges: string[] }): void;
    onReady(flow: ReactFlowInstance<Card>): void;
  };
}

export type GraphInstance = ReactFlowInstance<Card>;

function cards(
  document: FlowDocument,
  path: Path,
  problems: ReadonlyMap<string, Problem[]>,
  selection: Selection | undefined,
): Card[] {
  return placed(document).nodes.map((node) => ({
    id: node.id,
    type: "card",
    position: node.position ?? { x: 0, y: 0 },
    width: NODE_WIDTH,
    selected: selection?.kind === "node" && selection.id === node.id,
    data: {
      type: node.type,
      title: typeof node.data?.label === "string" && node.data.label ? node.data.label : node.id,
      text: summary(node),
      problems: problems.get(`nodes/${node.id}`)?.length ?? 0,
      visited: path.nodes.includes(node.id),
      active: path.nodes.at(-1) === node.id,
    },
  }));
}

function lines(
  document: FlowDocument,
  path: Path,
  problems: ReadonlyMap<string, Problem[]>,
  selection: Selection | undefined,
  name: string,
): Edge[] {
  return (document.edges ?? []).map((edge) => {
    const { label, condition, condition_type: kind } = edge.data ?? {};
    const text = String(label || (kind !== "always" && condition) || "");
    const taken = path.edges.includes(edge.id);
    const wrong = problems.has(`edges/${edge.id}`);
    return {
      id: edge.id,
      source: edge.source,
      target: edge.target,
      ariaLabel: `${name}: ${edge.source} → ${edge.target}`,
      label: text.length > 42 ? `${text.slice(0, 40)}…` : text,
      selected: selection?.kind === "edge" && selection.id === edge.id,
      animated: taken,
      className: wrong ? "wrong" : taken ? "taken" : "",
      markerEnd: { type: MarkerType.ArrowClosed },
    };
  });
}

const FIT = { maxZoom: 1, padding: 0.15 };

/** Shows the whole graph again when its place has become wider or narrower. */
function Fitted() {
  const { fitView } = useReactFlow();
  const widthPx = useStore(({ width }) => width);
  const fittedPx = useRef(0);
  useEffect(() => {
    if (fittedPx.current > 0 && widthPx > 0 && widthPx !== fittedPx.current) void fitView(FIT);
    fittedPx.current = widthPx;
  }, [widthPx, fitView]);
  return null;
}

/** Where nodes were put, by the pointer or with the arrow keys. */
const places = (changes: readonly NodeChange<Card>[]): Map<string, { x: number; y: number }> =>
  new Map(
    changes.flatMap((change) =>
      change.type === "position" && change.position && !change.dragging
        ? [[change.id, { x: Math.round(change.position.x), y: Math.round(change.position.y) }]]
        : [],
    ),
  );

/** What React Flow tells screen readers. */
const spokenTexts = (t: Translation["t"]) => ({
  "node.a11yDescription.default": t("graph_node_keys"),
  "node.a11yDescription.keyboardDisabled": t("graph_node_keys"),
  "node.a11yDescription.ariaLiveMessage": ({ x, y }: { x: number; y: number }) => `${t("graph_moved")} x ${x}, y ${y}`,
  "edge.a11yDescription.default": t("graph_edge_keys"),
  "controls.ariaLabel": t("graph_view"),
  "controls.zoomIn.ariaLabel": t("graph_nearer"),
  "controls.zoomOut.ariaLabel": t("graph_farther"),
  "controls.fitView.ariaLabel": t("graph_all"),
  "handle.ariaLabel": t("graph_handle"),
});

export function FlowGraph({ document, path = NOTHING, problems = NO_PROBLEMS, selection, editing }: Props) {
  const { t } = useTexts();
  const wanted = useMemo(() => cards(document, path, problems, selection), [document, path, problems, selection]);
  const edges = useMemo(
    () => lines(document, path, problems, selection, t("edge")),
    [document, path, problems, selection, t],
  );
  const spoken = useMemo(() => spokenTexts(t), [t]);
  const [nodes, setNodes, onNodesChange] = useNodesState<Card>(wanted);
  useEffect(() => {
    setNodes((shown) => {
      const before = new Map(shown.map((node) => [node.id, node]));
      return wanted.map((node) => {
        const measured = before.get(node.id)?.measured;
        return measured ? { ...node, measured } : node;
      });
    });
  }, [wanted, setNodes]);
  /** These changes come from the pointer and the keyboard only. */
  const follow = (kind: Selection["kind"], changes: readonly (NodeChange<Card> | EdgeChange)[]) => {
    const chosen = changes.find((change) => change.type === "select" && change.selected);
    if (chosen?.type === "select") editing?.onSelect({ kind, id: chosen.id });
  };
  const connect = ({ source, target }: Connection) => editing?.onConnect(source, target);
  return (
    <ReactFlow<Card>
      className="graph"
      aria-label={t("graph")}
      ariaLabelConfig={spoken}
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      onNodesChange={(changes) => {
        onNodesChange(changes);
        follow("node", changes);
        const moved = places(changes);
        if (moved.size > 0) editing?.onMove(moved);
      }}
      onEdgesChange={(changes) => follow("edge", changes)}
      nodesDraggable={editing !== undefined}
      nodesConnectable={editing !== undefined}
      elementsSelectable={editing !== undefined}
      nodesFocusable={editing !== undefined}
      edgesFocusable={editing !== undefined}
      deleteKeyCode={editing ? ["Delete", "Backspace"] : null}
      onConnect={connect}
      // Choosing what is chosen already leads back to its form.
      onNodeClick={(_, { id }) => editing?.onSelect({ kind: "node", id })}
      onEdgeClick={(_, { id }) => editing?.onSelect({ kind: "edge", id })}
      onPaneClick={() => editing?.onSelect(undefined)}
      onBeforeDelete={async ({ nodes: gone, edges: cut }) => {
        editing?.onDelete({ nodes: gone.map(({ id }) => id), edges: cut.map(({ id }) => id) });
        return false;
      }}
      onInit={(flow) => editing?.onReady(flow)}
      onlyRenderVisibleElements={document.nodes.length > MANY_NODES}
      fitView
      fitViewOptions={FIT}
      minZoom={0.1}
    >
      <Background />
      <Fitted />
      <Controls showInteractive={false} />
    </ReactFlow>
  );
}
