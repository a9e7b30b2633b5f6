/** The frame around the views: navigation, language, theme. */

import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { LANGUAGES, type Language, useTexts } from "./i18n";
import { KeyDialog } from "./key_dialog";
import { remember, remembered } from "./memory";
import { TalkView } from "./talk/talk_view";

const FlowsView = lazy(() => import("./build/flows_view").then((m) => ({ default: m.FlowsView })));
const StatusView = lazy(() =>
  import("./status/status_view").then((m) => ({ default: m.StatusView })),
);

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
    rest: decodeURIComponent(rest.join("/")),
  };
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
      <Suspense fallback={<main className="loading">{t("loading")}</main>}>
        {route.view === "flows" && <FlowsView flowId={route.rest || undefined} />}
        {route.view === "status" && <StatusView />}
      </Suspense>
    </>
  );
}
