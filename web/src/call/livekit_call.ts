/** A call through a LiveKit room. */

import {
  ConnectionError,
  ConnectionErrorReason,
  DisconnectReason,
  type Participant,
  type RemoteAudioTrack,
  type RemoteParticipant,
  type RemoteTrack,
  Room,
  RoomEvent,
  type TextStreamHandler,
  TokenSource,
  Track,
} from "livekit-client";
import { call as request, type Status } from "../api";
import { askForKey, authorization } from "../key";
import "./random_uuid";
import { type AgentState, Call, microphoneProblem, type Problem, RECONNECT_DELAYS_MS, type Waterfall } from "./call";
import { isReachable } from "./reach";
import { readWaterfall, WATERFALL_TOPIC } from "./waterfall";

const TRANSCRIPTION_TOPIC = "lk.transcription";
const CHAT_TOPIC = "lk.chat";
const AGENT_STATE = "lk.agent.state";
const AGENT_WAIT_MS = 15_000;
/** What a full server asks callers to wait (`Retry-After`, which TokenSource keeps to itself). */
const FULL_RETRY_MS = 2000;
/** What passes by itself where a call has been. */
const COMES_BACK: readonly Problem["code"][] = ["server_down", "room_full"];
/** The other side ended the call. */
const HUNG_UP = new Set([
  DisconnectReason.ROOM_DELETED,
  DisconnectReason.ROOM_CLOSED,
  DisconnectReason.PARTICIPANT_REMOVED,
]);

