/** A conversation in writing with the flow as it is edited; its path shows in the graph. */

import { FlowClient, ParleyError } from "@parley/client";
import { type FormEvent, useCallback, useEffect, useRef, useState } from "react";
import { useTexts } from "../i18n";
import { askForKey, authorization } from "../key";
import { Variables } from "../see/variables";
import type { FlowDocument } from "./document";
import type { Path } from "./flow_graph";

interface Props {
  document: FlowDocument;
  onPath(path: Path | undefined): void;
}

interface Said {
  who: "user" | "agent" | "error";
  text: string;
}

/** Where nodes are drawn makes no difference to a conversation. */
const isSameFlow = (one: FlowDocument, other: FlowDocument): boolean =>
  one === other || comparable(one) === comparable(other);
const comparable = (flow: FlowDocument): string =>
  JSON.stringify(flow, (key, value: unknown) => (key === "position" || key === "version" ? undefined : value));

export function TestChat({ document, onPath }: Props) {
  const { t, errorWords } = useTexts();
  const [sessionId, setSessionId] = useState<string>();
  /** What the session runs. */
  const [tested, setTested] = useState(document);
  const [said, setSaid] = useState<Said[]>([]);
  const [variables, setVariables] = useState<Record<string, unknown>>({});
  const [busy, setBusy] = useState(false);
  const [ended, setEnded] = useState(false);
  const [text, setText] = useState("");
  const client = useRef(new FlowClient(document.id, { headers: authorization() }));
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const failed = useCallback((error: unknown) => {
    if (error instanceof ParleyError && error.status === 401) askForKey();
    setSaid((now) => [...now, { who: "error", text: errorWords(error) }]);
  }, [errorWords]);

  const start = async () => {
    running.current?.abort();
    setSessionId(undefined);
    setSaid([]);
    setVariables({});
    setEnded(false);
    onPath(undefined);
    try {
      const { session_id, greeting } = await client.current.openSession({ document });
      setSessionId(session_id);
      setTested(document);
      setVariables(document.variables ?? {});
      if (greeting) setSaid([{ who: "agent", text: greeting }]);
    } catch (error) {
      failed(error);
    }
  };

  const send = async (event: FormEvent) => {
    event.preventDefault();
    const input = text.trim();
    if (!input || !sessionId) return;
    setText("");
    setBusy(true);
    setSaid((now) => [...now, { who: "user", text: input }, { who: "agent", text: "" }]);
    const path = { nodes: [] as string[], edges: [] as string[] };
    const abort = new AbortController();
    running.current = abort;
    try {
      for await (const turn of client.current.turn(sessionId, input, { signal: abort.signal })) {
        if (turn.type === "token") {
          setSaid((now) => [
            ...now.slice(0, -1),
            { who: "agent", text: (now.at(-1)?.text ?? "") + turn.content },
          ]);
        } else if (turn.type === "node_started") {
          path.nodes.push(turn.node_id);
          onPath({ nodes: [...path.nodes], edges: [...path.edges] });
        } else if (turn.type === "node_finished" && turn.edge_id) {
          path.edges.push(turn.edge_id);
          onPath({ nodes: [...path.nodes], edges: [...path.edges] });
        } else if (turn.type === "variables") {
          setVariables((now) => ({ ...now, ...turn.changed }));
        } else if (turn.type === "done") {
          setEnded(turn.ended);
        } else if (turn.type === "error") {
          failed(new ParleyError(turn.code, turn.message));
        }
      }
    } catch (error) {
      failed(error);
    } finally {
      if (running.current === abort) setBusy(false);
    }
  };

  return (
    <div className="test-chat">
      <p className="hint" role="status">
        {t(sessionId && !isSameFlow(tested, document) ? "test_changed" : "test_of_draft")}
      </p>
      <button type="button" onClick={() => void start()}>
        {t(sessionId ? "test_restart" : "test_start")}
      </button>
      <ol aria-live="polite" aria-label={t("test_chat")}>
        {said
          .filter((line) => line.text)
          .map((line, index) => (
            // biome-ignore lint: lines are only appended
            <li key={index} data-who={line.who}>
              {line.text}
            </li>
          ))}
      </ol>
      {ended && <p className="hint">{t("test_ended")}</p>}
      {sessionId && !ended && (
        <form onSubmit={(event) => void send(event)}>
          <input
            type="text"
            value={text}
            aria-label={t("type_here")}
            placeholder={t("type_here")}
            onChange={(event) => setText(event.target.value)}
          />
          <button type="submit" disabled={busy || !text.trim()}>
            {t("send")}
          </button>
        </form>
      )}
      {Object.keys(variables).length > 0 && <Variables values={variables} />}
    </div>
  );
}
