#!/bin/sh
# Lays out the root of the container's image: the program, the loader and the libraries that it names, a user, a folder for
# temporary files.
#
#   image.sh PROGRAM FOLDER
set -eu
program=$1 root=$2
mkdir -p "$root/usr/bin" "$root/etc" "$root/tmp" "$root/repo"
chmod 1777 "$root/tmp"
cp "$program" "$root/usr/bin/lodestar"
chmod 755 "$root/usr/bin/lodestar"
# The lines of ldd that name a file: «libc.so.6 => /lib/…/libc.so.6 (0x…)», and the loader alone.
ldd "$program" | sed -n -e 's/.*=> \(\/[^ ]*\) (.*/\1/p' -e 's/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r file; do
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done
echo 'nonroot:x:65532:65532::/tmp:/usr/bin/lodestar' >"$root/etc/passwd"
echo 'nonroot:x:65532:' >"$root/etc/group"
