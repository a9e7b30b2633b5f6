/** Microphone, speaker, volume, connection and who answers; kept for the next visit. */

import { useEffect, useState } from "react";
import type { FlowRow } from "../api";
import type { AgentState, Call } from "../call/call";
import type { SocketCall } from "../call/socket_call";
import { useTexts } from "../i18n";
import { remember, remembered } from "../memory";
import { ready, rememberCharacters, rememberedCharacters } from "./characters";
import { CharactersPanel } from "./characters_panel";

export interface CallSettings {
  way: "auto" | "livekit" | "socket";
  /** A flow's id; empty for the server's own choice, `CHARACTERS` for those of the form. */
  flow: string;
  volume: number;
  /** Ids of devices; empty for the system's own choice. */
  microphone: string;
  speaker: string;
}

/** In place of a flow's id: no flow can be called so. */
export const CHARACTERS = ":characters";

const WAYS = ["auto", "livekit", "socket"] as const;

export function rememberedSettings(): CallSettings {
  const volume = Number(remembered("volume") ?? 1);
  return {
    way: WAYS.find((way) => way === remembered("way")) ?? "auto",
    flow: remembered("flow") ?? "",
    volume: volume >= 0 && volume <= 1 ? volume : 1,
    microphone: remembered("microphone") ?? "",
    speaker: remembered("speaker") ?? "",
  };
}

/** Devices have names only once the microphone was allowed, as it is in a call. */
function useDevices(state: AgentState): MediaDeviceInfo[] {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the state says when to read again
  useEffect(() => {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (!media) return undefined;
    const read = () =>
      void media
        .enumerateDevices()
        .then(setDevices)
        .catch(() => setDevices([]));
    read();
    media.addEventListener("devicechange", read);
    return () => media.removeEventListener("devicechange", read);
  }, [state]);
  return devices;
}

interface Props {
  call: Call | undefined;
  state: AgentState;
  settings: CallSettings;
  flows: readonly FlowRow[];
  onChange(settings: CallSettings): void;
}

export function DevicesPanel({ call, state, settings, flows, onChange }: Props) {
  const { t } = useTexts();
  const devices = useDevices(state);
  const [characters, setCharacters] = useState(rememberedCharacters);
  const change = (part: Partial<CallSettings>) => {
    const next = { ...settings, ...part };
    remember("way", next.way);
    remember("flow", next.flow);
    remember("volume", String(next.volume));
    remember("microphone", next.microphone);
    remember("speaker", next.speaker);
    onChange(next);
  };
  const options = (kind: MediaDeviceKind) =>
    devices
      .filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default")
      .map((device) => (
        <option key={device.deviceId} value={device.deviceId}>
          {device.label || device.deviceId.slice(0, 8)}
        </option>
      ));
  /** One that was chosen before and is not there now. */
  const absent = (id: string) =>
    id && !devices.some(({ deviceId }) => deviceId === id) && <option value={id}>{t("device_absent")}</option>;
  return (
    <details className="devices">
      <summary>{t("settings")}</summary>
      <div className="fields">
        <label>
          {t("microphone")}
          <select
            value={settings.microphone}
            onChange={({ target }) => {
              void call?.setMicrophone(target.value);
              change({ microphone: target.value });
            }}
          >
            <option value="">{t("default_device")}</option>
            {options("audioinput")}
            {absent(settings.microphone)}
          </select>
        </label>
        <label>
          {t("speaker")}
          <select
            value={settings.speaker}
            onChange={({ target }) => {
              void call?.setSpeaker(target.value);
              change({ speaker: target.value });
            }}
          >
            <option value="">{t("default_device")}</option>
            {options("audiooutput")}
            {absent(settings.speaker)}
          </select>
        </label>
        <label>
          {t("volume")}
          <input
            type="range"
            min="0"
            max="1"
            step="0.05"
            value={settings.volume}
            onChange={(event) => {
              const volume = Number(event.target.value);
              call?.setVolume(volume);
              change({ volume });
            }}
          />
        </label>
        <label>
          {t("way")}
          <select
            value={settings.way}
            onChange={(event) => change({ way: event.target.value as CallSettings["way"] })}
          >
            {WAYS.map((way) => (
              <option key={way} value={way}>
                {t(`way_${way}`)}
              </option>
            ))}
          </select>
        </label>
        <label>
          {t("flow")}
          <select
            value={settings.flow}
            onChange={(event) => change({ flow: event.target.value })}
          >
            <option value="">{t("flow_default")}</option>
            {settings.way !== "livekit" && <option value={CHARACTERS}>{t("characters")}</option>}
            {flows.map((flow) => (
              <option key={flow.id} value={flow.id}>
                {flow.name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {settings.flow === CHARACTERS && settings.way !== "livekit" && (
        <CharactersPanel
          characters={characters}
          onChange={(next) => {
            rememberCharacters(next);
            setCharacters(next);
          }}
          onCommit={() => call?.kind === "socket" && (call as SocketCall).setCharacters(ready(characters))}
        />
      )}
    </details>
  );
}
