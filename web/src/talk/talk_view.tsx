/** The conversation: one button, the agent's state, the words of both sides. */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { FlowRow, Status } from "../api";
import { call as request } from "../api";
import { type Call, NO_CALL, type Problem } from "../call/call";
import { announceCall } from "../call/one_call";
import { isReachable } from "../call/reach";
import { useTexts } from "../i18n";
import { SeePanel } from "../see/see_panel";
import { Controls } from "./controls";
import { ready, rememberedCharacters } from "./characters";
import { type CallSettings, CHARACTERS, DevicesPanel, rememberedSettings } from "./devices_panel";
import { Transcript } from "./transcript";
import { Visualiser } from "./visualiser";

const nothing = (): (() => void) => () => undefined;
const noCall = () => NO_CALL;

/** LiveKit where its server answers, else `/ws`; each way's code loads when it is used. */
async function newCall(settings: CallSettings): Promise<Call> {
  let { way, flow } = settings;
  const characters = way !== "livekit" && flow === CHARACTERS ? ready(rememberedCharacters()) : [];
  if (flow === CHARACTERS) flow = "";
  if (characters.length > 0) way = "socket";
  if (way === "auto") {
    const status = await request<Status>("/api/status").catch(() => undefined);
    const { ready, url } = status?.body.livekit ?? {};
    way = ready === false || !isReachable(url) ? "socket" : "livekit";
  }
  if (way === "livekit") {
    const { LiveKitCall } = await import("../call/livekit_call");
    return new LiveKitCall(flow || undefined);
  }
  const { SocketCall } = await import("../call/socket_call");
  return new SocketCall({ flow: flow || undefined, characters });
}

export function TalkView() {
  const { t, errorText } = useTexts();
  const [call, setCall] = useState<Call>();
  const [starting, setStarting] = useState(false);
  /** Why no call could even begin. */
  const [failure, setFailure] = useState<Problem>();
  /** Stops listening for calls in other tabs. */
  const leave = useRef<() => void>(undefined);
  const [settings, setSettings] = useState(rememberedSettings);
  const [flows, setFlows] = useState<FlowRow[]>([]);
  const snapshot = useSyncExternalStore(
    call?.subscribe ?? nothing,
    call?.getSnapshot ?? noCall,
  );
  const active = starting || (call !== undefined && snapshot.state !== "ended");

  useEffect(() => {
    request<{ flows?: FlowRow[] } | FlowRow[]>("/api/flows")
      .then(({ body }) => setFlows(Array.isArray(body) ? body : (body.flows ?? [])))
      .catch(() => undefined);
  }, []);

  const start = useCallback(async () => {
    setStarting(true);
    setFailure(undefined);
    try {
      const next = await newCall(settings);
      next.setVolume(settings.volume);
      if (settings.speaker) await next.setSpeaker(settings.speaker);
      if (settings.microphone) await next.setMicrophone(settings.microphone);
      setCall(next);
      leave.current?.();
      leave.current = announceCall(() => void next.takenOver());
      await next.start();
    } catch (error) {
      // The code of a call loads with its first use: that fails where nobody answers.
      setFailure({ code: "server_down", detail: error instanceof Error ? error.message : String(error) });
    } finally {
      setStarting(false);
    }
  }, [settings]);

  const state = starting && !call ? "connecting" : snapshot.state;
  const problem = failure ?? snapshot.problem;
  return (
    <main className="talk">
      <section className="stage" aria-label={t("talk_heading")}>
        {!call && (
          <div className="welcome">
            <h1>{t("talk_heading")}</h1>
            <p>{t("talk_lead")}</p>
          </div>
        )}
        <Visualiser call={call} state={state} />
        <p className="agent-state" data-state={state} role="status">
          {t(state === "listening" && snapshot.muted ? "state_muted" : `state_${state}`)}
        </p>
        {problem && (
          <p className="problem" role={problem.code === "hung_up" ? "status" : "alert"} data-code={problem.code}>
            {t(`problem_${problem.code}`)}
            {problem.detail && <small>{errorText(problem.error, problem.detail)}</small>}
          </p>
        )}
        <Controls
          call={active ? call : undefined}
          snapshot={snapshot}
          starting={starting}
          again={call !== undefined}
          onStart={() => void start()}
          onEnd={() => void call?.end()}
        />
        <DevicesPanel call={call} state={state} settings={settings} flows={flows} onChange={setSettings} />
      </section>
      <Transcript lines={snapshot.lines} />
      <SeePanel call={call} snapshot={snapshot} />
    </main>
  );
}
