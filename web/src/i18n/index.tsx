/** Texts of the page in the visitor's language. */

import { ParleyError } from "@parley/client";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { remembered, remember } from "../memory";
import { de } from "./de";
import { germanError } from "./error_texts";
import { en, type Key, type Texts as TextsOf } from "./en";
import { TextError } from "./text_error";

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;
const TEXTS: Record<Language, TextsOf> = { en, de };

export interface Translation {
  language: Language;
  setLanguage(language: Language): void;
  t(key: Key): string;
  /** What the server says of an error with this code, in the visitor's language where it is known. */
  errorText(code: string | undefined, words: string): string;
  /** The same of whatever was thrown. */
  errorWords(error: unknown): string;
}

const Context = createContext<Translation>({
  language: "en",
  setLanguage: () => undefined,
  t: (key) => en[key],
  errorText: (_, words) => words,
  errorWords: String,
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
  const value = useMemo<Translation>(() => {
    const errorText = (code: string | undefined, words: string) =>
      language === "de" ? germanError(code, words) : words;
    return {
      language,
      setLanguage: (next) => {
        remember("language", next);
        setLanguage(next);
      },
      t: (key) => TEXTS[language][key],
      errorText,
      errorWords: (error) => {
        if (error instanceof TextError) return TEXTS[language][error.key];
        if (!(error instanceof ParleyError)) return error instanceof Error ? error.message : String(error);
        return error.code === "network" ? TEXTS[language].problem_server_down : errorText(error.code, error.message);
      },
    };
  }, [language]);
  return <Context value={value}>{children}</Context>;
}
