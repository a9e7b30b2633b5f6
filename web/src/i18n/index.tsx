/** Texts of the page in the visitor's language. */

import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { remembered, remember } from "../memory";
import { de } from "./de";
import { en, type Key, type Texts as TextsOf } from "./en";

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;
const TEXTS: Record<Language, TextsOf> = { en, de };

interface Translation {
  language: Language;
  setLanguage(language: Language): void;
  t(key: Key): string;
}

const Context = createContext<Translation>({
  language: "en",
  setLanguage: () => undefined,
  t: (key) => en[key],
});

export const useTexts = (): Translation => useContext(Context);

function preferred(): Language {
  const chosen = remembered("language");
  if (chosen === "en" || chosen === "de") return chosen;
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

export function Texts({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(preferred);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const value = useMemo<Translation>(
    () => ({
      language,
      setLanguage: (next) => {
        remember("language", next);
        setLanguage(next);
      },
      t: (key) => TEXTS[language][key],
    }),
    [language],
  );
  return <Context value={value}>{children}</Context>;
}
