/** Records a call if the user asks for it, and plays it back with its words. */

import { useEffect, useRef, useState } from "react";
import type { Call, CallSnapshot } from "../call/call";
import { useTexts } from "../i18n";
import { Recorder, type Recording } from "./recorder";
import { saveFile } from "./save_file";

interface Props {
  call: Call | undefined;
  snapshot: CallSnapshot;
}

export function RecordingPanel({ call, snapshot }: Props) {
  const { t } = useTexts();
  const [wanted, setWanted] = useState(false);
  const [recording, setRecording] = useState<Recording>();
  const running = call !== undefined && snapshot.state !== "ended";
  useEffect(() => {
    if (!wanted || !running) return undefined;
    const recorder = new Recorder(call);
    return () => void recorder.stop().then(setRecording);
  }, [wanted, running, call]);
  return (
    <section aria-label={t("recording")}>
      <h2>{t("recording")}</h2>
      <label className="record">
        <input type="checkbox" checked={wanted} onChange={(event) => setWanted(event.target.checked)} /> {t("record")}{" "}
        <small>{t("record_hint")}</small>
      </label>
      {recording && <Playback recording={recording} />}
    </section>
  );
}

function Playback({ recording }: { recording: Recording }) {
  const { t } = useTexts();
  const [url, setUrl] = useState<string>();
  const [atS, setAtS] = useState(0);
  const audio = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    const made = URL.createObjectURL(recording.sound);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [recording]);
  const now = recording.lines.findLast((line) => line.atS <= atS)?.id;
  return (
    <>
      {/* biome-ignore lint: the words stand below */}
      <audio
        ref={audio}
        controls
        src={url}
        aria-label={t("recording_play")}
        onTimeUpdate={(event) => setAtS(event.currentTarget.currentTime)}
      />
      <ol className="played">
        {recording.lines.map((line) => (
          <li key={line.id}>
            <button
              type="button"
              className="small"
              aria-current={line.id === now || undefined}
              onClick={() => {
                if (audio.current) audio.current.currentTime = line.atS;
              }}
            >
              <b>{line.name ?? t(line.who === "user" ? "you" : "agent")}</b> {line.text}
            </button>
          </li>
        ))}
      </ol>
      <button
        type="button"
        onClick={() => {
          saveFile("parley-call.webm", recording.sound.type, recording.sound);
          saveFile("parley-call-words.json", "application/json", JSON.stringify(recording.lines, undefined, 2));
        }}
      >
        {t("recording_save")}
      </button>
    </>
  );
}
