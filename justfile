# Recipes for developers. `just` lists them by group; CI runs .ci/run, which is `just ci`.
# Compiled code stays outside the checkout, in the folder that CI uses too.

set shell := ["bash", "-euo", "pipefail", "-c"]

cache := env("XDG_CACHE_HOME", env("HOME") / ".cache") / "jetsaga"
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "target")
export PATH := cache / "bin" + ":" + env("PATH")

[private]
default:
    @just --list --unsorted

# Start the whole shop on 127.0.0.1:8080, data under ./data (Ctrl-C stops it)
[group('run')]
up *options:
    cargo run -- {{ options }}

# Place a few orders of each kind and print what happened
[group('run')]
demo *options:
    cargo run --quiet -p jetsaga-tests --bin demo -- {{ options }}

# Everything that is tested, as in the README
[group('check')]
test *options:
    cargo test --workspace {{ options }}

# The engine's crates only: no database engine to compile
[group('check')]
test-engine *options:
    CARGO_TARGET_DIR={{ cache }}/engine cargo test -p saga-core -p saga-engine -p saga-workflows -p jetsaga-contracts -p jetsaga-nats {{ options }}

# The engine's tests with three replicas of each stream, on a cluster that they start
[group('check')]
test-cluster *options:
    JETSAGA_TEST_NATS=cluster CARGO_TARGET_DIR={{ cache }}/engine cargo test -p saga-engine --test it {{ options }}

# The same where replicas hear of everything a moment late: finds what trusts the answer of any one
[group('check')]
test-lagging *options:
    JETSAGA_TEST_NATS=lagging RUST_TEST_THREADS=12 CARGO_TARGET_DIR={{ cache }}/engine cargo test -p saga-engine --test it {{ options }}

# The protocol under the model checker, also what is too large for the tests (docs/model.md)
[group('check')]
[positional-arguments]
model *cases:
    CARGO_TARGET_DIR={{ cache }}/engine cargo run -p jetsaga-model --bin model -- "$@"

# Random schedules of the real engine; JETSAGA_SEED and JETSAGA_SCHEDULES choose which (docs/model.md)
[group('check')]
schedules *options:
    CARGO_TARGET_DIR={{ cache }}/engine JETSAGA_SCHEDULES=${JETSAGA_SCHEDULES:-100000} cargo test --release -p saga-engine --lib schedules -- --nocapture {{ options }}

# Format and clippy, warnings denied
[group('check')]
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# The golden files against the code; with UPDATE=1 they are rewritten
[group('check')]
golden:
    cargo test --workspace golden

# The published OpenAPI document under Spectral and Redocly
[group('check')]
openapi:
    .ci/lint-openapi

# Schemathesis, default checks, against a shop it starts and stops itself
[group('check')]
schemathesis *options:
    .ci/schemathesis {{ options }}

# Licences and sources of everything that comes in from outside
[group('check')]
licences:
    cargo-deny check bans licenses sources

# All of the above in CI's order, installing what is missing
[group('check')]
ci:
    bash .ci/run

# Messages, sagas and orders per second, in a release build; the table goes to docs/performance.md
[group('measure')]
bench *options:
    cargo run --release -p jetsaga-tests --bin bench -- --write docs/performance.md {{ options }}

# Format the code
[group('write')]
fmt:
    cargo fmt --all

# The reference of all crates, warnings denied
[group('write')]
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# A container engine, and the image that the tests start
[group('install')]
install-docker:
    .ci/install-docker
    .ci/image

# The pinned nats-server and the nats command line tool
[group('install')]
install-nats:
    .ci/install-nats --cli

# Spectral, Redocly, schemathesis, just and cargo-deny
[group('install')]
install-tools *names:
    .ci/install-tools {{ names }}