export class LiveKitCall extends Call {
  override readonly kind = "livekit";
  private readonly room = new Room({
    adaptiveStream: false,
    disconnectOnPageLeave: true,
    audioCaptureDefaults: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
  private readonly elements = new Set<HTMLMediaElement>();
  /** The agent's voice, once it can be heard. */
  agentTrack: RemoteAudioTrack | undefined;
  private agentTimer: ReturnType<typeof setTimeout> | undefined;
  private volume = 1;
  private ending = false;
  /** Ends a pause. */
  private wake = (): void => undefined;
  private joining = false;
  /** Tries to join, or waits until it tries again. */
  private trying = false;
  /** Tries and waits since an agent was last there. */
  private failures = 0;
  private muted = false;
  private typed = 0;

  constructor(private readonly flowId: string | undefined) {
    super();
    this.room
      .on(RoomEvent.TrackSubscribed, this.onTrack)
      .on(RoomEvent.TrackUnsubscribed, this.onTrackGone)
      .on(RoomEvent.ParticipantAttributesChanged, this.onAttributes)
      .on(RoomEvent.ParticipantConnected, this.onParticipant)
      .on(RoomEvent.ParticipantDisconnected, this.onParticipantGone)
      .on(RoomEvent.Reconnecting, () => this.update({ state: "reconnecting" }))
      .on(RoomEvent.Reconnected, () => this.showAgent())
      .on(RoomEvent.MediaDevicesError, (error) => this.update({ problem: microphoneProblem(error) }))
      .on(RoomEvent.DataReceived, this.onData)
      .on(RoomEvent.Disconnected, this.onDisconnected);
    this.room.registerTextStreamHandler(TRANSCRIPTION_TOPIC, this.onTranscription);
  }

  override async start(): Promise<void> {
    await this.keepJoining(["room_full"]);
  }

  /** Tries until it is let in, as long as what is in the way passes by itself. */
  private async keepJoining(passing: readonly Problem["code"][], firstPauseMs?: number): Promise<void> {
    if (this.trying) return;
    this.trying = true;
    try {
      if (firstPauseMs !== undefined) await this.pause(firstPauseMs);
      while (!this.ending) {
        const problem = await this.problemOfJoining();
        if (!problem || this.ending) return;
        // A server that was there comes back.
        if (problem.code === "room_full") passing = COMES_BACK;
        if (!passing.includes(problem.code)) {
          this.fail(problem);
          return;
        }
        this.update({ problem });
        await this.pause(problem.code === "room_full" ? FULL_RETRY_MS : 0);
      }
    } finally {
      this.trying = false;
    }
  }

  private async problemOfJoining(): Promise<Problem | undefined> {
    try {
      await this.join();
      return undefined;
    } catch (error) {
      await this.room.disconnect();
      return connectProblem(error);
    }
  }

  private async join(): Promise<void> {
    this.joining = true;
    try {
      const source = TokenSource.endpoint(new URL("/api/token", location.href).href, {
        headers: authorization(),
      });
      const { serverUrl, participantToken } = await source.fetch(
        this.flowId ? { participantAttributes: { flow_id: this.flowId } } : {},
      );
      if (this.ending) return;
      if (!isReachable(serverUrl)) throw new UnreachableError(serverUrl);
      // The microphone is asked for while the connection is made: both take their time.
      const [, microphone] = await Promise.allSettled([
        this.room.connect(serverUrl, participantToken),
        this.room.localParticipant.setMicrophoneEnabled(!this.muted),
      ]).then((results) => {
        if (results[0].status === "rejected") throw results[0].reason;
        return results;
      });
      const { permissions } = this.room.localParticipant;
      let problem: Problem | undefined;
      if (permissions?.canPublish === false) problem = { code: "may_not_speak" };
      else if (permissions?.canSubscribe === false) problem = { code: "may_not_hear" };
      else if (microphone.status === "rejected") problem = microphoneProblem(microphone.reason);
      else if (!this.agent() && this.getSnapshot().problem?.code === "room_full") problem = { code: "room_full" };
      this.muted ||= microphone.status === "rejected";
      this.update({ problem, muted: this.muted });
      await this.room.startAudio();
      this.log("connected", this.room.name);
      this.showAgent();
      if (this.agent()) this.failures = 0;
      else this.agentTimer = setTimeout(() => void this.onAgentMissing(), AGENT_WAIT_MS);
    } finally {
      this.joining = false;
    }
  }

  /** Waits the longer the more tries have failed, and at least so long; not beyond the call's end. */
  private pause(leastMs: number): Promise<void> {
    const delayMs = RECONNECT_DELAYS_MS[Math.min(this.failures, RECONNECT_DELAYS_MS.length - 1)] ?? 0;
    this.failures += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(delayMs, leastMs));
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The room is gone, as after a server's restart or a laptop's sleep: joins a new one. */
  private async rejoin(): Promise<void> {
    this.log("disconnected", "");
    this.update({ state: "reconnecting" });
    await this.keepJoining(COMES_BACK, 0);
  }

  override async end(): Promise<void> {
    this.ending = true;
    this.wake();
    clearTimeout(this.agentTimer);
    await this.room.disconnect();
    this.cleanUp();
    this.update({ state: "ended" });
  }

  override async setMuted(muted: boolean): Promise<void> {
    try {
      await this.room.localParticipant.setMicrophoneEnabled(!muted);
      this.muted = muted;
      this.update({ muted, problem: undefined });
    } catch (error) {
      this.update({ problem: microphoneProblem(error), muted: true });
    }
  }

  override sendText(text: string): void {
    this.typed += 1;
    this.line(`typed-${this.typed}`, "user", { text, open: false });
    void this.room.localParticipant.sendText(text, { topic: CHAT_TOPIC });
  }

  override interrupt(): void {
    const agent = this.agent();
    if (!agent) return;
    void this.room.localParticipant
      .performRpc({ destinationIdentity: agent.identity, method: "parley.interrupt", payload: "" })
      .catch((error: unknown) => this.log("error", String(error)));
  }

  override streams(): { user?: MediaStream; agent?: MediaStream } {
    const own = this.room.localParticipant.getTrackPublication(Track.Source.Microphone)?.track;
    return {
      ...(own && { user: new MediaStream([own.mediaStreamTrack]) }),
      ...(this.agentTrack && { agent: new MediaStream([this.agentTrack.mediaStreamTrack]) }),
    };
  }

  override setVolume(volume: number): void {
    this.volume = volume;
    this.agentTrack?.setVolume(volume);
  }

  override async setMicrophone(deviceId: string): Promise<void> {
    try {
      await this.room.switchActiveDevice("audioinput", deviceId || "default", false);
    } catch (error) {
      this.update({ problem: microphoneProblem(error) });
    }
  }

  override async setSpeaker(deviceId: string): Promise<void> {
    await this.room.switchActiveDevice("audiooutput", deviceId || "default").catch(() => undefined);
  }

  private agent(): RemoteParticipant | undefined {
    return [...this.room.remoteParticipants.values()].find((participant) => participant.isAgent);
  }

  private agentState(): AgentState {
    const state = this.agent()?.attributes[AGENT_STATE];
    if (state === "speaking" || state === "thinking" || state === "listening") return state;
    return "connecting";
  }

  private showAgent(): void {
    const { "parley.flow": flowId, "parley.session": sessionId } = this.agent()?.attributes ?? {};
    this.update({
      state: this.agentState(),
      ...(flowId && sessionId && { session: { flowId, sessionId } }),
    });
  }

  private readonly onAttributes = (_: Record<string, string>, participant: Participant): void => {
    if (participant.isAgent) this.showAgent();
  };

  private readonly onParticipant = (participant: RemoteParticipant): void => {
    if (!participant.isAgent) return;
    clearTimeout(this.agentTimer);
    this.failures = 0;
    this.log("agent", "joined");
    const { problem } = this.getSnapshot();
    this.update({
      state: this.agentState(),
      problem: problem?.code === "agent_missing" || problem?.code === "room_full" ? undefined : problem,
    });
  };

  private readonly onParticipantGone = (participant: RemoteParticipant): void => {
    if (!participant.isAgent || this.ending) return;
    this.log("agent", "left");
    this.update({ state: "connecting" });
    clearTimeout(this.agentTimer);
    this.agentTimer = setTimeout(() => void this.onAgentMissing(), AGENT_WAIT_MS);
  };

  /** A worker that is well takes no more calls than it has places for. */
  private async onAgentMissing(): Promise<void> {
    const status = await request<Status>("/api/status").catch(() => undefined);
    if (this.agent() || this.ending || this.trying) return;
    if (status?.body.parts?.worker?.ready !== true) {
      this.update({ problem: { code: "agent_missing" } });
      return;
    }
    this.update({ problem: { code: "room_full" } });
    // A room that nobody took is not offered again: a new one is.
    await this.room.disconnect();
    await this.keepJoining(COMES_BACK, FULL_RETRY_MS);
  }

  private readonly onTrack = (track: RemoteTrack): void => {
    if (track.kind !== Track.Kind.Audio) return;
    const audio = track as RemoteAudioTrack;
    const element = audio.attach();
    element.dataset.parley = "agent";
    this.elements.add(element);
    document.body.append(element);
    audio.setVolume(this.volume);
    this.agentTrack = audio;
    this.update({});
  };

  private readonly onTrackGone = (track: RemoteTrack): void => {
    for (const element of track.detach()) {
      element.remove();
      this.elements.delete(element);
    }
  };

  /** A stream is one segment; the agent's grows word by word with the voice. */
  private readonly onTranscription: TextStreamHandler = async (reader, { identity }) => {
    const attributes = reader.info.attributes ?? {};
    const who = identity === this.room.localParticipant.identity ? "user" : "agent";
    const id = `${who}-${attributes["lk.segment_id"] ?? reader.info.id}`;
    const final = attributes["lk.transcription_final"] === "true";
    let text = "";
    try {
      for await (const piece of reader) {
        text += piece;
        this.line(id, who, { text, open: true });
      }
    } catch (error) {
      this.log("error", String(error));
    }
    this.line(id, who, { text, open: who === "user" && !final });
  };

  private readonly onData = (
    payload: Uint8Array,
    _participant?: RemoteParticipant,
    _kind?: unknown,
    topic?: string,
  ): void => {
    if (topic !== WATERFALL_TOPIC) return;
    const waterfall = readWaterfall(new TextDecoder().decode(payload));
    if (!waterfall) return;
    this.waterfall(waterfall);
    this.log("turn", `${Math.round(waterfall.totalMs)} ms`);
    if (waterfall.interrupted) this.cut(waterfall);
  };

  /** Marks the answer of which only this was heard; an answer that was not heard has no line. */
  private cut({ heardText: heard = "", estimated = false }: Waterfall): void {
    this.log("interrupted", heard);
    const beginning = heard.trim().slice(0, 20);
    const answer = this.getSnapshot().lines.findLast(
      ({ who, text }) => who === "agent" && beginning && text.trim().startsWith(beginning),
    );
    if (answer) this.line(answer.id, "agent", { text: heard, interrupted: true, estimated, open: false });
  }

  private readonly onDisconnected = (reason?: DisconnectReason): void => {
    clearTimeout(this.agentTimer);
    this.cleanUp();
    if (this.ending || this.joining || reason === DisconnectReason.CLIENT_INITIATED) return;
    if (reason !== undefined && HUNG_UP.has(reason)) {
      this.update({ state: "ended", problem: { code: "hung_up" } });
    } else if (reason === DisconnectReason.DUPLICATE_IDENTITY) {
      this.fail({ code: "second_tab" });
    } else {
      void this.rejoin();
    }
  };

  private cleanUp(): void {
    for (const element of this.elements) element.remove();
    this.elements.clear();
    this.agentTrack = undefined;
  }
}

/** The room's server answers only on its own machine, and this is another one. */
class UnreachableError extends Error {}

/** What the backend answers to a request for a token, out of TokenSource's error. */
function tokenRefusal(text: string): Problem | undefined {
  const [, given, body = ""] = /received (\d{3}) \/ (.*)$/s.exec(text) ?? [];
  if (!given) return undefined;
  const status = Number(given);
  const { code, message } = readJson(body) as Record<string, unknown>;
  const said =
    typeof code === "string" && typeof message === "string" ? { detail: message, error: code } : { detail: text };
  if (status === 401) askForKey();
  if (status === 401 || status === 403) return { code: "token_rejected", ...said };
  if (code === "overloaded" || code === "rate_limited") return { code: "room_full" };
  return { code: status >= 502 ? "server_down" : "failed", ...said };
}

/** What is no JSON counts as nothing. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function connectProblem(error: unknown): Problem {
  if (error instanceof UnreachableError) return { code: "room_unreachable", detail: error.message };
  if (error instanceof ConnectionError) {
    if (error.reason === ConnectionErrorReason.NotAllowed) return { code: "token_rejected" };
    if (error.reason === ConnectionErrorReason.ServerUnreachable) return { code: "server_down" };
    if (error.reason === ConnectionErrorReason.Timeout) return { code: "server_down", detail: error.message };
    // The server takes the ticket and yet lets nobody in: the room has no place left.
    const { status } = (error.context ?? {}) as { status?: number };
    if (error.reason === ConnectionErrorReason.InternalError && status === 200) return { code: "room_full" };
  }
  const text = error instanceof Error ? error.message : String(error);
  const refusal = tokenRefusal(text);
  if (refusal) return refusal;
  if (/\b(503|429|full|limit)\b/i.test(text)) return { code: "room_full", detail: text };
  if (/\b(401|403)\b/.test(text)) return { code: "token_rejected", detail: text };
  if (/fetch|network|NetworkError/i.test(text)) return { code: "server_down" };
  return { code: "failed", detail: text };
}
