import { expect, test } from "bun:test";
import { formatInstant, readInstant } from "../../src/core/time.ts";

const AT = Date.UTC(2026, 0, 4, 9, 19, 43, 789);

test.each([
  ["2026-01-04T09:19:43.789Z", AT],
  ["2026-01-04t09:19:43.789z", AT],
  ["2026-01-04 09:19:43.789+00:00", AT],
  ["2026-01-04T10:19:43.789+0100", AT],
  ["2026-01-04T09:19:43+0000", AT - 789],
  // As long as what we write ourselves; without a zone it is UTC all the same.
  ["2026-01-04T09:19:43.7890", AT],
  ["2026-01-04T09:19:43.7891Z", AT],
  ["2026-01-04", Date.UTC(2026, 0, 4)],
  ["2026-13-04T09:19:43.789Z", undefined],
  ["2026-01-04T09:19:43.78xZ", undefined],
  ["Sun Jan 4 09:19:43 2026 Z", undefined],
  ["", undefined],
])("%s is read in whatever zone the machine is", (text, at) => {
  const zone = process.env.TZ;
  try {
    for (const here of ["UTC", "America/New_York", "Asia/Kathmandu"]) {
      process.env.TZ = here;
      expect(readInstant(text)).toBe(at);
    }
  } finally {
    process.env.TZ = zone ?? "UTC";
  }
});

test("what is written reads back", () => {
  expect(readInstant(formatInstant(AT))).toBe(AT);
});
