export { GaplessPlayer, playBase64Audio, type Sounding } from "./audio.js";
export { type ChatHandlers, type ChatOptions, type ChatStream, streamChat } from "./chat.js";
export { ParleyError } from "./errors.js";
export type * from "./events.js";
export { FlowClient, type FlowClientOptions, type SessionOpened } from "./flow.js";
export { newId } from "./ids.js";
export { readEvents, type ServerSentEvent } from "./sse.js";
export { SpokenText } from "./spoken_text.js";
export {
  type Character,
  VoiceSocket,
  type VoiceSocketHandlers,
  type VoiceSocketOptions,
} from "./voice_socket.js";
export type * from "./voice_messages.js";
