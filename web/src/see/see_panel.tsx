/** Where the time of each turn went, and what happened. */

import { lazy, Suspense, useMemo, useState } from "react";
import { Boundary } from "../boundary";
import type { Call, CallSnapshot, Waterfall } from "../call/call";
import { percentile } from "../call/waterfall";
import { useTexts } from "../i18n";
import { RecordingPanel } from "./recording_panel";
import { saveFile } from "./save_file";

const FlowProgress = lazy(() => import("./flow_progress").then((m) => ({ default: m.FlowProgress })));

export function SeePanel({ call, snapshot }: { call: Call | undefined; snapshot: CallSnapshot }) {
  const { t, language } = useTexts();
  const { waterfalls, log } = snapshot;
  const [open, setOpen] = useState(false);
  const number = useMemo(() => new Intl.NumberFormat(language, { maximumFractionDigits: 0 }), [language]);
  // An answer that was cut off before it sounded has no first sound.
  const totals = waterfalls
    .filter(({ stages }) => stages.some(({ name }) => name === "played"))
    .map(({ totalMs }) => totalMs);
  const p50 = percentile(totals, 0.5);
  const p95 = percentile(totals, 0.95);
  return (
    <details className="see" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t("see")}</summary>
      <div className="see-body">
        <section aria-label={t("see_waterfall")}>
          <h2>{t("see_waterfall")}</h2>
          {p50 !== undefined && p95 !== undefined && (
            <dl className="latency">
              <dt>{t("see_latency")}</dt>
              <dd>
                <b>{number.format(p50)}</b> {t("ms")} {t("see_p50")}
              </dd>
              <dd>
                <b>{number.format(p95)}</b> {t("ms")} {t("see_p95")}
              </dd>
              <dd>
                {t("see_turns")}: <b>{number.format(totals.length)}</b>
              </dd>
            </dl>
          )}
          {waterfalls.length === 0 && <p className="empty">{t("see_waterfall_empty")}</p>}
          {waterfalls.slice(-8).map((waterfall) => (
            <WaterfallBars key={waterfall.turnId} waterfall={waterfall} format={number} />
          ))}
        </section>
        <section aria-label={t("see_log")}>
          <h2>{t("see_log")}</h2>
          {/* biome-ignore lint: a scrolling region must be reachable with the keyboard */}
          <ol className="log" tabIndex={0} aria-label={t("see_log")}>
            {log.slice(-60).map((entry, index) => (
              // biome-ignore lint: entries are only appended
              <li key={index}>
                <time dateTime={new Date(entry.at).toISOString()}>
                  {new Date(entry.at).toLocaleTimeString(language)}
                </time>{" "}
                <b>{entry.kind}</b> {entry.text}
              </li>
            ))}
          </ol>
          <button
            type="button"
            disabled={!call}
            onClick={() =>
              saveFile(
                "parley-call.json",
                "application/json",
                JSON.stringify({ kind: call?.kind, ...snapshot }, undefined, 2),
              )
            }
          >
            {t("see_export")}
          </button>
        </section>
        <RecordingPanel call={call} snapshot={snapshot} />
        {open && snapshot.session && (
          <Boundary fallback={null}>
            <Suspense>
              <FlowProgress session={snapshot.session} state={snapshot.state} turns={waterfalls.length} />
            </Suspense>
          </Boundary>
        )}
      </div>
    </details>
  );
}

const STAGES = [
  "vad",
  "preflight",
  "transcript",
  "end_of_turn",
  "commit",
  "request",
  "model",
  "first_token",
  "first_sentence",
  "first_audio",
  "published",
  "played",
] as const;

function WaterfallBars({ waterfall, format }: { waterfall: Waterfall; format: Intl.NumberFormat }) {
  const { t } = useTexts();
  const stageName = (name: string): string => {
    const known = STAGES.find((stage) => stage === name);
    return known ? t(`stage_${known}`) : name.replace(/^node /, `${t("stage_node")} `);
  };
  const start = Math.min(0, ...waterfall.stages.map((stage) => stage.startMs));
  const span = Math.max(1, waterfall.totalMs, ...waterfall.stages.map((s) => s.endMs)) - start;
  return (
    <table className="waterfall">
      <caption>
        {t("see_turn")} · {format.format(waterfall.totalMs)} {t("ms")}
        {waterfall.interrupted && ` · ${t(waterfall.heardText === "" ? "cut_before" : "cut_here")}`}
      </caption>
      <thead className="hidden-text">
        <tr>
          <th scope="col">{t("stage")}</th>
          <th scope="col">{t("ms")}</th>
        </tr>
      </thead>
      <tbody>
        {waterfall.stages.map((stage, index) => (
          // biome-ignore lint: stages never change places
          <tr key={index}>
            <th scope="row">{stageName(stage.name)}</th>
            <td>
              <span
                className="bar-part"
                style={{
                  marginInlineStart: `${((stage.startMs - start) / span) * 100}%`,
                  inlineSize: `${Math.max(0.5, ((stage.endMs - stage.startMs) / span) * 100)}%`,
                }}
              />
              <span className="bar-text">{format.format(stage.endMs - stage.startMs)}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
