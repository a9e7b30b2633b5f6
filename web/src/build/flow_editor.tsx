/** The editor: the graph, a palette, forms, versions and a test chat beside it. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { stringify } from "yaml";
import { call } from "../api";
import { useTexts } from "../i18n";
import { saveFile } from "../see/save_file";
import { changeEdge, changeNode, problemsByPart, tidied, withEdge, without, withNode, withPlaces } from "./document";
import type { Draft } from "./drafts";
import { FlowGraph, type GraphInstance, type Path, type Selection } from "./flow_graph";
import { useHistory } from "./history";
import { PropertiesPanel } from "./properties_panel";
import type { Definitions, Schema } from "./schema_form";
import { schemaName, schemaText } from "./schema_texts";
import { useServerFlow } from "./server_flow";
import { TestChat } from "./test_chat";
import { VersionsPanel } from "./versions_panel";

export interface FlowSchema extends Schema {
  $defs: Definitions;
}

export interface NodeKind {
  /** The first is the name, the others are aliases. */
  names: string[];
  description: string;
  data: Schema;
}

function nodeKinds(schema: FlowSchema | undefined): NodeKind[] {
  return (schema?.$defs.Node?.oneOf ?? []).map(({ properties = {}, description = "" }) => ({
    names: properties.type?.enum ?? [String(properties.type?.const)],
    description,
    data: properties.data ?? {},
  }));
}

const TABS = ["properties", "test_chat", "versions"] as const;

interface Props {
  opened: Draft & { restored: boolean };
}

