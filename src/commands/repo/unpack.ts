/** Takes one file out of an archive whose checksum is right: so much of tar and ZIP as our releases use. */

const BLOCK = 512;

/** @returns the bytes of the member of that name; `undefined` when there is none, or the archive is none. */
export function unpack(archive: Uint8Array<ArrayBuffer>, name: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return archive[0] === 0x50 ? fromZip(archive, name) : fromTar(Bun.gunzipSync(archive), name);
  } catch (cause) {
    if (cause instanceof Error) return undefined;
    throw cause;
  }
}

function fromTar(tar: Uint8Array<ArrayBuffer>, name: string): Uint8Array<ArrayBuffer> | undefined {
  const text = (at: number, length: number) => new TextDecoder().decode(tar.subarray(at, at + length)).split("\0")[0];
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12) ?? "", 8);
    if (!Number.isSafeInteger(size)) return undefined;
    const start = at + BLOCK;
    if (text(at, 100) === name) return start + size <= tar.length ? tar.subarray(start, start + size) : undefined;
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return undefined;
}

/** By the directory at the end, as the format wants it. */
function fromZip(zip: Uint8Array<ArrayBuffer>, name: string): Uint8Array<ArrayBuffer> | undefined {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  // Without a comment, which ours have not, the end's record is the last 22 bytes.
  const end = zip.length - 22;
  if (view.getUint32(end, true) !== 0x06054b50) return undefined;
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const length = view.getUint16(at + 28, true);
    if (new TextDecoder().decode(zip.subarray(at + 46, at + 46 + length)) === name) {
      const packed = view.getUint32(at + 20, true);
      const local = view.getUint32(at + 42, true);
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const bytes = zip.subarray(start, start + packed);
      return view.getUint16(at + 10, true) === 0 ? bytes : Bun.inflateSync(bytes);
    }
    at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return undefined;
}
