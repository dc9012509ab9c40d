#!/usr/bin/env bash
# Installs the peers that the measurements compare with: bpftrace 0.17 of this Debian release, 0.23 of trixie and 0.27 of
# sid, the latter two as minimal roots under $PEERS that are entered with chroot. Takes about five minutes and 1.4 GB. Uses
# the mirror that apt is configured with. Needs root on Debian 12.
set -eu
PEERS=${PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/bpfrepl/peers}
mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\([^ ]*\) .*/\2/p' \
  /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -1)
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy debootstrap bpftrace
mkdir -p "$PEERS"
for suite in trixie sid; do
  root=$PEERS/$suite
  [ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase "$suite" "$root" "$mirror"
  for m in proc sys dev; do
    mountpoint -q "$root/$m" || { mount --rbind "/$m" "$root/$m"; mount --make-rslave "$root/$m"; }
  done
  cp /etc/resolv.conf "$root/etc/"
  cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
  chroot "$root" apt-get update -q
  chroot "$root" apt-get install -qy --no-install-recommends bpftrace
done
for p in "" "chroot $PEERS/trixie" "chroot $PEERS/sid"; do $p bpftrace --version; done
