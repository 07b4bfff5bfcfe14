# The program and what it loads, nothing else: no shell, no package manager, no root.
#
#   bun run build --all && docker build -t lodestar .
#   docker run --rm -v "$PWD:/repo" lodestar doctor --strict
#
# Git is not inside: checks do not need it. Who runs other commands on a mounted repository names its owner with --user.
FROM debian:bookworm-slim AS parts
ARG TARGETARCH=amd64
COPY dist/release/lodestar-linux-x64 dist/release/lodestar-linux-arm64 scripts/release/image.sh /parts/
RUN case "$TARGETARCH" in amd64) arch=x64 ;; *) arch=$TARGETARCH ;; esac \
  && sh /parts/image.sh "/parts/lodestar-linux-$arch" /image

FROM scratch
COPY --from=parts /image/ /
USER 65532:65532
WORKDIR /repo
ENTRYPOINT ["/usr/bin/lodestar"]
