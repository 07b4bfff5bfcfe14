import type { Millis } from "../../core/time.ts";

/** Who has said all that JSON needs, and is silent for so long, means to say no more, also when the stream stays open. */
const QUIET: Millis = 50;
/** Someone's work waits: so long for a stream that neither ends nor holds a whole value. */
const PATIENCE: Millis = 3000;
/** More than any tool says of an edit. */
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * Reads the JSON that a tool writes to its hook. Not every tool closes the stream, and some give one to which nobody writes.
 *
 * @param next the next bytes of the stream, `undefined` at its end.
 * @returns `undefined` when nothing was said.
 * @throws Error when what came is no JSON, or too much, or not whole in time.
 */
export async function readInput(next: () => Promise<Uint8Array | undefined>): Promise<unknown> {
  const decoder = new TextDecoder();
  using over = after(PATIENCE);
  let text = "";
  let bytes = 0;
  let coming = next();
  // A read that fails when nobody waits for it any more is no failure.
  coming.catch(() => {});
  for (;;) {
    using quiet = after(QUIET);
    const came = await Promise.race([coming.then((part) => ({ part })), quiet.promise, over.promise]);
    if (typeof came === "object") {
      if (came.part === undefined) return text === "" ? undefined : JSON.parse(text);
      bytes += came.part.length;
      if (bytes > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
      text += decoder.decode(came.part, { stream: true });
      coming = next();
      coming.catch(() => {});
      continue;
    }
    const whole = text === "" ? undefined : wholeValue(text);
    if (whole !== undefined) return whole;
    if (came === PATIENCE) {
      if (text === "") return undefined;
      throw new Error("it does not end");
    }
    await Promise.race([coming, over.promise]);
  }
}

function wholeValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // There is more to come.
    return undefined;
  }
}

function after(millis: Millis) {
  const { promise, resolve } = Promise.withResolvers<Millis>();
  const timer = setTimeout(() => resolve(millis), millis);
  return { promise, [Symbol.dispose]: () => clearTimeout(timer) };
}
