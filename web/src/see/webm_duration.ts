/**
 * Chromium's MediaRecorder writes WebM as a live stream: without a duration, so that players
 * cannot seek. This writes it into the file's Info element (Matroska, RFC 9559, section 5.1.2).
 */

const SEGMENT = 0x18538067;
const INFO = 0x1549a966;
const TIMESTAMP_SCALE = 0x2ad7b1;
const DURATION = 0x4489;
const CLUSTER = 0x1f43b675;
const DEFAULT_SCALE_NS = 1_000_000;

interface Element {
  id: number;
  /** Bytes of the content; undefined where the writer left it open. */
  size: number | undefined;
  from: number;
  content: number;
}

/** Gives the same recording with its duration, or as it is if it has one or is no WebM. */
export async function withDuration(sound: Blob, durationMs: number): Promise<Blob> {
  if (!sound.type.includes("webm")) return sound;
  const bytes = new Uint8Array(await sound.arrayBuffer());
  const info = find(bytes);
  if (info?.size === undefined) return sound;
  const end = info.content + info.size;
  let scaleNs = DEFAULT_SCALE_NS;
  for (let at = info.content; at < end; ) {
    const element = read(bytes, at);
    if (element?.size === undefined || element.id === DURATION) return sound;
    if (element.id === TIMESTAMP_SCALE) scaleNs = number(bytes, element.content, element.size);
    at = element.content + element.size;
  }
  const content = new Uint8Array(info.size + 11);
  content.set(bytes.subarray(info.content, end));
  const duration = new DataView(content.buffer, info.size);
  duration.setUint16(0, DURATION);
  duration.setUint8(2, 0x88); // eight bytes follow
  duration.setFloat64(3, (durationMs * 1_000_000) / scaleNs);
  const head = new DataView(new ArrayBuffer(8));
  head.setUint32(0, INFO);
  head.setUint32(4, 0x1000_0000 | content.length); // a size in four bytes
  return new Blob([bytes.subarray(0, info.from), head.buffer, content, bytes.subarray(end)], { type: sound.type });
}

/** The segment's Info; it stands before the first cluster. */
function find(bytes: Uint8Array): Element | undefined {
  for (let at = 0; at < bytes.length; ) {
    const element = read(bytes, at);
    if (!element || element.id === CLUSTER) return undefined;
    if (element.id === INFO) return element;
    if (element.id === SEGMENT) at = element.content;
    else if (element.size === undefined) return undefined;
    else at = element.content + element.size;
  }
  return undefined;
}

function read(bytes: Uint8Array, from: number): Element | undefined {
  const idBytes = Math.clz32(bytes[from] ?? 0) - 23;
  const sizeAt = from + idBytes;
  const first = bytes[sizeAt] ?? 0;
  const sizeBytes = Math.clz32(first) - 23;
  if (idBytes > 4 || sizeBytes > 8) return undefined;
  let size = first & (0xff >> sizeBytes);
  let open = size === 0xff >> sizeBytes;
  for (let at = sizeAt + 1; at < sizeAt + sizeBytes; at += 1) {
    const byte = bytes[at] ?? 0;
    size = size * 256 + byte;
    open &&= byte === 0xff;
  }
  return { id: number(bytes, from, idBytes), size: open ? undefined : size, from, content: sizeAt + sizeBytes };
}

function number(bytes: Uint8Array, from: number, count: number): number {
  let value = 0;
  for (const byte of bytes.subarray(from, from + count)) value = value * 256 + byte;
  return value;
}
