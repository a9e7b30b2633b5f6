/** Runs on the audio thread: gathers microphone samples into PCM16 packets of 20 ms. */

interface WorkletPort {
  postMessage(message: ArrayBuffer, transfer: ArrayBuffer[]): void;
}
declare class AudioWorkletProcessor {
  readonly port: WorkletPort;
}
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;

class Microphone extends AudioWorkletProcessor {
  private packet = new Int16Array(Math.round(sampleRate / 50));
  private filled = 0;

  process(inputs: Float32Array[][]): boolean {
    const samples = inputs[0]?.[0];
    if (!samples) return true;
    for (const sample of samples) {
      this.packet[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.packet.length) {
        this.port.postMessage(this.packet.buffer, [this.packet.buffer]);
        this.packet = new Int16Array(Math.round(sampleRate / 50));
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("parley-microphone", Microphone);
