import { expect, it, vi } from "vitest";
import { floatsFromPcm16, GaplessPlayer } from "./audio.js";

interface FakeSource {
  startedAt: number | undefined;
  stopped: boolean;
  onended: (() => void) | null;
}

/** An audio clock that the test turns by hand. */
function fakeContext() {
  const sources: FakeSource[] = [];
  const context = {
    currentTime: 10,
    destination: {},
    resume: () => Promise.resolve(),
    close: () => Promise.resolve(),
    createGain: () => ({ connect: () => undefined, gain: { value: 1 } }),
    createBuffer: (_channels: number, length: number, rate: number) => ({
      duration: length / rate,
      copyToChannel: () => undefined,
    }),
    decodeAudioData: (bytes: ArrayBuffer) =>
      bytes.byteLength === 0
        ? Promise.reject(new Error("bad"))
        : new Promise((resolve) =>
            setTimeout(() => resolve({ duration: bytes.byteLength }), 30 / bytes.byteLength),
          ),
    createBufferSource: () => {
      const source: FakeSource & Record<string, unknown> = {
        startedAt: undefined,
        stopped: false,
        onended: null,
        connect: () => undefined,
        disconnect: () => undefined,
        start: (at: number) => {
          source.startedAt = at;
        },
        stop: () => {
          source.stopped = true;
        },
      };
      sources.push(source);
      return source;
    },
  };
  return { context, sources, player: new GaplessPlayer(context as unknown as AudioContext, 0.05) };
}

it("joins pieces end to start, in call order, however long decoding takes", async () => {
  const { player, sources } = fakeContext();
  const queued = [1, 3, 2].map((seconds) => player.enqueueEncoded(new ArrayBuffer(seconds)));
  await Promise.all(queued);
  expect(sources.map((source) => source.startedAt)).toEqual([10.05, 11.05, 14.05]);
});

it("starts afresh with a lead after running dry", async () => {
  const { player, sources, context } = fakeContext();
  await player.enqueuePcm16(new ArrayBuffer(4800), 24_000);
  context.currentTime = 20;
  sources[0]?.onended?.();
  await player.enqueuePcm16(new ArrayBuffer(4800), 24_000);
  expect(sources[1]?.startedAt).toBeCloseTo(20.05);
  expect(player.playedSeconds).toBeCloseTo(0.1);
});

it("stop silences everything, also what is still being decoded, and says what was heard", async () => {
  const { player, sources, context } = fakeContext();
  await player.enqueuePcm16(new ArrayBuffer(48_000), 24_000);
  const late = player.enqueueEncoded(new ArrayBuffer(1));
  context.currentTime = 10.45;
  expect(player.stop()).toBeCloseTo(0.4);
  await late;
  expect(sources).toHaveLength(1);
  expect(sources[0]?.stopped).toBe(true);
  expect(player.playing).toBe(false);
});

it("a piece that cannot be decoded is reported and the next ones play", async () => {
  const { player, sources } = fakeContext();
  const idle = vi.fn();
  player.onidle = idle;
  await expect(player.enqueueEncoded(new ArrayBuffer(0))).rejects.toThrow("bad");
  await player.enqueueEncoded(new ArrayBuffer(1));
  expect(sources).toHaveLength(1);
  expect(idle).toHaveBeenCalledTimes(1);
  sources[0]?.onended?.();
  expect(idle).toHaveBeenCalledTimes(2);
});

it("reads PCM16 little-endian and ignores an odd byte", () => {
  const bytes = new Uint8Array([0, 0x80, 0xff, 0x7f, 1]);
  expect([...floatsFromPcm16(bytes.buffer)]).toEqual([-1, 32767 / 32768]);
});
