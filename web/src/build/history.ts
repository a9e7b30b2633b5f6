/** Undo and redo over documents. */

import { useCallback, useState } from "react";
import type { FlowDocument } from "./document";

const KEPT_STEPS = 200;
const SAME_STEP_MS = 1000;

export interface History {
  past: readonly FlowDocument[];
  present: FlowDocument;
  future: readonly FlowDocument[];
  /** What was changed last and when: quick changes of one field are one step. */
  last: { what: string; at: number };
}

export const newHistory = (present: FlowDocument): History => ({
  past: [],
  present,
  future: [],
  last: { what: "", at: 0 },
});

export function changed(history: History, present: FlowDocument, what: string, at: number): History {
  if (present === history.present) return history;
  const sameStep = what !== "" && what === history.last.what && at - history.last.at < SAME_STEP_MS;
  return {
    past: sameStep ? history.past : [...history.past, history.present].slice(-KEPT_STEPS),
    present,
    future: [],
    last: { what, at },
  };
}

export function undone(history: History): History {
  const before = history.past.at(-1);
  if (!before) return history;
  return {
    past: history.past.slice(0, -1),
    present: before,
    future: [history.present, ...history.future],
    last: { what: "", at: 0 },
  };
}

export function redone(history: History): History {
  const [after, ...future] = history.future;
  if (!after) return history;
  return { past: [...history.past, history.present], present: after, future, last: { what: "", at: 0 } };
}

export function useHistory(first: FlowDocument) {
  const [history, setHistory] = useState(() => newHistory(first));
  return {
    document: history.present,
    canUndo: history.past.length > 0,
    canRedo: history.future.length > 0,
    change: useCallback(
      (to: (document: FlowDocument) => FlowDocument, what = "") =>
        setHistory((now) => changed(now, to(now.present), what, Date.now())),
      [],
    ),
    undo: useCallback(() => setHistory(undone), []),
    redo: useCallback(() => setHistory(redone), []),
  };
}
