# bqb: make, make test, make demo, make install; `make help` lists the rest.
# Every .c file under src/LAYER/ belongs to the library, but for src/cli/, the
# program. Every .c file under tests/unit and tests/grad is part of one test
# program, tests/golden of another; tests/e2e/*.sh run the built program; every
# fuzz/fuzz_NAME.c is a program of its own with the corpus fuzz/corpus/NAME/.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
MAKEFLAGS += --no-builtin-rules
AR      ?= ar
INSTALL ?= install
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
VERSION := $(shell sed -n 's/^.define BQB_VERSION "\(.*\)"/\1/p' include/bqb.h)
SOVERSION := 0
ifeq ($(origin CC),default)
CC := gcc
endif

# Of these, what pkg-config finds; `WITH=` builds without.
ifeq ($(origin WITH),undefined)
WITH     := $(foreach p,rlottie vpx libedit,$(shell pkg-config --exists $p 2>/dev/null && echo $p))
endif
PKGS     := vips sqlite3 jansson libutf8proc chafa zlib $(WITH)
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wmissing-prototypes
WERROR   ?= $(if $(CI),-Werror)
OPT      ?= -O2
ifneq ($(filter-out clean help deps test demo uninstall,$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null | sed 's/-I/-isystem /g')
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ifeq ($(PKG_LIBS),)
$(warning pkg-config does not find all of: $(PKGS). Run `make deps` (Debian), or install what packages.txt names)
endif
endif
# clang warns where it does not vectorise a loop that asks for it (a maximum, under
# the rules for NaN): a remark about speed, not about the code.
ifneq ($(findstring clang,$(CC)),)
WARNINGS += -Wno-pass-failed
endif
CFLAGS  ?= -g
ALL_CFLAGS  = -std=c11 $(OPT) $(WARNINGS) $(WERROR) -D_POSIX_C_SOURCE=200809L -fPIC -fopenmp-simd \
              -Iinclude -Isrc $(addprefix -DBQB_WITH_,$(WITH)) $(PKG_CFLAGS) $(CFLAGS) $(SANITIZE)
ALL_LDFLAGS = $(LDFLAGS) $(SANITIZE)
LIBS        = $(PKG_LIBS) -ldnnl -lpthread -lm

LIB_SRC  := $(sort $(wildcard $(addprefix src/,$(addsuffix /*.c,base math file text image model library search train chat serve))))
CLI_SRC  := $(sort $(wildcard src/cli/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/*.c tests/grad/*.c)) tests/runner.c
GOLD_SRC := $(sort $(wildcard tests/golden/*.c)) tests/runner.c
FUZZ_SRC := $(sort $(wildcard fuzz/fuzz_*.c))
FUZZERS  := $(patsubst fuzz/fuzz_%.c,$(BUILD)/fuzz-%,$(FUZZ_SRC))

# The kernels once more for every instruction set; chosen at run time.
# Every processor with AVX2 has F16C.
ISA_avx2   := -mavx2 -mfma -mf16c -ffp-contract=fast
ISA_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mprefer-vector-width=512 -ffp-contract=fast
ISAS       := $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),avx2 avx512)
ISA_OBJ    := $(foreach isa,$(ISAS),$(BUILD)/obj/isa/$(isa)/ops_simd.o $(BUILD)/obj/isa/$(isa)/rows_simd.o)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

.DEFAULT_GOAL := all
all: $(BUILD)/bqb $(BUILD)/libbqb.so.$(VERSION)
test-programs: $(BUILD)/test-unit $(BUILD)/test-golden
fuzz-programs: $(FUZZERS)

# Loops over floats are worth vectorising; -O2 alone does only the cheapest.
$(BUILD)/obj/src/math/%.o $(BUILD)/obj/src/search/%.o $(BUILD)/obj/isa/%.o: OPT := -O3
# Nobody reads errno or floating-point traps after a kernel, and keeping them
# exact forbids vectors (sqrtf, comparisons). Results stay the same: no fast-math.
$(BUILD)/obj/src/math/%.o $(BUILD)/obj/isa/%.o: ALL_CFLAGS += -fno-math-errno -fno-trapping-math
$(BUILD)/obj/tests/%.o: ALL_CFLAGS += -Itests
$(BUILD)/obj/fuzz/%.o: ALL_CFLAGS += -Ifuzz

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/isa/%/ops_simd.o: src/math/ops_simd.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ISA_$*) -DBQB_ISA=$* -MMD -MP -c -o $@ $<

$(BUILD)/obj/isa/%/rows_simd.o: src/math/rows_simd.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ISA_$*) -DBQB_ISA=$* -MMD -MP -c -o $@ $<

$(BUILD)/libbqb.a: $(call obj,$(LIB_SRC)) $(ISA_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/libbqb.so.$(VERSION): $(call obj,$(LIB_SRC)) $(ISA_OBJ)
	$(CC) -shared -Wl,-soname,libbqb.so.$(SOVERSION),-z,nodelete $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/bqb: $(call obj,$(CLI_SRC)) $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/test-unit: $(call obj,$(UNIT_SRC)) $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/test-golden: $(call obj,$(GOLD_SRC)) $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(FUZZERS): $(BUILD)/fuzz-%: $(BUILD)/obj/fuzz/fuzz_%.o $(BUILD)/obj/fuzz/replay.o $(BUILD)/obj/fuzz/target.o $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# ---- What users run --------------------------------------------------------

deps: ## install the packages of packages.txt that are missing (Debian)
	@tools/install-deps.sh packages.txt

# Make is started afresh after installing, so that it sees what pkg-config finds now.
test: deps ## install what is missing, build with gcc and clang, run every test
	@unset MAKEFLAGS MFLAGS MAKELEVEL; CC='$(CC)' JOBS=$(JOBS) tests/all.sh

demo: deps ## install what is missing, build, make a library of stickers, search it
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS)) -s $(BUILD)/bqb
	@BQB='$(BUILD)/bqb' tools/demo.sh '$(BUILD)/demo'

# ---- Tests and tools, each alone -------------------------------------------

test-unit: $(BUILD)/test-unit ## unit and gradient tests
	$<

test-golden: $(BUILD)/test-golden ## the golden fixtures alone ($$BQB_GOLDEN: another folder of them)
	$<

test-e2e: $(BUILD)/bqb ## the built program, from outside
	@for s in tests/e2e/*.sh; do echo "e2e-$$(basename $$s .sh): bash $$s"; done | BQB=$(BUILD)/bqb tests/run.sh

check-layers: ## who includes whom, file names, leftovers
	@tools/check-layers.sh

asan: ## build with AddressSanitizer and UndefinedBehaviorSanitizer, run unit and golden tests
	@$(MAKE) --no-print-directory $(SUB_ASAN) all test-programs
	$(ENV_ASAN) build-asan/test-unit
	$(ENV_ASAN) build-asan/test-golden

tsan: ## build with ThreadSanitizer, run the unit tests
	@$(MAKE) --no-print-directory BUILD=build-tsan OPT=-O1 SANITIZE=-fsanitize=thread build-tsan/test-unit
	TSAN_OPTIONS=suppressions=tests/tsan.supp:halt_on_error=1 build-tsan/test-unit \
	    -decode_survives_damage -decode_from_many_threads # libvips' own threads: minutes, and nothing to learn

fuzz-replay: ## run every fuzz target over its corpus, under the sanitizers
	@$(MAKE) --no-print-directory $(SUB_ASAN) fuzz-programs
	@for f in $(FUZZ_SRC:fuzz/fuzz_%.c=%); do echo "fuzz-$$f: build-asan/fuzz-$$f fuzz/corpus/$$f"; done \
	    | $(ENV_ASAN) tests/run.sh -j $(JOBS)

FUZZ_SECONDS ?= 60
FUZZ_FLAGS = address,undefined -fno-sanitize-recover=all
fuzz: ## search for new inputs with libFuzzer, $$FUZZ_SECONDS (60) a target; finds go to build-fuzz/
	@$(MAKE) --no-print-directory CC=clang BUILD=build-fuzz OPT=-O1 SANITIZE='-fsanitize=fuzzer-no-link,$(FUZZ_FLAGS)' fuzz-with-libfuzzer

LIBFUZZERS = $(FUZZ_SRC:fuzz/fuzz_%.c=$(BUILD)/libfuzzer-%)
$(LIBFUZZERS): $(BUILD)/libfuzzer-%: $(BUILD)/obj/fuzz/fuzz_%.o $(BUILD)/obj/fuzz/target.o $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer,$(FUZZ_FLAGS) -o $@ $^ $(LIBS)

libfuzzer-programs: $(LIBFUZZERS)
fuzz-with-libfuzzer: $(LIBFUZZERS)
	@for f in $(FUZZ_SRC:fuzz/fuzz_%.c=%); do mkdir -p $(BUILD)/corpus/$$f && echo "fuzzing $$f" && \
	    $(ENV_ASAN) $(BUILD)/libfuzzer-$$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -rss_limit_mb=4096 -verbosity=0 \
	    -print_final_stats=1 -artifact_prefix=$(BUILD)/$$f- $(BUILD)/corpus/$$f fuzz/corpus/$$f || exit 1; done

SUB_ASAN = BUILD=build-asan OPT=-O1 SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
ENV_ASAN = ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 LSAN_OPTIONS=suppressions=tests/lsan.supp:print_suppressions=0 \
           UBSAN_OPTIONS=print_stacktrace=1

bench: $(BUILD)/bqb ## measure; CSV with machine, threads and share of the ceiling
	@BQB='$(BUILD)/bqb' tools/bench.sh '$(BUILD)/bench'

paper: $(BUILD)/bqb ## the paper in miniature: an hour, writes docs/paper.md (QUICK=1: two minutes, writes paper/quick)
	@BQB='$(BUILD)/bqb' tools/paper.sh paper/$(if $(QUICK),quick quick,full full)

format-check: ## files that clang-format would change (a report, not a rule)
	@git ls-files '*.c' '*.h' | while read -r f; do clang-format "$$f" | cmp -s - "$$f" || echo "$$f"; done

# ---- Installing ------------------------------------------------------------

BINDIR     = $(DESTDIR)$(PREFIX)/bin
LIBDIR     = $(DESTDIR)$(PREFIX)/lib
INCLUDEDIR = $(DESTDIR)$(PREFIX)/include
MANDIR     = $(DESTDIR)$(PREFIX)/share/man/man1
SHAREDIR   = $(DESTDIR)$(PREFIX)/share/bqb

install: all $(BUILD)/libbqb.a ## to $$DESTDIR$$PREFIX: program, library, header, pkg-config file, man page, models, data
	$(INSTALL) -d $(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR) $(MANDIR) $(SHAREDIR)
	$(INSTALL) -m 755 $(BUILD)/bqb $(BINDIR)/bqb
	$(INSTALL) -m 644 $(BUILD)/libbqb.a $(LIBDIR)/libbqb.a
	$(INSTALL) -m 755 $(BUILD)/libbqb.so.$(VERSION) $(LIBDIR)/libbqb.so.$(VERSION)
	ln -sf libbqb.so.$(VERSION) $(LIBDIR)/libbqb.so.$(SOVERSION)
	ln -sf libbqb.so.$(SOVERSION) $(LIBDIR)/libbqb.so
	$(INSTALL) -m 644 include/bqb.h $(INCLUDEDIR)/bqb.h
	sed 's|@PREFIX@|$(PREFIX)|;s|@VERSION@|$(VERSION)|;s|@PKGS@|$(filter-out libedit,$(PKGS))|' bqb.pc.in > $(LIBDIR)/pkgconfig/bqb.pc
	chmod 644 $(LIBDIR)/pkgconfig/bqb.pc
	$(INSTALL) -m 644 docs/bqb.1 $(MANDIR)/bqb.1
	for f in $$(find models data -type f 2>/dev/null); do \
	    $(INSTALL) -D -m 644 "$$f" "$(SHAREDIR)/$$f" || exit 1; done

uninstall: ## what install put there, and nothing else
	rm -f $(BINDIR)/bqb $(LIBDIR)/libbqb.a $(LIBDIR)/libbqb.so $(LIBDIR)/libbqb.so.$(SOVERSION) \
	    $(LIBDIR)/libbqb.so.$(VERSION) $(INCLUDEDIR)/bqb.h $(LIBDIR)/pkgconfig/bqb.pc $(MANDIR)/bqb.1
	rm -rf $(SHAREDIR)/models $(SHAREDIR)/data
	-rmdir $(SHAREDIR) 2>/dev/null

clean: ## remove everything that was built
	rm -rf build build-*

help: ## this list
	@echo 'make                 build/bqb and the library'
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | sed 's/\$$\$$/$$/g' \
	    | while IFS='|' read -r t d; do printf 'make %-15s %s\n' "$$t" "$$d"; done
	@echo 'Variables: BUILD (folder), CC, OPT, CFLAGS, LDFLAGS, WERROR, SANITIZE, PREFIX, DESTDIR, JOBS'

.PHONY: all test-programs fuzz-programs deps test demo test-unit test-golden test-e2e check-layers asan tsan \
        fuzz-replay fuzz libfuzzer-programs fuzz-with-libfuzzer bench paper format-check install uninstall clean help
.DELETE_ON_ERROR:
-include $(patsubst %.o,%.d,$(ISA_OBJ) $(call obj,$(LIB_SRC) $(CLI_SRC) $(UNIT_SRC) $(GOLD_SRC) $(FUZZ_SRC) fuzz/replay.c fuzz/target.c))
