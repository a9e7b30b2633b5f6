/** The words of both sides as they are spoken, with the cut where the user interrupted. */

import { useEffect, useRef } from "react";
import type { Line } from "../call/call";
import { useTexts } from "../i18n";

/** Texts are put into the page as text, never as markup. */
export function Transcript({ lines }: { lines: readonly Line[] }) {
  const { t } = useTexts();
  const list = useRef<HTMLOListElement>(null);
  const follow = useRef(true);
  // biome-ignore lint: the effect must run after every change of the lines
  useEffect(() => {
    const element = list.current;
    if (element && follow.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  return (
    <section className="transcript" aria-label={t("transcript")}>
      <h2>{t("transcript")}</h2>
      {lines.length === 0 && <p className="empty">{t("transcript_empty")}</p>}
      <ol
        ref={list}
        // A scrolling region must be reachable with the keyboard.
        // biome-ignore lint: see above
        tabIndex={0}
        aria-label={t("transcript")}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          follow.current = scrollHeight - scrollTop - clientHeight < 40;
        }}
      >
        {lines.map((line) => (
          <li key={line.id} data-who={line.who} data-open={line.open || undefined}>
            <span className="who">{line.name ?? t(line.who === "user" ? "you" : "agent")}</span>
            <p aria-live={line.open ? "off" : "polite"}>
              {line.text}
              {line.interrupted && (
                <span className="cut" title={t("cut_here")}>
                  <span aria-hidden="true"> ✂</span>
                  <span className="hidden-text"> ({t("cut_here")})</span>
                </span>
              )}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
