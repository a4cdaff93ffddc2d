# Two commands set everything up: `make run` and `make test`.
# Both are safe to repeat; the second time costs only what has changed.

BINARY := $(or $(CARGO_TARGET_DIR),target)/release/clipdb
# What is measured and tortured.
export CLIPDB_BINARY ?= $(abspath $(BINARY))
DATA   ?= ./data
LISTEN ?= 127.0.0.1:8080

.PHONY: help run test api-check instruction-sets demo bench bench-index torture soak crowd setup build lint

help:
	@echo "make run    install what is missing, build, serve $(DATA) on $(LISTEN)"
	@echo "make test   install what is missing, build, run every test"
	@echo "make api-check  hold the server to its description, for three minutes at most"
	@echo "make instruction-sets  test models and kernels as processors with fewer instructions run them"
	@echo "make demo   fill the server with emoji and sentences of a novel, and search them"
	@echo "make bench  measure ingest and search on this machine"
	@echo "make torture  kill the server KILLS times amid writes, look for what it had acknowledged"
	@echo "make soak     32 concurrent writers and 32 readers for MINUTES: latency, memory, errors"
	@echo "make bench-index  measure the vector index beside FAISS and other databases: a million vectors, hours"
	@echo "make lint   formatting and clippy"

setup:
	@./setup.sh

build: setup
	@echo "make: building clipdb in release mode (the first time takes about a quarter of an hour on 2 cores)"
	@cargo build --release --locked --package clipdb-server

run: build
	@exec $(BINARY) serve --data $(DATA) --listen $(LISTEN)

test:
	@./setup.sh test
	@./tests/run.sh

instruction-sets: setup
	@./tests/instruction_sets.sh

api-check: build
	@./tests/api_check.sh

demo: build
	@CLIPDB_DATA=$(DATA) CLIPDB_LISTEN=$(LISTEN) ./demo.sh

bench: build
	@./tests/bench.sh

KILLS ?= 100

torture: build
	@cargo run --release --locked --package clipdb-tests --bin torture -- --kills $(KILLS) $(if $(SEED),--seed $(SEED))

MINUTES ?= 10

# `crowd` is the older name.
soak crowd: build
	@cargo run --release --locked --package clipdb-tests --bin soak -- --minutes $(MINUTES)

bench-index: build
	@cargo build --release --locked --package clipdb-tests --bin keep_alive
	@./bench/index.sh --peers chroma,milvus

lint:
	@cargo fmt --all --check
	@cargo clippy --release --locked --workspace --all-targets -- -D warnings
