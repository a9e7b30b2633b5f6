/** Start, mute, stop the voice, type, end. */

import { type FormEvent, useState } from "react";
import { type Call, type CallSnapshot, microphoneIsLent } from "../call/call";
import { useTexts } from "../i18n";

interface Props {
  call: Call | undefined;
  snapshot: CallSnapshot;
  starting: boolean;
  again: boolean;
  onStart(): void;
  onEnd(): void;
}

export function Controls({ call, snapshot, starting, again, onStart, onEnd }: Props) {
  const { t } = useTexts();
  const [text, setText] = useState("");
  // What is typed while nobody would get it stays in the field.
  const connected = ["listening", "thinking", "speaking"].includes(snapshot.state);
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (!text.trim() || !connected) return;
    call?.sendText(text.trim());
    setText("");
  };
  if (!call) {
    return (
      <div className="controls">
        <button type="button" className="primary big" onClick={onStart} disabled={starting}>
          {t(again ? "again" : "start")}
        </button>
      </div>
    );
  }
  return (
    <div className="controls">
      <div className="buttons">
        <button
          type="button"
          data-muted={snapshot.muted || undefined}
          aria-describedby={microphoneIsLent() ? undefined : "microphone-why"}
          onClick={() => void call.setMuted(!snapshot.muted)}
        >
          {t(snapshot.muted ? "unmute" : "mute")}
        </button>
        <button
          type="button"
          disabled={snapshot.state !== "speaking"}
          onClick={() => call.interrupt()}
        >
          {t("stop_voice")}
        </button>
        <button type="button" className="danger" onClick={onEnd}>
          {t("end")}
        </button>
      </div>
      {!microphoneIsLent() && (
        <p className="hint" id="microphone-why">
          {t("microphone_why")}
        </p>
      )}
      <form onSubmit={send}>
        <input
          type="text"
          value={text}
          maxLength={4000}
          aria-label={t("type_here")}
          placeholder={t("type_here")}
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" disabled={!text.trim() || !connected}>
          {t("send")}
        </button>
      </form>
    </div>
  );
}
