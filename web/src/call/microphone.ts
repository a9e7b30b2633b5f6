/** The microphone as PCM16 packets, through an AudioWorklet. */

import workletUrl from "./microphone_worklet?worker&url";

export class Microphone {
  private stream: MediaStream | undefined;
  private source: MediaStreamAudioSourceNode | undefined;
  private node: AudioWorkletNode | undefined;
  /** Device to open; empty: the system's choice. */
  deviceId = "";

  constructor(
    private readonly context: AudioContext,
    private readonly onPacket: (pcm: ArrayBuffer) => void,
    /** The device went away while it was open. */
    private readonly onLost: () => void,
  ) {}

  /** @throws DOMException as `getUserMedia` does. */
  async open(): Promise<void> {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        // A device that is gone is no reason for silence: another one serves.
        ...(this.deviceId ? { deviceId: { ideal: this.deviceId } } : {}),
        channelCount: 1,
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
      },
    });
    this.close();
    await this.context.audioWorklet.addModule(workletUrl);
    this.stream = stream;
    stream.getAudioTracks()[0]?.addEventListener("ended", this.onLost);
    this.source = this.context.createMediaStreamSource(stream);
    this.node = new AudioWorkletNode(this.context, "parley-microphone", { numberOfOutputs: 0 });
    this.node.port.onmessage = (event: MessageEvent<ArrayBuffer>) => this.onPacket(event.data);
    this.source.connect(this.node);
  }

  /** What is captured now. */
  get opened(): MediaStream | undefined {
    return this.stream;
  }

  close(): void {
    this.source?.disconnect();
    this.node?.port.close();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = this.source = this.node = undefined;
  }
}
