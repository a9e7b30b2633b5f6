/** Asks for the API key where the backend wants one. */

import { type FormEvent, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { useTexts } from "./i18n";
import { keyAsked, takeKey } from "./key";

export function KeyDialog() {
  const { t } = useTexts();
  const asked = useSyncExternalStore(keyAsked.subscribe, keyAsked.getSnapshot);
  const dialog = useRef<HTMLDialogElement>(null);
  const [key, setKey] = useState("");
  useEffect(() => {
    if (asked !== "no" && !dialog.current?.open) dialog.current?.showModal();
  }, [asked]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key.trim()) takeKey(key);
  };
  return (
    <dialog ref={dialog} className="key" aria-labelledby="key-heading">
      <form onSubmit={submit}>
        <h2 id="key-heading">{t("key_heading")}</h2>
        <p>{t(asked === "refused" ? "key_refused" : "key_lead")}</p>
        <label>
          {t("key")}
          <input
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={key}
            onChange={(event) => setKey(event.target.value)}
          />
        </label>
        <p className="hint">{t("key_kept")}</p>
        <button type="submit" className="primary" disabled={!key.trim()}>
          {t("key_use")}
        </button>
      </form>
    </dialog>
  );
}
