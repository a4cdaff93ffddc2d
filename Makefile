# Two commands set everything up: `make run` and `make test`.
# Both are safe to repeat: the second time they do only what has changed.

BINARY := $(or $(CARGO_TARGET_DIR),target)/release/clipdb
# The binary that the benchmarks and the torture test run.
export CLIPDB_BINARY ?= $(abspath $(BINARY))
DATA   ?= ./data
LISTEN ?= 127.0.0.1:8080

.PHONY: help run test api-check instruction-sets demo bench bench-index relevance torture crowd soak setup build lint fuzz sanitize

help:
	@echo "make run    install missing dependencies, build, serve $(DATA) on $(LISTEN)"
	@echo "make test   install missing dependencies, build, run every test"
	@echo "make lint   check formatting, spelling, clippy, documentation and dependencies"
	@echo "make demo   load emoji and the sentences of a novel, and search them"
	@echo "make bench  measure ingest and search on this machine"
	@echo "make bench-index  compare the vector index with FAISS and other databases: a million vectors, hours"
	@echo "make relevance DOCUMENTS=… TOPICS=… JUDGMENTS=…  measure how well a test collection in TREC's form is ranked"
	@echo "make torture  kill the server KILLS times during writes, and look for every acknowledged write"
	@echo "make soak   32 writers and 32 readers at once for MINUTES: latency, memory, errors"
	@echo "make fuzz   fuzz TARGETS (all of the parsers) for SECONDS each"
	@echo "make sanitize  run the tests of the C and C++ code with the undefined-behaviour and address sanitizers"
	@echo "make api-check  test a running server against its OpenAPI description, for three minutes at most"
	@echo "make instruction-sets  test models and kernels with the instruction sets of other processors"

setup:
	@./setup.sh

build: setup
	@echo "make: building clipdb in release mode (the first build takes about a quarter of an hour on 2 cores)"
	@cargo build --release --locked --package clipdb-server

run: build
	@exec $(BINARY) serve --data $(DATA) --listen $(LISTEN)

test:
	@./setup.sh test
	@./tests/run.sh

lint:
	@./lint.sh

instruction-sets: setup
	@./tests/instruction_sets.sh

api-check: build
	@./tests/api_check.sh

demo: build
	@CLIPDB_DATA=$(DATA) CLIPDB_LISTEN=$(LISTEN) ./demo.sh

bench: build
	@./tests/bench.sh

relevance:
	@[ -f "$(DOCUMENTS)" ] && [ -f "$(TOPICS)" ] && [ -f "$(JUDGMENTS)" ] || \
	    { echo "make: relevance needs three files: make relevance DOCUMENTS=FILE TOPICS=FILE JUDGMENTS=FILE" >&2; exit 2; }
	@$(MAKE) --no-print-directory build
	@cargo run --release --locked --package clipdb-tests --bin relevance -- \
	    --documents "$(DOCUMENTS)" --topics "$(TOPICS)" --judgments "$(JUDGMENTS)" $(OPTIONS)

KILLS ?= 100

torture: build
	@cargo run --release --locked --package clipdb-tests --bin torture -- --kills $(KILLS) $(if $(SEED),--seed $(SEED))

MINUTES ?= 10

# `crowd` is the older name.
soak crowd: build
	@cargo run --release --locked --package clipdb-tests --bin soak -- --minutes $(MINUTES)

SECONDS ?= 60

fuzz: setup
	@SECONDS_EACH=$(SECONDS) TARGETS="$(or $(TARGETS),$(TARGET))" ./fuzz/run.sh

sanitize: setup
	@./tests/sanitize.sh

bench-index: build
	@cargo build --release --locked --package clipdb-tests --bin keep_alive
	@./bench/index.sh --peers chroma,milvus
