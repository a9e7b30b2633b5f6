/** What runs, what is configured, what is missing. */

import { useEffect, useState } from "react";
import { call, type Providers, type ProviderRow, type Status } from "../api";
import { useTexts } from "../i18n";
import type { Key } from "../i18n/en";

const PARTS = new Set(["database", "livekit", "worker"]);
const MODELS = new Set(["llm", "why", "stt", "tts"]);
const REFRESH_MS = 3000;

interface Loaded {
  status: Status;
  providers: Providers;
  at: Date;
}

export function StatusView() {
  const { t, language, errorWords } = useTexts();
  const [loaded, setLoaded] = useState<Loaded>();
  const [down, setDown] = useState<string>();
  const megabytes = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  useEffect(() => {
    let gone = false;
    const load = async () => {
      try {
        const [status, providers] = await Promise.all([
          call<Status>("/api/status"),
          call<Providers>("/api/providers"),
        ]);
        if (gone) return;
        setLoaded({ status: status.body, providers: providers.body, at: new Date() });
        setDown(undefined);
      } catch (error) {
        if (!gone) setDown(errorWords(error));
      }
    };
    void load();
    const timer = setInterval(() => void load(), REFRESH_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [errorWords]);
  return (
    <main className="status">
      <h1>{t("status_heading")}</h1>
      {down && (
        <p className="problem" role="alert">
          {down}
        </p>
      )}
      {!loaded && !down && <p>{t("loading")}</p>}
      {loaded && (
        <>
          <section>
            <h2>{t("status_parts")}</h2>
            <ul className="cards">
              {Object.entries(loaded.status.parts ?? {}).map(([name, part]) => (
                <li key={name} data-ready={part.ready}>
                  <b>{PARTS.has(name) ? t(`part_${name}` as Key) : name}</b>
                  <span>{t(part.ready ? "status_ready" : "status_not_ready")}</span>
                  {part.detail && <small>{part.detail}</small>}
                </li>
              ))}
            </ul>
          </section>
          {(loaded.status.downloads ?? []).length > 0 && (
            <section>
              <h2>{t("status_downloads")}</h2>
              <ul className="downloads">
                {loaded.status.downloads?.map(({ name, done_bytes, total_bytes }) => (
                  <li key={name}>
                    <label>
                      {name}
                      <progress {...(total_bytes > 0 && { value: done_bytes, max: total_bytes })} />
                    </label>
                    <small>
                      {megabytes.format(done_bytes / 1e6)}
                      {total_bytes > 0 && ` / ${megabytes.format(total_bytes / 1e6)}`} MB
                    </small>
                  </li>
                ))}
              </ul>
            </section>
          )}
          <Facts
            title={t("status_models")}
            facts={loaded.status.models}
            name={(name) => (MODELS.has(name) ? t(`status_${name}` as Key) : name)}
          />
          <section>
            <h2>{t("status_providers")}</h2>
            <ProviderTable title={t("status_llm")} rows={loaded.providers.llm} />
            <ProviderTable title={t("status_stt")} rows={loaded.providers.stt} />
            <ProviderTable title={t("status_tts")} rows={loaded.providers.tts} />
          </section>
          <Facts title={t("status_versions")} facts={loaded.status.versions} />
          <p className="footnote">
            {t("status_sessions")}: {loaded.status.sessions ?? 0} · {t("status_updated")}{" "}
            {loaded.at.toLocaleTimeString(language)}
          </p>
        </>
      )}
    </main>
  );
}

interface FactsProps {
  title: string;
  facts: Record<string, string> | undefined;
  /** What a fact is called. */
  name?(key: string): string;
}

function Facts({ title, facts, name = (key) => key }: FactsProps) {
  if (!facts || Object.keys(facts).length === 0) return null;
  return (
    <section>
      <h2>{title}</h2>
      <dl className="facts">
        {Object.entries(facts).map(([key, value]) => (
          <div key={key}>
            <dt>{name(key)}</dt>
            <dd>{String(value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function ProviderTable({ title, rows }: { title: string; rows: ProviderRow[] | undefined }) {
  const { t } = useTexts();
  return (
    <table className="providers">
      <caption>{title}</caption>
      <tbody>
        {(rows ?? []).map((row) => (
          <tr key={row.name} data-ready={row.configured}>
            <th scope="row">{row.label ?? row.name}</th>
            <td>{t(row.configured ? "status_configured" : "status_not_configured")}</td>
            <td>{(row.configured ? undefined : row.needs?.join(", ")) ?? [...(row.models ?? []), ...(row.voices ?? []).map((v) => v.name)].slice(0, 6).join(", ")}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
