/** Where the call stands in its flow, and the session's variables. */

import { useEffect, useState } from "react";
import { call } from "../api";
import { type FlowDocument, readDocument } from "../build/document";
import { FlowGraph, type Path } from "../build/flow_graph";
import type { CallSnapshot } from "../call/call";
import { useTexts } from "../i18n";
import { Variables } from "./variables";

interface SessionState {
  flow_version: number;
  node_id: string | null;
  variables: Record<string, unknown>;
}

interface Props extends Pick<CallSnapshot, "session" | "state"> {
  /** How many turns are over. */
  turns: number;
}

export function FlowProgress({ session, state, turns }: Props) {
  const { t } = useTexts();
  const [document, setDocument] = useState<FlowDocument>();
  const [now, setNow] = useState<SessionState>();
  const [path, setPath] = useState<Path>({ nodes: [], edges: [] });
  const flow = session && `/api/flows/${encodeURIComponent(session.flowId)}`;
  // biome-ignore lint: the session moves on when the agent's state changes and when a turn is over
  useEffect(() => {
    if (!flow || !session) return undefined;
    const asked = new AbortController();
    call<SessionState>(`${flow}/sessions/${encodeURIComponent(session.sessionId)}`, { signal: asked.signal })
      .then(({ body }) => {
        setNow(body);
        const { node_id } = body;
        if (node_id)
          setPath((before) =>
            before.nodes.at(-1) === node_id ? before : { ...before, nodes: [...before.nodes, node_id] },
          );
      })
      .catch(() => undefined);
    return () => asked.abort();
  }, [flow, session?.sessionId, state, turns]);
  const version = now?.flow_version;
  useEffect(() => {
    if (!flow || !version) return undefined;
    const asked = new AbortController();
    call<unknown>(`${flow}?version=${version}`, { signal: asked.signal })
      .then(({ body }) => setDocument(readDocument(body)))
      .catch(() => undefined);
    return () => asked.abort();
  }, [flow, version]);
  if (!document) return null;
  return (
    <section aria-label={t("see_flow")} className="progress">
      <h2>
        {t("see_flow")}: {document.name || document.id}
      </h2>
      <div className="canvas">
        <FlowGraph document={document} path={path} />
      </div>
      {now && Object.keys(now.variables).length > 0 && <Variables values={now.variables} />}
    </section>
  );
}
