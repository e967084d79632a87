# bqb: make, make test, make demo, make install; `make help` lists the rest.
# Every .c file under src/LAYER/ belongs to the library, but for src/cli/, the
# program. Every .c file under tests/unit and tests/grad is part of one test
# program, tests/golden of another; tests/e2e/*.sh run the built program.

BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
AR      ?= ar
VERSION := $(shell sed -n 's/^.define BQB_VERSION "\(.*\)"/\1/p' include/bqb.h)

PKGS     := vips sqlite3 jansson libutf8proc chafa
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wmissing-prototypes
WERROR   ?= $(if $(CI),-Werror)
OPT      ?= -O2
ifneq ($(MAKECMDGOALS),clean)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null | sed 's/-I/-isystem /g')
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
endif
CFLAGS  ?= -g
ALL_CFLAGS  = -std=c11 $(OPT) $(WARNINGS) $(WERROR) -D_POSIX_C_SOURCE=200809L -fPIC -fopenmp-simd \
              -Iinclude -Isrc $(PKG_CFLAGS) $(CFLAGS) $(SANITIZE)
ALL_LDFLAGS = $(LDFLAGS) $(SANITIZE)
LIBS        = $(PKG_LIBS) -ldnnl -lpthread -lm

LIB_SRC  := $(sort $(wildcard $(addprefix src/,$(addsuffix /*.c,base math file text image model library search train chat serve))))
CLI_SRC  := $(sort $(wildcard src/cli/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/*.c tests/grad/*.c)) tests/runner.c
GOLD_SRC := $(sort $(wildcard tests/golden/*.c)) tests/runner.c

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

.DEFAULT_GOAL := all
all: $(BUILD)/bqb $(BUILD)/libbqb.so.$(VERSION)

# Loops over floats are worth vectorising; -O2 alone does only the cheapest.
$(BUILD)/obj/src/math/%.o $(BUILD)/obj/src/search/%.o: OPT := -O3
$(BUILD)/obj/tests/%.o: ALL_CFLAGS += -Itests

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libbqb.a: $(call obj,$(LIB_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/libbqb.so.$(VERSION): $(call obj,$(LIB_SRC))
	$(CC) -shared -Wl,-soname,libbqb.so.0 $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/bqb: $(call obj,$(CLI_SRC)) $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/test-unit: $(call obj,$(UNIT_SRC)) $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/test-golden: $(call obj,$(GOLD_SRC)) $(BUILD)/libbqb.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

test-unit: $(BUILD)/test-unit
	$<

test-golden: $(BUILD)/test-golden
	$<

clean:
	rm -rf $(BUILD)

.PHONY: all test-unit test-golden clean
-include $(patsubst %.o,%.d,$(call obj,$(LIB_SRC) $(CLI_SRC) $(UNIT_SRC) $(GOLD_SRC)))
