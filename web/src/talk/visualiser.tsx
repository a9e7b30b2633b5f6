/** Bars that move with the agent's voice: LiveKit's own in a room, ours over the WebSocket. */

import { lazy, Suspense, useEffect, useRef } from "react";
import { Boundary } from "../boundary";
import type { AgentState, Call } from "../call/call";
import type { LiveKitCall } from "../call/livekit_call";
import type { SocketCall } from "../call/socket_call";

const BARS = 7;
const MIDDLE = (BARS - 1) / 2;
const RoomVisualiser = lazy(() => import("./room_visualiser"));

interface Props {
  call: Call | undefined;
  state: AgentState;
}

export function Visualiser({ call, state }: Props) {
  const track = call?.kind === "livekit" ? (call as LiveKitCall).agentTrack : undefined;
  if (!track) return <Bars call={call} state={state} />;
  const still = <Bars call={undefined} state={state} />;
  return (
    <Boundary fallback={still}>
      <Suspense fallback={still}>
        <RoomVisualiser track={track} state={state} />
      </Suspense>
    </Boundary>
  );
}

function Bars({ call, state }: Props) {
  const bars = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const elements = [...(bars.current?.children ?? [])] as HTMLElement[];
    if (call?.kind !== "socket" || state !== "speaking") {
      for (const element of elements) element.style.removeProperty("--level");
      return undefined;
    }
    let frame = 0;
    const draw = () => {
      // Low tones, which are the strong ones, in the middle.
      const levels = (call as SocketCall).agentLevels(MIDDLE + 1);
      elements.forEach((element, bar) => {
        element.style.setProperty("--level", (levels[Math.abs(bar - MIDDLE)] ?? 0).toFixed(3));
      });
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [call, state]);
  return (
    <div className="visualiser" data-state={state} ref={bars} aria-hidden="true">
      {Array.from({ length: BARS }, (_, bar) => (
        // biome-ignore lint: the bars never change places
        <i key={bar} />
      ))}
    </div>
  );
}
