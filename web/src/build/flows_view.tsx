/** The list of flows, and the editor of the one that is open. */

import { newId } from "@parley/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { parse } from "yaml";
import { call, type FlowRow } from "../api";
import { useTexts } from "../i18n";
import { TextError } from "../i18n/text_error";
import { newDocument, readDocument } from "./document";
import { type Draft, keepDraft, keptDraft, keptDraftIds } from "./drafts";
import { FlowEditor } from "./flow_editor";
import "./build.css";

const pathOf = (flowId: string) => `/api/flows/${encodeURIComponent(flowId)}`;
/** What a file of YAML or JSON holds. */
async function parsed(file: File): Promise<unknown> {
  const text = await file.text();
  try {
    return parse(text);
  } catch (error) {
    throw new TextError("flow_unreadable", error instanceof Error ? error.message.split("\n")[0] : undefined);
  }
}
const open = (flowId: string) => {
  location.hash = `#/flows/${encodeURIComponent(flowId)}`;
};

/** `rest` is the id of the flow to open; empty: the list. */
export function FlowsView({ rest }: { rest: string }) {
  return rest ? <OpenFlow key={rest} flowId={rest} /> : <FlowList />;
}

interface Row extends FlowRow {
  /** The server does not have it. */
  onlyHere?: boolean;
}

/** Flows that only this browser has: never saved, or deleted at the server since. */
const onlyHere = (flows: readonly FlowRow[]): Row[] =>
  keptDraftIds()
    .filter((id) => !flows.some((flow) => flow.id === id))
    .map((id) => {
      const { name = "", description = "" } = keptDraft(id)?.document ?? {};
      return { id, name, description, published_version: null, onlyHere: true };
    });

function FlowList() {
  const { t, errorWords } = useTexts();
  const [flows, setFlows] = useState<Row[]>();
  const [problem, setProblem] = useState<string>();
  const file = useRef<HTMLInputElement>(null);
  const load = useCallback(async () => {
    try {
      const { body } = await call<{ flows: FlowRow[] }>("/api/flows");
      setFlows([...body.flows, ...onlyHere(body.flows)]);
    } catch (error) {
      setProblem(errorWords(error));
      setFlows(onlyHere([]));
    }
  }, [errorWords]);
  useEffect(() => void load(), [load]);
  const start = () => {
    const id = `flow-${newId().slice(0, 8)}`;
    keepDraft(id, { document: newDocument(id, t("flows_new")), etag: undefined });
    open(id);
  };
  const read = async (chosen: File | undefined) => {
    if (!chosen) return;
    setProblem(undefined);
    try {
      const document = readDocument(await parsed(chosen));
      if (keptDraft(document.id) && !confirm(`${document.id}: ${t("flows_import_over")}`)) return;
      // A draft without an ETag: saving asks before it goes over a flow of the same id.
      keepDraft(document.id, { document, etag: undefined });
      open(document.id);
    } catch (error) {
      setProblem(`${chosen.name}: ${errorWords(error)}`);
    }
  };
  const remove = async ({ id, name, onlyHere }: Row) => {
    if (!confirm(`${name || id}: ${t("flows_delete_sure")}`)) return;
    setProblem(undefined);
    try {
      if (!onlyHere) await call(pathOf(id), { method: "DELETE" });
      keepDraft(id, undefined);
      await load();
    } catch (error) {
      setProblem(errorWords(error));
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
      {!flows && <p className="loading">{t("loading")}</p>}
      {flows?.length === 0 && !problem && <p className="empty">{t("flows_empty")}</p>}
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
            <button
              type="button"
              className="small danger remove"
              aria-label={`${t("delete")}: ${flow.name || flow.id}`}
              onClick={() => void remove(flow)}
            >
              {t("delete")}
            </button>
          </li>
        ))}
      </ul>
    </main>
  );
}

function OpenFlow({ flowId }: { flowId: string }) {
  const { t, errorWords } = useTexts();
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
    setProblem(undefined);
    call<unknown>(pathOf(flowId))
      .then(({ body, etag }) => {
        if (!gone) setOpened({ document: readDocument(body), etag, restored: false });
      })
      .catch((error: unknown) => {
        if (!gone) setProblem(errorWords(error));
      });
    return () => {
      gone = true;
    };
  }, [flowId, reads]);
  if (problem) {
    return (
      <main>
        <div className="problem" role="alert">
          <p>{problem}</p>
          <button type="button" onClick={() => setReads(reads + 1)}>
            {t("retry")}
          </button>
        </div>
        <a href="#/flows">{t("back")}</a>
      </main>
    );
  }
  if (!opened) return <main className="loading">{t("loading")}</main>;
  return <FlowEditor opened={opened} />;
}
