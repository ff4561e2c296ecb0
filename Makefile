# What there is to run. `make setup` brings what is missing; every other target calls it.

SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
export PATH := $(CURDIR)/.tools/bin:$(PATH)

# A test whose program is missing is skipped, but fails where the program is named here: setup installs these.
export JETREEL_DEMANDED ?= ffmpeg

# They keep all cores busy for minutes: by themselves, one after the other.
MEDIA_TESTS := clips::every_clip_becomes_what_it_must hostile::no_hostile_file_harms_the_node \
	hostile::confinement_alone_keeps_hostile_files_in
SYNC_TESTS := sync::every_beep_coincides_with_its_flash sync::trials::every_trial_is_as_its_row_says

.PHONY: help setup build release demo test lint advisories bench bench-queue bench-scale bench-smoke noop-codec service-times crowd clips alerts dashboards sync big browser chaos chaos-smoke clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## FFmpeg's development packages, clang, nats-server: only what is missing
	@.ci/setup build

build: setup ## debug binaries
	$(CARGO) build --workspace --bins --locked

release: setup ## release binaries
	$(CARGO) build --workspace --bins --release --locked

demo: release ## one command from nothing to a video that plays; ARGS=--once does not stay
	@.ci/setup clip
	@.ci/demo "$(TARGET)/release/jetreel" $(ARGS)

# The codec is a program of its own, which the integration tests start.
test: build ## all tests; with JETREEL_MEDIA also a selection of clips and all hostile files
	$(CARGO) test --workspace --locked -- $(addprefix --skip ,$(MEDIA_TESTS) $(SYNC_TESTS))
	$(CARGO) test --locked --test it -- $(MEDIA_TESTS) $(SYNC_TESTS) --exact --nocapture --test-threads 1

lint: setup ## format, clippy, licences and sources of dependencies
	@.ci/setup lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --all-targets --features chaos --locked -- -D warnings
	cargo-deny --workspace --config .deny.toml --log-level error check bans licenses sources

advisories: ## known vulnerabilities of dependencies (fetches the advisory database)
	@.ci/setup lint
	cargo-deny --workspace --config .deny.toml check advisories

clips: build ## every clip of JETREEL_MEDIA against an independent witness; table in .tools/clips.md
	@.ci/setup clips
	JETREEL_CLIPS=$(or $(JETREEL_CLIPS),all) JETREEL_CLIPS_REPORT=$(or $(JETREEL_CLIPS_REPORT),$(CURDIR)/.tools/clips.md) \
		$(CARGO) test --locked --test it -- $(MEDIA_TESTS) --exact --nocapture --test-threads 1

alerts: ## the alert rules against promtool: each fires, does not fire, and clears
	@.ci/setup prometheus
	promtool check config dashboards/prometheus/prometheus.yml
	promtool test rules dashboards/prometheus/tests/*.yml

dashboards: ## the JSON of the Grafana dashboards, from dashboards/grafana/source
	python3 -B dashboards/grafana/source

sync: build ## flash and beep: clips that ffmpeg makes, and JETREEL_MEDIA's trials; tables in .tools/sync
	JETREEL_SYNC=$(or $(JETREEL_SYNC),all) JETREEL_SYNC_REPORT=$(or $(JETREEL_SYNC_REPORT),$(CURDIR)/.tools/sync) \
		$(CARGO) test --locked --test it -- $(SYNC_TESTS) --exact --nocapture --test-threads 1

browser: release ## the player page in headless Chromium, watched and heard; screenshot in .tools/player.png
	@.ci/setup browser
	@.ci/setup clip
	node tests/browser/main.mjs "$(TARGET)/release/jetreel" .tools/media/bigbuckbunny.mp4 .tools/player.png

bench: release ## CPU, wall, memory and first playable second against ffmpeg; ARGS="--runs 5 --minutes 10"
	@.ci/setup clip
	python3 tests/bench/ladder.py --binary "$(TARGET)/release/jetreel" .tools/bench.json $(ARGS)

# A static program, so that what is measured is not its start.
noop-codec:
	$(CARGO) rustc --release --locked -p jetreel-domain --example noop_codec -- \
		-C target-feature=+crt-static -C relocation-model=static

bench-queue: release noop-codec ## tasks a second with a codec that encodes nothing, beside Celery; ARGS="--runs 5 --count"
	@.ci/setup bench
	python3 tests/bench/queue_bench.py --binary "$(TARGET)/release/jetreel" --codec "$(TARGET)/release/examples/noop_codec" \
		--json .tools/bench-queue.json $(ARGS)

bench-scale: release noop-codec ## 1 to 8 nodes on a film, on short videos, and overload, at recorded times; ARGS="--only overload"
	python3 tests/bench/scale_bench.py --binary "$(TARGET)/release/jetreel" --codec "$(TARGET)/release/examples/noop_codec" \
		--json .tools/bench-scale.json $(ARGS)

bench-smoke: build ## whether the benches of queue and scale complete everything; says nothing about times
	$(CARGO) build --locked -p jetreel-domain --example noop_codec
	python3 tests/bench/queue_bench.py --smoke --binary "$(TARGET)/debug/jetreel" --codec "$(TARGET)/debug/examples/noop_codec"
	python3 tests/bench/scale_bench.py --smoke --binary "$(TARGET)/debug/jetreel" --codec "$(TARGET)/debug/examples/noop_codec"

service-times: release ## record the times that the codec of bench-scale takes, from a real encode on this machine
	@.ci/setup clip
	python3 tests/bench/service_times.py --binary "$(TARGET)/release/jetreel" $(ARGS)

crowd: release ## 3000 idle and 300 slow connections around 20 uploads and 20 players, at ulimit -n 1024; ARGS="--seconds 60"
	@.ci/setup clip
	python3 tests/bench/crowd.py --binary "$(TARGET)/release/jetreel" --json .tools/crowd.json $(ARGS)

big: build ## memory of every process with a file of 10 GB; JETREEL_BIG_BYTES for another size
	JETREEL_BIG_BYTES=$(or $(JETREEL_BIG_BYTES),10000000000) \
		$(CARGO) test --locked --test it -- big:: --nocapture

# Disks, networks and control groups of its own need root; what a machine does not allow is skipped and says so.
chaos: build ## kills, partitions, power cuts, full disks and the like under load; about 30 minutes; ARGS="--only node --minutes 5"
	@.ci/setup chaos
	$(CARGO) build --features chaos --locked --example poison_codec
	$(CARGO) test --features chaos --locked --test chaos -- --swept --json .tools/chaos.json $(ARGS)

chaos-smoke: build ## the same in three minutes: the commonest faults once
	$(CARGO) test --features chaos --locked --test chaos -- --smoke --json .tools/chaos-smoke.json $(ARGS)

clean: ## what was built, not what was installed
	$(CARGO) clean
