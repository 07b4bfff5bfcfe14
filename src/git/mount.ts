import { readFileSync, statfsSync } from "node:fs";

/** File systems on which SQLite's locks do not hold between machines, by `statfs` type (linux/magic.h). */
const REMOTE: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xfe534d42, "smb2"],
  [0xff534d42, "cifs"],
  [0x01021997, "9p"],
  [0x00c36400, "ceph"],
  [0x6b414653, "afs"],
]);
const FUSE = 0x65735546;
/** A share of another machine, as Windows names it; not `\\\\?\\C:\\`, which is a long path of this one. */
const SHARE = /^\\\\(?![?.]\\(?!UNC\\))/i;

/**
 * The kind of network or pass-through mount that a folder lies on; `undefined` on a local disk or where the platform does not tell.
 * @param statfs is given by tests.
 */
export function remoteMount(
  folder: string,
  statfs: (path: string) => { readonly type: number } = statfsSync,
): string | undefined {
  if (SHARE.test(folder)) return "network share";
  let type: number;
  try {
    type = statfs(folder).type >>> 0;
  } catch {
    // Not every platform answers; then nothing is known against the folder.
    return undefined;
  }
  if (type === FUSE) return fuseKind(folder);
  return REMOTE.get(type);
}

/** FUSE serves local and remote file systems alike; the mount table names which. */
function fuseKind(folder: string): string | undefined {
  let table: string;
  try {
    table = readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return undefined;
  }
  let best = { point: "", kind: "" };
  for (const line of table.split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const point = left.split(" ")[4] ?? "";
    const inside = folder === point || folder.startsWith(point.endsWith("/") ? point : `${point}/`);
    if (inside && point.length >= best.point.length) best = { point, kind: right.split(" ")[0] ?? "" };
  }
  return /virtiofs|sshfs|nfs|smb|cifs|s3|gcs|rclone|davfs/.test(best.kind) ? best.kind : undefined;
}
