/** The frame around the views: navigation, language, theme. */

import { type ComponentType, lazy, Suspense, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Boundary } from "./boundary";
import { LANGUAGES, type Language, useTexts } from "./i18n";
import { KeyDialog } from "./key_dialog";
import { remember, remembered } from "./memory";
import { TalkView } from "./talk/talk_view";

/** Views that load when they are opened. */
const LATER: Record<string, () => Promise<{ default: ComponentType<{ rest: string }> }>> = {
  flows: () => import("./build/flows_view").then(({ FlowsView }) => ({ default: FlowsView })),
  status: () => import("./status/status_view").then(({ StatusView }) => ({ default: StatusView })),
};

const VIEWS = ["talk", "flows", "status"] as const;
type View = (typeof VIEWS)[number];

export interface Route {
  view: View;
  /** What stands behind the view's name: a flow's id. */
  rest: string;
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(
    (listener) => {
      addEventListener("hashchange", listener);
      return () => removeEventListener("hashchange", listener);
    },
    () => location.hash,
  );
  const [view = "", ...rest] = hash.replace(/^#\/?/, "").split("/");
  return {
    view: VIEWS.find((name) => name === view) ?? "talk",
    rest: decoded(rest.join("/")),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // somebody typed it
  }
}

type Theme = "system" | "light" | "dark";

function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState<Theme>(() => {
    const chosen = remembered("theme");
    return chosen === "light" || chosen === "dark" ? chosen : "system";
  });
  useEffect(() => {
    document.documentElement.style.colorScheme = theme === "system" ? "light dark" : theme;
    remember("theme", theme);
  }, [theme]);
  return [theme, setTheme];
}

/** A view of its own; where it cannot be loaded, it says so and loads it again if asked. */
function LaterView({ view, rest }: Route) {
  const { t } = useTexts();
  const [tries, setTries] = useState(0);
  // React keeps a load that failed: each try needs a component of its own.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const Loaded = useMemo(() => LATER[view] && lazy(LATER[view]), [view, tries]);
  if (!Loaded) return null;
  const failed = (
    <main>
      <div className="problem" role="alert">
        <p>{t("view_failed")}</p>
        <button type="button" onClick={() => setTries(tries + 1)}>
          {t("retry")}
        </button>
      </div>
    </main>
  );
  return (
    <Boundary key={tries} fallback={failed}>
      <Suspense fallback={<main className="loading">{t("loading")}</main>}>
        <Loaded rest={rest} />
      </Suspense>
    </Boundary>
  );
}

export function App() {
  const { t, language, setLanguage } = useTexts();
  const [theme, setTheme] = useTheme();
  const route = useRoute();
  return (
    <>
      <header className="bar">
        <a className="brand" href="#/talk" aria-label={t("app_name")}>
          <img src="/icon.svg" alt="" width="28" height="28" />
          <span>{t("app_name")}</span>
        </a>
        <nav aria-label={t("nav_label")}>
          {VIEWS.map((view) => (
            <a key={view} href={`#/${view}`} aria-current={route.view === view ? "page" : undefined}>
              {t(`nav_${view}`)}
            </a>
          ))}
        </nav>
        <details
          className="preferences"
          onBlur={({ currentTarget, relatedTarget }) => {
            if (!currentTarget.contains(relatedTarget)) currentTarget.open = false;
          }}
        >
          <summary aria-label={t("preferences")} title={t("preferences")}>
            <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
              <path
                d="M4 7h9m5 0h2M4 17h2m5 0h9"
                stroke="currentColor"
                strokeWidth="2"
                strokeLinecap="round"
              />
              <circle cx="15.5" cy="7" r="2.5" fill="none" stroke="currentColor" strokeWidth="2" />
              <circle cx="8.5" cy="17" r="2.5" fill="none" stroke="currentColor" strokeWidth="2" />
            </svg>
          </summary>
          <div tabIndex={-1}>
            <label>
              {t("language")}
              <select
                value={language}
                onChange={(event) => setLanguage(event.target.value as Language)}
              >
                {Object.entries(LANGUAGES).map(([code, name]) => (
                  <option key={code} value={code}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <label>
              {t("theme")}
              <select value={theme} onChange={(event) => setTheme(event.target.value as Theme)}>
                {(["system", "light", "dark"] as const).map((name) => (
                  <option key={name} value={name}>
                    {t(`theme_${name}`)}
                  </option>
                ))}
              </select>
            </label>
          </div>
        </details>
      </header>
      <KeyDialog />
      {/* The call goes on while another view is open. */}
      <div hidden={route.view !== "talk"}>
        <TalkView />
      </div>
      <LaterView key={route.view} {...route} />
    </>
  );
}
