/** Bars that move with the agent's voice, in LiveKit's manner; still when motion is unwanted. */

import { useEffect, useRef } from "react";
import type { AgentState, Call } from "../call/call";

const BARS = 7;

export function Visualiser({ call, state }: { call: Call | undefined; state: AgentState }) {
  const bars = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const elements = [...(bars.current?.children ?? [])] as HTMLElement[];
    if (!call || state !== "speaking") {
      for (const element of elements) element.style.removeProperty("--level");
      return undefined;
    }
    let frame = 0;
    const draw = () => {
      call.agentLevels(BARS).forEach((level, band) => {
        elements[band]?.style.setProperty("--level", level.toFixed(3));
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
