# SPDX-License-Identifier: Apache-2.0
# A thin front for CMake and CTest. `make help` lists what there is.
.POSIX:
.PHONY: release help setup demo check test quick asan tsan fuzz-smoke fuzz bench lint format docs coverage gpu install clean

JOBS = $$(getconf _NPROCESSORS_ONLN)
BUILD = cmake --build --parallel $(JOBS) --preset
CONFIGURE = cmake --preset
TEST = ctest --output-on-failure --preset

release: setup ## Build the library and the tool (build/release)
	@$(CONFIGURE) release --log-level=WARNING && $(BUILD) release

help: ## Print this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: ## Install what this machine lacks; asks for nothing that is there
	@tools/setup

demo: release ## The main job in one view: devices, LoRA, softmax, RMSNorm, matmul, then sentence search
	@build/release/cli/anymps demo
	@tools/demo-minilm build/release

check: quick asan tsan fuzz-smoke lint ## Everything that must be green before a change lands
	@tools/check-summary build

quick: setup ## The tests of one debug build
	@$(CONFIGURE) dev --log-level=WARNING && $(BUILD) dev && $(TEST) dev

asan: setup ## The same under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(CONFIGURE) asan --log-level=WARNING && $(BUILD) asan && $(TEST) asan

tsan: setup ## The threaded tests under ThreadSanitizer
	@$(CONFIGURE) tsan --log-level=WARNING && $(BUILD) tsan && $(TEST) tsan

fuzz-smoke: setup ## Each fuzz target for a few seconds from its corpus
	@$(CONFIGURE) fuzz --log-level=WARNING && $(BUILD) fuzz && $(TEST) fuzz

fuzz: setup ## Each fuzz target for SECONDS_EACH (600)
	@$(CONFIGURE) fuzz --log-level=WARNING && $(BUILD) fuzz && tools/fuzz-long build/fuzz $${SECONDS_EACH:-600}

test: check coverage ## check, and coverage

bench: release ## Measure every operator against this machine's peaks; PEERS=1 beside other libraries
	@build/release/cli/anymps bench $${PEERS:+--peers}

lint: setup ## Include rules, exported names, formatting, clang-tidy
	@tools/check-layers && tools/check-symbols build/dev && tools/check-headers && tools/check-format && tools/check-tidy build/dev

format: setup ## Rewrite the sources in the house's format
	@tools/check-format --fix

docs: setup ## API reference (build/docs/html); warnings are errors
	@tools/build-docs

coverage: setup ## Line coverage of src/ (build/coverage)
	@$(CONFIGURE) coverage --log-level=WARNING && $(BUILD) coverage && $(TEST) coverage && tools/coverage-report build/coverage

gpu: ## On a machine with an NVIDIA GPU: build, conformance, sanitizer, benchmarks
	@tools/gpu-run

install: release ## Install library, headers, tool and man page (DESTDIR and PREFIX count)
	@cmake --install build/release $${PREFIX:+--prefix $$PREFIX}

clean: ## Remove all builds
	@rm -rf build
