/** The words of both sides as they are spoken, with the cut where the user interrupted. */

import { useEffect, useRef } from "react";
import type { Line } from "../call/call";
import { useTexts } from "../i18n";

/** Where the user interrupted; dotted where that is a guess. */
function Cut({ estimated }: { estimated: boolean }) {
  const { t } = useTexts();
  const words = t(estimated ? "cut_guessed" : "cut_heard");
  return (
    <span className="cut" data-estimated={estimated || undefined} title={words}>
      {/* A word joiner keeps it in the last word's line. */}
      <span aria-hidden="true">{"\u2060✂"}</span>
      <span className="hidden-text"> ({words})</span>
    </span>
  );
}

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
  useEffect(() => {
    const element = list.current;
    if (!element) return undefined;
    const watch = new ResizeObserver(() => {
      if (follow.current) element.scrollTop = element.scrollHeight;
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
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
              {line.interrupted && <Cut estimated={line.estimated === true} />}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
