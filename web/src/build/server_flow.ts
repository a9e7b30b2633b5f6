/** Saving and publishing a flow, and what the server says about it. */

import { ParleyError } from "@parley/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { call } from "../api";
import { useTexts } from "../i18n";
import { type Problem, problemsIn } from "../i18n/problem_texts";
import { type FlowDocument, readDocument } from "./document";
import { type Draft, keepDraft } from "./drafts";

const VALIDATE_AFTER_MS = 400;

export type SaveState = "saved" | "unsaved" | "saving" | "conflict" | "offline";

const json = (document: FlowDocument): string => {
  const { version, ...stored } = document;
  return JSON.stringify(stored);
};

/**
 * `change` puts another document in the place of the open one, as a step that can be undone.
 */
export function useServerFlow(
  document: FlowDocument,
  opened: Draft & { restored: boolean },
  change: (to: () => FlowDocument) => void,
) {
  const path = `/api/flows/${encodeURIComponent(document.id)}`;
  const { t, errorWords } = useTexts();
  const etag = useRef(opened.etag);
  const [stored, setStored] = useState(opened.restored ? undefined : json(opened.document));
  const [state, setState] = useState<SaveState>(opened.restored ? "unsaved" : "saved");
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [message, setMessage] = useState<string>();
  const body = json(document);
  const dirty = body !== stored;

  useEffect(() => {
    const keep = () => keepDraft(document.id, dirty ? { document, etag: etag.current } : undefined);
    const kept = keep();
    setState((now) => (now === "conflict" || now === "offline" ? now : dirty ? "unsaved" : "saved"));
    if (!dirty) return undefined;
    // Another tab that saves the same flow forgets what is kept: this one still has its own.
    const onStorage = ({ newValue, key }: StorageEvent) => {
      if (newValue === null && (key === null || key.endsWith(`flow.${document.id}`))) keep();
    };
    // Where nothing can be kept, the browser asks before it leaves.
    const onLeave = (event: BeforeUnloadEvent) => {
      if (!kept) event.preventDefault();
    };
    addEventListener("storage", onStorage);
    addEventListener("beforeunload", onLeave);
    return () => {
      removeEventListener("storage", onStorage);
      removeEventListener("beforeunload", onLeave);
    };
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
          const found = code === "flow_invalid" ? problemsIn(error) : [];
          if (found.length > 0) setProblems(found);
          setMessage(found.length > 0 ? t("flow_refused") : errorWords(error));
        }
        return false;
      }
    },
    [body, path, t, errorWords],
  );

  /** Takes the server's draft in the place of what is open; undoing brings that back. */
  const takeTheirs = useCallback(async (): Promise<void> => {
    try {
      const answer = await call<unknown>(path);
      const theirs = readDocument(answer.body);
      etag.current = answer.etag;
      setStored(json(theirs));
      setMessage(undefined);
      setState("saved");
      change(() => theirs);
    } catch (error) {
      setMessage(errorWords(error));
    }
  }, [path, change, errorWords]);

  const publish = useCallback(async (): Promise<number | undefined> => {
    if (dirty && !(await save())) return undefined;
    try {
      return (await call<{ version: number }>(`${path}/publish`, { method: "POST" })).body.version;
    } catch (error) {
      setMessage(errorWords(error));
      return undefined;
    }
  }, [dirty, path, save, errorWords]);

  return { state, dirty, problems, message, save, publish, takeTheirs };
}
