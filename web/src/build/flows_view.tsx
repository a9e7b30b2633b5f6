/** The list of flows, and the editor of the one that is open. */

import { useEffect, useRef, useState } from "react";
import { parse } from "yaml";
import { call, type FlowRow } from "../api";
import { useTexts } from "../i18n";
import { newDocument, readDocument } from "./document";
import { type Draft, keepDraft, keptDraft } from "./drafts";
import { FlowEditor } from "./flow_editor";
import "./build.css";

const open = (flowId: string) => {
  location.hash = `#/flows/${encodeURIComponent(flowId)}`;
};

export function FlowsView({ flowId }: { flowId: string | undefined }) {
  return flowId ? <OpenFlow key={flowId} flowId={flowId} /> : <FlowList />;
}

function FlowList() {
  const { t } = useTexts();
  const [flows, setFlows] = useState<FlowRow[]>();
  const [problem, setProblem] = useState<string>();
  const file = useRef<HTMLInputElement>(null);
  useEffect(() => {
    call<{ flows: FlowRow[] }>("/api/flows")
      .then(({ body }) => setFlows(body.flows))
      .catch((error: Error) => setProblem(error.message));
  }, []);
  const start = () => {
    const id = `flow-${crypto.randomUUID().slice(0, 8)}`;
    keepDraft(id, { document: newDocument(id, t("flows_new")), etag: undefined });
    open(id);
  };
  const read = async (chosen: File | undefined) => {
    if (!chosen) return;
    try {
      const document = readDocument(parse(await chosen.text()));
      // A draft without an ETag: saving asks before it goes over a flow of the same id.
      keepDraft(document.id, { document, etag: undefined });
      open(document.id);
    } catch (error) {
      setProblem(`${chosen.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return (
    <main>
      <div className="heading">
        <h1>{t("flows_heading")}</h1>
        <button type="button" onClick={() => file.current?.click()}>
          {t("flows_import")}
        </button>
        <button type="button" className="primary" onClick={start}>
          {t("flows_new")}
        </button>
        <input
          ref={file}
          type="file"
          hidden
          accept=".yaml,.yml,.json"
          aria-label={t("flows_import")}
          onChange={({ target }) => {
            void read(target.files?.[0]);
            target.value = "";
          }}
        />
      </div>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      {flows?.length === 0 && <p className="empty">{t("flows_empty")}</p>}
      <ul className="flow-list">
        {flows?.map((flow) => (
          <li key={flow.id}>
            <a href={`#/flows/${encodeURIComponent(flow.id)}`}>
              <b>{flow.name || flow.id}</b>
              {flow.description && <span>{flow.description}</span>}
              <small>
                {flow.id} · {flow.published_version ? `${t("version")} ${flow.published_version}` : t("draft")}
                {keptDraft(flow.id) && ` · ${t("unsaved")}`}
              </small>
            </a>
          </li>
        ))}
      </ul>
    </main>
  );
}

function OpenFlow({ flowId }: { flowId: string }) {
  const { t } = useTexts();
  const [opened, setOpened] = useState<Draft & { restored: boolean }>();
  const [problem, setProblem] = useState<string>();
  const [reads, setReads] = useState(0);
  // biome-ignore lint: a new read is asked for by counting up
  useEffect(() => {
    let gone = false;
    const kept = keptDraft(flowId);
    if (kept) {
      setOpened({ ...kept, restored: true });
      return undefined;
    }
    call<unknown>(`/api/flows/${encodeURIComponent(flowId)}`)
      .then(({ body, etag }) => {
        if (!gone) setOpened({ document: readDocument(body), etag, restored: false });
      })
      .catch((error: Error) => {
        if (!gone) setProblem(error.message);
      });
    return () => {
      gone = true;
    };
  }, [flowId, reads]);
  if (problem) {
    return (
      <main>
        <p className="problem" role="alert">
          {problem}
        </p>
        <a href="#/flows">{t("back")}</a>
      </main>
    );
  }
  if (!opened) return <main className="loading">{t("loading")}</main>;
  return (
    <FlowEditor
      key={reads}
      opened={opened}
      onReload={() => {
        keepDraft(flowId, undefined);
        setOpened(undefined);
        setReads((count) => count + 1);
      }}
    />
  );
}