export function FlowEditor({ opened }: Props) {
  const { t, language } = useTexts();
  const { document, change, undo, redo, canUndo, canRedo } = useHistory(opened.document);
  const server = useServerFlow(document, opened, change);
  const [schema, setSchema] = useState<FlowSchema>();
  const [selection, setSelection] = useState<Selection>();
  const [tab, setTab] = useState<(typeof TABS)[number]>("properties");
  const [path, setPath] = useState<Path>();
  const [published, setPublished] = useState(0);
  const graph = useRef<GraphInstance>(undefined);
  const kinds = useMemo(() => nodeKinds(schema), [schema]);
  const byPart = useMemo(() => problemsByPart(document, server.problems), [document, server.problems]);

  useEffect(() => {
    call<FlowSchema>("/api/flows/schema")
      .then(({ body }) => setSchema(body))
      .catch(() => undefined);
  }, []);

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey)) return;
      const key = event.key.toLowerCase();
      const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
      if (key === "s") void server.save();
      else if (typing) return;
      else if (key === "z") event.shiftKey ? redo() : undo();
      else if (key === "y") redo();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [server.save, undo, redo]);

  const select = useCallback((next: Selection | undefined) => {
    setSelection(next);
    if (next) setTab("properties");
  }, []);

  const editing = useMemo(
    () => ({
      onSelect: select,
      onMove: (places: ReadonlyMap<string, { x: number; y: number }>) =>
        change((now) => withPlaces(now, places), "move"),
      onConnect: (source: string, target: string) => change((now) => withEdge(now, source, target).document),
      onDelete: (ids: { nodes: string[]; edges: string[] }) => {
        change((now) => without(now, ids));
        setSelection(undefined);
      },
      onReady: (flow: GraphInstance) => {
        graph.current = flow;
      },
    }),
    [change, select],
  );

  const add = (kind: NodeKind) => {
    const lowest = document.nodes.reduce(
      (low, { position }) => (position && position.y >= low.y ? position : low),
      { x: 0, y: 0 },
    );
    const type = kind.names[0] ?? "";
    const { document: next, id } = withNode(document, type, { x: lowest.x, y: lowest.y + 150 });
    // From the node that is chosen, for that is where the thought goes on.
    const from = selection?.kind === "node" && type !== "start" ? selection.id : undefined;
    change(() => (from ? withEdge(next, from, id).document : next));
    select({ kind: "node", id });
    setTimeout(() => void graph.current?.fitView({ maxZoom: 1, padding: 0.15, duration: 200 }));
  };
  const tidy = () => {
    change(tidied);
    setTimeout(() => void graph.current?.fitView({ maxZoom: 1, padding: 0.15, duration: 200 }));
  };
  const { version: _, ...exported } = document;
  const state = server.state === "saving" ? "loading" : server.dirty ? "unsaved" : "saved";
  return (
    <main className="editor">
      <div className="heading">
        <a href="#/flows" className="back">
          ← {t("back")}
        </a>
        <h1>{document.name || document.id}</h1>
        <span className="save-state" role="status">
          {t(state)}
        </span>
        <button type="button" onClick={() => void server.save()} disabled={!server.dirty}>
          {t("save")}
        </button>
        <button
          type="button"
          className="primary"
          onClick={() => void server.publish().then((version) => version && setPublished(version))}
        >
          {t("publish")}
        </button>
      </div>
      {server.state === "conflict" && (
        <div className="problem" role="alert">
          <p>{t("conflict")}</p>
          <button type="button" onClick={() => void server.save(true)}>
            {t("conflict_mine")}
          </button>{" "}
          <button type="button" onClick={() => void server.takeTheirs()}>
            {t("conflict_theirs")}
          </button>
        </div>
      )}
      {server.state === "offline" && (
        <div className="problem" role="alert">
          <p>{t("offline")}</p>
          <button type="button" onClick={() => void server.save()}>
            {t("retry")}
          </button>
        </div>
      )}
      {opened.restored && opened.etag && server.dirty && server.state === "unsaved" && (
        <div className="problem" role="status">
          {t("restored")}{" "}
          <button type="button" className="small" onClick={() => void server.takeTheirs()}>
            {t("discard")}
          </button>
        </div>
      )}
      {server.message && (
        <p className="problem" role="alert">
          {server.message}
        </p>
      )}
      <div className="toolbar" role="toolbar" aria-label={t("tools")}>
        <button type="button" className="small" onClick={undo} disabled={!canUndo}>
          {t("undo")}
        </button>
        <button type="button" className="small" onClick={redo} disabled={!canRedo}>
          {t("redo")}
        </button>
        <button type="button" className="small" onClick={tidy}>
          {t("layout")}
        </button>
        <button
          type="button"
          className="small"
          onClick={() => saveFile(`${document.id}.yaml`, "application/yaml", stringify(exported))}
        >
          {t("export_yaml")}
        </button>
        <button
          type="button"
          className="small"
          onClick={() => saveFile(`${document.id}.json`, "application/json", JSON.stringify(exported, undefined, 2))}
        >
          {t("export_json")}
        </button>
      </div>
      <div className="workbench">
        <nav className="palette" aria-label={t("palette")}>
          <h2>{t("palette")}</h2>
          {kinds.map((kind) => (
            <button
              type="button"
              className="small"
              data-type={kind.names[0]}
              key={kind.names[0]}
              title={schemaText(kind.description, language)}
              onClick={() => add(kind)}
            >
              {schemaName(kind.names[0] ?? "", language)}
            </button>
          ))}
        </nav>
        <div className="canvas">
          <FlowGraph document={document} path={path} problems={byPart} selection={selection} editing={editing} />
        </div>
        <aside className="side" aria-label={t(tab)}>
          <div className="tabs" role="tablist">
            {TABS.map((name) => (
              <button
                type="button"
                key={name}
                role="tab"
                id={`tab-${name}`}
                aria-selected={tab === name}
                aria-controls="side-panel"
                onClick={() => setTab(name)}
              >
                {t(name)}
              </button>
            ))}
          </div>
          <div role="tabpanel" id="side-panel" aria-labelledby={`tab-${tab}`} className="panel">
            {tab === "properties" && (
              <PropertiesPanel
                document={document}
                schema={schema}
                kinds={kinds}
                selection={selection}
                problems={byPart}
                onSelect={select}
                onNode={(id, part) => {
                  change((now) => changeNode(now, id, part), `node ${id} ${Object.keys(part).join()}`);
                  if (part.id && !document.nodes.some((node) => node.id === part.id))
                    setSelection({ kind: "node", id: part.id });
                }}
                onEdge={(id, part) => change((now) => changeEdge(now, id, part), `edge ${id}`)}
                onFlow={(part) => change((now) => ({ ...now, ...part }), "flow")}
                onDelete={(kind, id) => editing.onDelete({ nodes: [], edges: [], [`${kind}s`]: [id] })}
                onConnect={editing.onConnect}
              />
            )}
            {tab === "versions" && <VersionsPanel
                key={published}
                document={exported}
                onRestore={(version) => change((now) => ({ ...version, id: now.id }))}
              />}
            <div hidden={tab !== "test_chat"}>
              <TestChat document={document} onPath={setPath} />
            </div>
          </div>
        </aside>
      </div>
    </main>
  );
}
