#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The static library around Hugging Face's tokenizers crate (src/preprocess/tokenizers_c), built by cargo with the
# committed lock file (Cargo.lock.in: versions and digests; which registry is cargo's own matter). One prefix per content of the crate and compiler version; cargo's own objects are shared between them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CRATE=$MLOS_ROOT/src/preprocess/tokenizers_c
RUST_MINIMUM=1.80

key() {
  {
    (cd "$CRATE" && find . -path ./target -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
    uname -m
  } | sha256sum | cut -c1-16
}

KEY=none
if [ -d "$CRATE" ]; then KEY=$(key); fi
prefix() { echo "$DEPS/tokenizers-$KEY"; }
ready() { [ ! -d "$CRATE" ] || [ -f "$(prefix)/.complete" ]; }

require_rust() {
  local hint="install Rust $RUST_MINIMUM or newer: 'apt-get install rustup && rustup default stable' on Debian 13, rustup on others"
  command -v cargo >/dev/null || fail "cargo is not installed; $hint"
  local version
  version=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n' "$RUST_MINIMUM" "$version" | sort -V | head -1)" = "$RUST_MINIMUM" ] || fail "rustc $version is too old; $hint"
}

# What cargo calls the registry that crates come from unless told otherwise; cargo itself is asked, by a crate with one dependency.
registry_id() {
  local probe
  probe=$(scratch_dir registry)
  mkdir "$probe/src"
  touch "$probe/src/lib.rs"
  printf '[package]\nname = "probe"\nversion = "0.0.0"\n[dependencies]\ncfg-if = "1"\n' >"$probe/Cargo.toml"
  (cd "$probe" && cargo generate-lockfile --quiet) || fail "cargo cannot reach its registry"
  sed -n 's/^source = "\(.*\)"$/\1/p' "$probe/Cargo.lock" | head -1
  rm -rf "$probe"
}

make_step() {
  require_rust
  local target=$DEPS/cargo-target stage crate registry
  registry=$(registry_id)
  crate=$(scratch_dir crate)
  cp -r "$CRATE/." "$crate/"
  sed "s#@REGISTRY@#$registry#" "$CRATE/Cargo.lock.in" >"$crate/Cargo.lock"
  # Position independent, since it goes into shared objects; one folder, so that a change of our file rebuilds only it.
  CARGO_TARGET_DIR=$target cargo build --release --locked --manifest-path "$crate/Cargo.toml" --jobs "$(jobs_count)"
  rm -rf "$crate"
  stage=$(scratch_dir tokenizers)
  mkdir -p "$stage/lib"
  cp "$target/release/libmlos_tokenizers.a" "$stage/lib/"
  touch "$stage/.complete"
  move_into_place "$stage" "$(prefix)"
}

run_verb "$@"
