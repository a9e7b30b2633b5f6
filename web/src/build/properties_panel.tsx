/** What is selected, as forms; the flow itself where nothing is. */

import { useTexts } from "../i18n";
import type { Problem } from "../i18n/problem_texts";
import type { FlowDocument, FlowEdge, FlowNode } from "./document";
import type { FlowSchema, NodeKind } from "./flow_editor";
import type { Selection } from "./flow_graph";
import { SchemaFields } from "./schema_form";
import { schemaName, schemaText } from "./schema_texts";

interface Props {
  document: FlowDocument;
  schema: FlowSchema | undefined;
  kinds: readonly NodeKind[];
  selection: Selection | undefined;
  problems: ReadonlyMap<string, Problem[]>;
  onSelect(selection: Selection | undefined): void;
  onNode(id: string, change: Partial<FlowNode>): void;
  onEdge(id: string, change: Partial<FlowEdge>): void;
  onFlow(change: Partial<FlowDocument>): void;
  onDelete(kind: Selection["kind"], id: string): void;
  onConnect(source: string, target: string): void;
}

export function PropertiesPanel(props: Props) {
  const { document, schema, selection } = props;
  const { t } = useTexts();
  const node = selection?.kind === "node" && document.nodes.find(({ id }) => id === selection.id);
  const edge = selection?.kind === "edge" && document.edges?.find(({ id }) => id === selection.id);
  if (!schema) return <p>{t("loading")}</p>;
  if (node) return <NodeForm key={node.id} {...props} schema={schema} node={node} />;
  if (edge) return <EdgeForm key={edge.id} {...props} schema={schema} edge={edge} />;
  return <FlowForm {...props} schema={schema} />;
}

function Problems({ problems, strip }: { problems: readonly Problem[] | undefined; strip: RegExp }) {
  const { problemText } = useTexts();
  if (!problems?.length) return null;
  return (
    <ul className="part-problems">
      {problems.map((problem) => (
        <li key={problem.path + problem.message}>
          <b>{problem.path.replace(strip, "")}</b> {problemText(problem)}
        </li>
      ))}
    </ul>
  );
}

/** Rarely needed; the last two only say when a global node is reached. */
const OF_EVERY_NODE = ["allow_interruptions", "global", "condition_type", "condition"];

type WithSchema = Props & { schema: FlowSchema };

function NodeForm({ document, schema, kinds, problems, node, onNode, onSelect, onDelete, onConnect }: WithSchema & { node: FlowNode }) {
  const { t, language } = useTexts();
  const kind = kinds.find(({ names }) => names.includes(node.type));
  const fields = {
    schema: kind?.data ?? {},
    definitions: schema.$defs,
    value: node.data ?? {},
    onChange: (data: Record<string, unknown>) => onNode(node.id, { data }),
  };
  const leaving = (document.edges ?? []).filter(({ source }) => source === node.id);
  return (
    <>
      <h2>{schemaName(node.type, language)}</h2>
      {kind && <p className="hint">{schemaText(kind.description, language)}</p>}
      <Problems problems={problems.get(`nodes/${node.id}`)} strip={/^nodes\[\d+\]\.?(data\.)?/} />
      <div className="field">
        <label htmlFor="node-id">{t("node_id")}</label>
        <input
          id="node-id"
          type="text"
          defaultValue={node.id}
          onBlur={({ target }) => {
            const id = target.value.trim();
            if (id && id !== node.id && !document.nodes.some((other) => other.id === id)) onNode(node.id, { id });
            else target.value = node.id;
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter") event.currentTarget.blur();
          }}
        />
      </div>
      {kind && (
        <>
          <SchemaFields {...fields} skip={node.data?.global ? [] : OF_EVERY_NODE} />
          {!node.data?.global && (
            <details>
              <summary>{t("more")}</summary>
              <SchemaFields {...fields} only={OF_EVERY_NODE.slice(0, 2)} />
            </details>
          )}
        </>
      )}
      <div className="field">
        <label htmlFor="connect">{t("connect_to")}</label>
        <select
          id="connect"
          value=""
          onChange={({ target }) => {
            if (target.value) onConnect(node.id, target.value);
          }}
        >
          <option value="">…</option>
          {document.nodes
            .filter(({ type }) => type !== "start")
            .map(({ id }) => (
              <option key={id} value={id}>
                {id}
              </option>
            ))}
        </select>
      </div>
      {leaving.length > 0 && (
        <ul className="leaving">
          {leaving.map((edge) => (
            <li key={edge.id}>
              <button type="button" className="small" onClick={() => onSelect({ kind: "edge", id: edge.id })}>
                → {edge.target}
              </button>
            </li>
          ))}
        </ul>
      )}
      <button type="button" className="danger" onClick={() => onDelete("node", node.id)}>
        {t("delete")}
      </button>
    </>
  );
}

function EdgeForm({ schema, problems, edge, onEdge, onDelete }: WithSchema & { edge: FlowEdge }) {
  const { t } = useTexts();
  return (
    <>
      <h2>{t("edge")}</h2>
      <p className="hint">
        {edge.source} → {edge.target}
      </p>
      <Problems problems={problems.get(`edges/${edge.id}`)} strip={/^edges\[\d+\]\.?(data\.)?/} />
      <SchemaFields
        schema={{ $ref: "#/$defs/EdgeData" }}
        definitions={schema.$defs}
        value={edge.data ?? {}}
        onChange={(data) => onEdge(edge.id, { data })}
      />
      <button type="button" className="danger" onClick={() => onDelete("edge", edge.id)}>
        {t("delete")}
      </button>
    </>
  );
}

const OF_THE_GRAPH = ["id", "version", "nodes", "edges"];

function FlowForm({ document, schema, problems, onFlow, onSelect }: WithSchema) {
  const { t, problemText } = useTexts();
  const elsewhere = [...problems].filter(([key]) => key !== "");
  return (
    <>
      <h2>{t("flow_properties")}</h2>
      <p className="hint">{t("nothing_selected")}</p>
      <Problems problems={problems.get("")} strip={/^$/} />
      {problems.size === 0 && <p className="fine">{t("no_problems")}</p>}
      {elsewhere.length > 0 && (
        <ul className="leaving">
          {elsewhere.map(([key, found]) => {
            const [list = "", ...id] = key.split("/");
            return (
              <li key={key}>
                <button
                  type="button"
                  className="small danger"
                  onClick={() => onSelect({ kind: list === "nodes" ? "node" : "edge", id: id.join("/") })}
                >
                  {id.join("/")}: {found[0] && problemText(found[0])}
                </button>
              </li>
            );
          })}
        </ul>
      )}
      <SchemaFields
        schema={schema}
        definitions={schema.$defs}
        skip={OF_THE_GRAPH}
        value={document as unknown as Record<string, unknown>}
        onChange={(next) => onFlow(next as unknown as FlowDocument)}
      />
    </>
  );
}
