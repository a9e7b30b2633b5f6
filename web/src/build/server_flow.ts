/** Saving and publishing a flow, and what the server says about it. */

import { ParleyError } from "@parley/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { call } from "../api";
import type { FlowDocument, Problem } from "./document";
import { type Draft, keepDraft } from "./drafts";

const VALIDATE_AFTER_MS = 400;

export type SaveState = "saved" | "unsaved" | "saving" | "conflict" | "offline";

const json = (document: FlowDocument): string => {
  const { version, ...stored } = document;
  return JSON.stringify(stored);
};

/** What stands in the way of a call, apart from what the caller handles itself. */
const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function useServerFlow(document: FlowDocument, opened: Draft & { restored: boolean }) {
  const path = `/api/flows/${encodeURIComponent(document.id)}`;
  const etag = useRef(opened.etag);
  const [stored, setStored] = useState(opened.restored ? undefined : json(opened.document));
  const [state, setState] = useState<SaveState>(opened.restored ? "unsaved" : "saved");
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [message, setMessage] = useState<string>();
  const body = json(document);
  const dirty = body !== stored;

  useEffect(() => {
    keepDraft(document.id, dirty ? { document, etag: etag.current } : undefined);
    setState((now) => (now === "conflict" || now === "offline" ? now : dirty ? "unsaved" : "saved"));
  }, [document, dirty]);

  useEffect(() => {
    const asked = new AbortController();
    const timer = setTimeout(() => {
      call<{ problems: Problem[] }>("/api/flows/validate", { method: "POST", body, signal: asked.signal })
        .then(({ body: verdict }) => setProblems(verdict.problems))
        .catch(() => undefined); // saving says that the server is away
    }, VALIDATE_AFTER_MS);
    return () => {
      clearTimeout(timer);
      asked.abort();
    };
  }, [body]);

  /** Gives whether the server has it now. `force` goes over what somebody else saved. */
  const save = useCallback(
    async (force = false): Promise<boolean> => {
      setState("saving");
      setMessage(undefined);
      const put = (match: string) => call(path, { method: "PUT", body, headers: { "if-match": match } });
      try {
        const answer = force
          ? await put("*")
          : etag.current
            ? await put(etag.current)
            : await call("/api/flows", { method: "POST", body });
        etag.current = answer.etag;
        setStored(body);
        setState("saved");
        return true;
      } catch (error) {
        const code = error instanceof ParleyError ? error.code : "";
        if (code === "flow_conflict" || code === "flow_exists") setState("conflict");
        else if (code === "network") setState("offline");
        else {
          setState("unsaved");
          if (code === "flow_invalid") {
            setProblems((error as { body?: { problems?: Problem[] } }).body?.problems ?? []);
          }
          setMessage(words(error));
        }
        return false;
      }
    },
    [body, path],
  );

  const publish = useCallback(async (): Promise<number | undefined> => {
    if (dirty && !(await save())) return undefined;
    try {
      return (await call<{ version: number }>(`${path}/publish`, { method: "POST" })).body.version;
    } catch (error) {
      setMessage(words(error));
      return undefined;
    }
  }, [dirty, path, save]);

  return { state, dirty, problems, message, save, publish };
}
