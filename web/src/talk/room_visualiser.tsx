/** LiveKit's visualiser; a chunk of its own, for calls through a room. */

import { BarVisualizer } from "@livekit/components-react";
import type { RemoteAudioTrack } from "livekit-client";
import type { AgentState } from "../call/call";

const STATES = {
  idle: "disconnected",
  connecting: "connecting",
  listening: "listening",
  thinking: "thinking",
  speaking: "speaking",
  reconnecting: "connecting",
  ended: "disconnected",
} as const;

export default function RoomVisualiser({ track, state }: { track: RemoteAudioTrack; state: AgentState }) {
  return (
    <BarVisualizer
      className="visualiser"
      aria-hidden="true"
      data-state={state}
      state={STATES[state]}
      track={track}
      barCount={7}
      options={{ minHeight: 11, maxHeight: 100 }}
    />
  );
}
