import { dlopen, FFIType, ptr } from "bun:ffi";

/** glibc, and musl for two processors. Where none is found, or it is too old, nothing can be swapped. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];
/** Paths are absolute or seen from the working directory (fcntl.h). */
const AT_FDCWD = -100;
/** Both names go on, each with the other's file (linux/fs.h). */
const RENAME_EXCHANGE = 2;

const SYMBOLS = {
  renameat2: {
    args: [FFIType.i32, FFIType.ptr, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i32,
  },
} as const;

function open() {
  for (const name of LIBRARIES) {
    try {
      return dlopen(name, SYMBOLS);
    } catch {
      // Not here, or without this call; a system that forbids code made at run time says so, too.
    }
  }
  return undefined;
}

const library = open();

/**
 * Exchanges two files that are both there, in one step of the file system: whatever is replaced is never lost, but found under the other
 * name (renameat2(2), Linux 3.15).
 *
 * @returns false, and nothing is done, where the system or its file system cannot, or one of the files is gone.
 */
export type Swap = (a: string, b: string) => boolean;

export const swap: Swap = (a, b) => {
  if (library === undefined) return false;
  const [from, to] = [Buffer.from(`${a}\0`), Buffer.from(`${b}\0`)];
  return library.symbols.renameat2(AT_FDCWD, ptr(from), AT_FDCWD, ptr(to), RENAME_EXCHANGE) === 0;
};
