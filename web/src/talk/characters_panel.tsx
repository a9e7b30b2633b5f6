/** A form for the characters: name, voice, pace, and how they are. */

import type { Character } from "@parley/client";
import { useEffect, useState } from "react";
import { call, type Providers, type Status } from "../api";
import { useTexts } from "../i18n";
import { MOST_CHARACTERS, newCharacter } from "./characters";

interface Voice {
  id: string;
  name: string;
}

/** Voices of the provider that speaks at this backend. */
function useVoices(): Voice[] {
  const [voices, setVoices] = useState<Voice[]>([]);
  useEffect(() => {
    Promise.all([call<Status>("/api/status"), call<Providers>("/api/providers")])
      .then(([status, providers]) => {
        const speaking = status.body.models?.tts;
        setVoices(providers.body.tts?.find(({ name }) => name === speaking)?.voices ?? []);
      })
      .catch(() => undefined);
  }, []);
  return voices;
}

interface Props {
  characters: readonly Character[];
  onChange(characters: Character[]): void;
  /** A field was left, a character added or removed: a call that runs takes it from here. */
  onCommit(): void;
}

export function CharactersPanel({ characters, onChange, onCommit }: Props) {
  const { t } = useTexts();
  const voices = useVoices();
  const change = (id: string, part: Partial<Character>) =>
    onChange(characters.map((character) => (character.id === id ? { ...character, ...part } : character)));
  return (
    <section className="characters" aria-label={t("characters")}>
      <p className="hint">{t("characters_hint")}</p>
      {characters.map((character) => (
        <fieldset key={character.id} onBlur={onCommit}>
          <legend>{character.name || t("character_new")}</legend>
          <label>
            {t("character_name")}
            <input
              type="text"
              maxLength={100}
              value={character.name}
              onChange={({ target }) => change(character.id, { name: target.value })}
            />
          </label>
          <label>
            {t("character_voice")}
            <select
              value={character.voice ?? ""}
              onChange={({ target }) => change(character.id, { voice: target.value })}
            >
              <option value="">{t("character_voice_default")}</option>
              {character.voice && !voices.some(({ id }) => id === character.voice) && (
                <option value={character.voice}>{character.voice}</option>
              )}
              {voices.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <label>
            {t("character_speed")}
            <input
              type="range"
              min="0.5"
              max="2"
              step="0.1"
              value={character.speed ?? 1}
              aria-valuetext={`${character.speed ?? 1} ×`}
              onChange={({ target }) => change(character.id, { speed: target.valueAsNumber })}
            />
          </label>
          <label className="wide">
            {t("character_instructions")}
            <textarea
              rows={2}
              maxLength={20_000}
              value={character.instructions}
              onChange={({ target }) => change(character.id, { instructions: target.value })}
            />
          </label>
          <button
            type="button"
            className="small danger"
            aria-label={`${t("delete")}: ${character.name || t("character_new")}`}
            onClick={() => onChange(characters.filter(({ id }) => id !== character.id))}
          >
            {t("delete")}
          </button>
        </fieldset>
      ))}
      <button
        type="button"
        className="small"
        disabled={characters.length >= MOST_CHARACTERS}
        onClick={() => onChange([...characters, newCharacter()])}
      >
        {t("character_add")}
      </button>
    </section>
  );
}
