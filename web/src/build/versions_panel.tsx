/** Published versions, and how each differs from what is open. */

import { ParleyError } from "@parley/client";
import { useEffect, useState } from "react";
import { stringify } from "yaml";
import { call } from "../api";
import { useTexts } from "../i18n";
import { type DiffLine, diffLines, type FlowDocument, readDocument } from "./document";

interface Version {
  version: number;
  published_at: number;
}

/** Keys in one order, places left out: what a difference is about. */
function text(document: FlowDocument): string {
  const { version, nodes, ...others } = document;
  const plain = nodes.map(({ position, ...node }) => node);
  return stringify({ ...others, nodes: plain }, { sortMapEntries: true });
}

interface Props {
  document: FlowDocument;
  /** Takes a version in the place of what is open. */
  onRestore(version: FlowDocument): void;
}

export function VersionsPanel({ document, onRestore }: Props) {
  const { t, language, errorWords } = useTexts();
  const [problem, setProblem] = useState<string>();
  const [versions, setVersions] = useState<Version[]>();
  const [compared, setCompared] = useState<{ version: number; lines: DiffLine[] }>();
  const path = `/api/flows/${encodeURIComponent(document.id)}`;
  useEffect(() => {
    call<{ versions: Version[] }>(`${path}/versions`)
      .then(({ body }) => setVersions(body.versions))
      .catch((error: unknown) => {
        setVersions([]);
        // A flow that was never saved has no versions yet.
        if (!(error instanceof ParleyError && error.status === 404)) setProblem(errorWords(error));
      });
  }, [path, errorWords]);
  const read = async (version: number, take: (body: FlowDocument) => void) => {
    setProblem(undefined);
    try {
      const { body } = await call<unknown>(`${path}?version=${version}`);
      take(readDocument(body));
    } catch (error) {
      setProblem(errorWords(error));
    }
  };
  const compare = (version: number) =>
    read(version, (body) => setCompared({ version, lines: diffLines(text(body), text(document)) }));
  if (!versions) return <p>{t("loading")}</p>;
  const differs = compared?.lines.some((line) => line.kind !== "same");
  return (
    <>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      {versions.length === 0 && !problem && <p className="empty">{t("versions_empty")}</p>}
      <ul className="leaving">
        {versions.map(({ version, published_at }) => (
          <li key={version} className="version">
            <span>
              <b>
                {t("version")} {version}
              </b>{" "}
              <small>{new Date(published_at * 1000).toLocaleString(language)}</small>
            </span>
            <span>
              <button type="button" className="small" onClick={() => void compare(version)}>
                {t("compare")}
              </button>{" "}
              <button
                type="button"
                className="small"
                title={t("restore_hint")}
                onClick={() => void read(version, onRestore)}
              >
                {t("restore")}
              </button>
            </span>
          </li>
        ))}
      </ul>
      {compared && (
        <section aria-label={`${t("version")} ${compared.version}`}>
          <h2>
            {t("version")} {compared.version} → {t("draft")}
          </h2>
          {!differs && <p className="fine">{t("same")}</p>}
          {differs && (
            // biome-ignore lint: a scrolling region must be reachable with the keyboard
            <pre className="diff" tabIndex={0}>
              {compared.lines.map((line, index) => (
                // biome-ignore lint: lines have no names
                <span key={index} data-kind={line.kind}>
                  {line.kind === "added" ? "+ " : line.kind === "removed" ? "− " : "  "}
                  {line.text}
                  {"\n"}
                </span>
              ))}
            </pre>
          )}
        </section>
      )}
    </>
  );
}
