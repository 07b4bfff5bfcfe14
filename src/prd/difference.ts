import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff";

/** How many lines may differ before two texts are called different as a whole. */
const MOST_EDITS = 4000;

/** A unified difference of two texts; none when they say the same line by line. */
export function difference(
  then: { name: string; text: string },
  now: { name: string; text: string },
): string | undefined {
  const before = ending(then.text);
  const after = ending(now.text);
  if (before === after) return undefined;
  const options = { context: 3, maxEditLength: MOST_EDITS, headerOptions: FILE_HEADERS_ONLY };
  const patch = createTwoFilesPatch(then.name, now.name, before, after, undefined, undefined, options);
  return patch ?? whole(then.name, now.name, before, after);
}

/** Everything goes, everything comes: what is left to say of texts that have next to nothing in common. */
function whole(thenName: string, nowName: string, before: string, after: string): string {
  const old = before.split("\n").slice(0, -1);
  const fresh = after.split("\n").slice(0, -1);
  const range = `@@ -1,${old.length} +1,${fresh.length} @@`;
  return [
    `--- ${thenName}`,
    `+++ ${nowName}`,
    range,
    ...old.map((each) => `-${each}`),
    ...fresh.map((each) => `+${each}`),
    "",
  ].join("\n");
}

/** White space at the ends of lines is no difference: it is not frozen either. */
const ending = (text: string): string =>
  text === ""
    ? ""
    : `${text
        .split("\n")
        .map((line) => line.trimEnd())
        .join("\n")
        .trimEnd()}\n`;
