/** Texts of the page in the visitor's language. */

import { ParleyError } from "@parley/client";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { remembered, remember } from "../memory";
import { de } from "./de";
import { germanError } from "./error_texts";
import { en, type Key, type Texts as TextsOf } from "./en";
import { germanProblem, type Problem, problemsIn } from "./problem_texts";
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
  /** The same of something that is wrong with a flow. */
  problemText(problem: Problem): string;
  /** The same of whatever was thrown. */
  errorWords(error: unknown): string;
}

const Context = createContext<Translation>({
  language: "en",
  setLanguage: () => undefined,
  t: (key) => en[key],
  errorText: (_, words) => words,
  problemText: ({ message }) => message,
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
    const problemText = (problem: Problem) => (language === "de" ? germanProblem(problem) : problem.message);
    return {
      language,
      setLanguage: (next) => {
        remember("language", next);
        setLanguage(next);
      },
      t: (key) => TEXTS[language][key],
      errorText,
      problemText,
      errorWords: (error) => {
        if (error instanceof TextError)
          return TEXTS[language][error.key] + (error.detail ? ` (${error.detail})` : "");
        if (!(error instanceof ParleyError)) return error instanceof Error ? error.message : String(error);
        if (error.code === "network") return TEXTS[language].problem_server_down;
        const problems = language === "de" && error.code === "flow_invalid" ? problemsIn(error) : [];
        const listed = problems.map((problem) => `\n- ${problem.path || de.flow_properties}: ${germanProblem(problem)}`);
        return errorText(error.code, listed.join("") || error.message);
      },
    };
  }, [language]);
  return <Context value={value}>{children}</Context>;
}
