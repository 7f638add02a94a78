# hallmark: the agent that is baked into golden machine images
#
#   make run            installs what the build needs, builds, and shows the main job on this host
#   make check          installs what the tests need, and runs them all
#   make                builds hallmarkd and hallmark into $(BUILD)
#   make tests          builds the test programs
#   make install        to $(DESTDIR)$(PREFIX) and $(DESTDIR)$(SYSCONFDIR)
#   make deb            installs what packaging needs, and makes the Debian packages in $(BUILD)/deb
#   make check-STEP     one step of the tests: unit, sanitize, fuzz, valgrind, clang, headers, style, integration or
#                       campaign; T=WORD runs only the test programs that have WORD in their names
#   make campaign       attacks the whole agent for MINUTES=60: kills, power cuts, failing calls, wrong clocks, floods
#                       (`make check-campaign` is a short form, and part of `make check`)
#   make check-image    installs what it needs, and tests the package on machines that boot, lose their power, sleep and
#                       are copied (half an hour; `make check` has a short form: one power cut)
#   make bench          installs what it needs, and measures hallmarkd beside rsyslog and other log forwarders, as a table and
#                       as JSON lines (six minutes; ROWS='catch-up verify' measures only those; LINES=1000000 ROUNDS=3;
#                       SYSLOG_NG=PROGRAM and FLUENT_BIT=PROGRAM are measured too)
#   make profile        counts the instructions of a line, by function (LINES=20000)
#   make fuzz           fuzzes every parser of foreign bytes for SECONDS=60 each, or the one that FUZZ=NAME names, and
#                       adds that to tests/fuzz/LOG.md
#   make clean          removes build/, and leaves run/, which is yours
#
# Variables, for the command line or the environment; none is ever added to:
#
#   CC CFLAGS CPPFLAGS LDFLAGS   as usual; what the code itself needs is kept apart from them
#   PREFIX=/usr SYSCONFDIR=/etc DESTDIR= UNITDIR=$(PREFIX)/lib/systemd/system
#   BUILD=build                  where everything that is made goes
#   DEVELOPER=1                  warnings are errors
#   SANITIZE=address,undefined   with sanitizers, into a directory of its own
#   V=1                          show the commands
#   ONCE=1 COLOUR=never          for `make run`: end after the summary; no colour

CFLAGS ?= -O3 -g
PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
INSTALL ?= install
VERSION := $(shell sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)

comma := ,
BUILD ?= build$(addprefix -,$(subst $(comma),-,$(SANITIZE)))

.DEFAULT_GOAL := all

# Goals that hand on to other programs, or to a make of their own once the packages are there.
DELEGATED := help clean run check check-% campaign bench profile fuzz deb
# Empty where nothing is to be built here.
BUILDING := $(filter-out $(DELEGATED),$(or $(MAKECMDGOALS),all))

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

# --- what there is ------------------------------------------------------------------------------------

PROGRAMS := hallmarkd hallmark
MAIN_hallmarkd := agent/hallmarkd.c
MAIN_hallmark := agent/hallmark.c $(wildcard agent/cmd-*.c)
MAINS := $(foreach p,$(PROGRAMS),$(MAIN_$(p)))

PROTOS := $(wildcard proto/*.proto)
PROTO_SRC := $(PROTOS:%.proto=$(BUILD)/%.pb-c.c)
PROTO_HDR := $(PROTOS:%.proto=$(BUILD)/%.pb-c.h)
LIB_SRC := $(filter-out $(MAINS),$(wildcard agent/base/*.c proto/*.c collectors/*.c agent/*.c))
# By number; the last is what is written with.
DICTIONARIES := $(shell printf '%s\n' proto/dictionaries/*.dict | sort -V)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(PROTO_SRC:%.c=%.o) $(BUILD)/proto/dictionaries.o
LIB := $(BUILD)/libhallmark.a
HEADERS := $(wildcard agent/base/*.h proto/*.h collectors/*.h agent/*.h)

UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test-*.c))
BENCHES := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz-*.c))
# What calls them: the corpus, or libFuzzer.
FUZZ_MAIN = $(BUILD)/tests/fuzz/replay.o
# Makes system calls, or allocations, of a program fail: see there.
FAULTS := $(BUILD)/tests/lib/faults.so $(BUILD)/tests/lib/allocations.so
# Tries the ways out of the unit's sandbox, in the machine test.
PROBE := $(BUILD)/tests/image/probe

# --- how it is built ----------------------------------------------------------------------------------

PACKAGES := libsystemd libcrypto libprotobuf-c libzstd zlib inih jansson libseccomp
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wformat-signedness -Wimplicit-fallthrough \
	-Wdate-time -Wno-unused-parameter
# Fortification wants an optimiser and dislikes sanitizers; level 2 is for compilers without level 3, and
# is turned down by the probe (a macro defined twice) where level 3 was taken.
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -D_FORTIFY_SOURCE=2
HARDENING := $(if $(SANITIZE),,$(FORTIFY)) -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	-fPIE -ftrivial-auto-var-init=zero -fstrict-flex-arrays=3 -fno-common
HARDENING_LINK := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed
# The programs are optimised as a whole. The tests, which are many, are linked from the same objects as they are.
WHOLE := $(if $(SANITIZE),,-flto=auto -ffat-lto-objects)
# The same bytes wherever the tree lies.
REPRODUCIBLE := -ffile-prefix-map=$(CURDIR)=.

OWN_CPPFLAGS := -D_GNU_SOURCE -I. -I$(BUILD) -DHALLMARK_VERSION='"$(VERSION)"' \
	-DHALLMARK_SBINDIR='"$(PREFIX)/sbin"' -DHALLMARK_DATADIR='"$(PREFIX)/share/hallmark"' \
	-DHALLMARK_SYSCONFDIR='"$(SYSCONFDIR)/hallmark"'
OWN_CFLAGS = -std=gnu17 $(PROBED_CFLAGS) $(if $(DEVELOPER),-Werror) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
OWN_LDFLAGS = $(PROBED_LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))
COMPILE = $(CC) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CFLAGS) $(PROBED_WHOLE) $(CFLAGS)
LINK = $(CC) $(CFLAGS) $(OWN_LDFLAGS) $(LDFLAGS)
LINK_WHOLE = $(LINK) $(PROBED_WHOLE) $(filter -ffile-prefix-map=%,$(PROBED_CFLAGS))
LINK_PARTS = $(LINK) $(if $(PROBED_WHOLE),-fno-lto)

all: $(PROGRAMS:%=$(BUILD)/%)
	@:
benches: all $(BENCHES)
	@:
tests: $(UNIT_TESTS) $(BENCHES) $(FUZZERS) $(FAULTS) $(PROBE)

ifneq ($(BUILDING),)
# When the compiler or what it is told changes, the flags are probed anew and everything is built anew.
SETTINGS := $(strip $(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(SANITIZE) $(DEVELOPER) $(VERSION) $(PREFIX) $(SYSCONFDIR))
ifneq ($(file <$(BUILD)/settings),$(SETTINGS))
$(shell mkdir -p $(BUILD))
$(file >$(BUILD)/settings,$(SETTINGS))
endif

include $(BUILD)/flags.mk
-include $(LIB_OBJ:.o=.d) $(MAINS:%.c=$(BUILD)/%.d) $(UNIT_TESTS:=.d) $(BENCHES:=.d) $(FUZZERS:=.d) $(PROBE:=.d)
endif

# Each flag is tried on top of those that were found to work before it; one that the compiler does not know, or
# that does not go with the others, is left out.
$(BUILD)/flags.mk: $(BUILD)/settings Makefile
	$(call say,PROBE,$(CC))
	$(Q)try() { printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | \
		$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) "$$@" -x c - -o $(BUILD)/probe; }; \
	try || { echo "$(CC) makes no program with these flags: $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)" >&2; exit 1; }; \
	missing=; for p in $(PACKAGES); do $(PKG_CONFIG) --exists $$p || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || { echo "Not installed:$$missing ('packaging/dependencies build' installs them)" >&2; exit 1; }; \
	c=; for f in $(WARNINGS) $(HARDENING) $(REPRODUCIBLE); do try -Werror $$c $$f 2>/dev/null && c="$$c $$f"; done; \
	l=; for f in $(HARDENING_LINK); do try -Werror -fPIE $$l $$f 2>/dev/null && l="$$l $$f"; done; \
	w=; [ -z "$(WHOLE)" ] || ! try -Werror -fPIE $(WHOLE) $$l 2>/dev/null || w="$(WHOLE)"; rm -f $(BUILD)/probe; \
	{ echo "PROBED_CFLAGS := $$c $$($(PKG_CONFIG) --cflags $(PACKAGES))"; echo "PROBED_LDFLAGS := $$l"; echo "PROBED_WHOLE := $$w"; \
	  echo "LIBS := $$($(PKG_CONFIG) --libs $(PACKAGES))"; } > $@

$(BUILD)/%.pb-c.c $(BUILD)/%.pb-c.h: %.proto
	$(call say,PROTO,$<)
	$(Q)$(PROTOC_C) --proto_path=. --c_out=$(BUILD) $<

$(BUILD)/%.pb-c.o: $(BUILD)/%.pb-c.c $(PROTO_HDR) $(BUILD)/flags.mk
	$(call say,CC,$<)
	$(Q)$(COMPILE) -w -c $< -o $@

$(BUILD)/proto/dictionaries.c: $(DICTIONARIES) Makefile
	$(call say,DICT,$(@F))
	$(Q)mkdir -p $(@D) && { echo '#include "proto/dictionaries.h"'; \
		for d in $(DICTIONARIES); do echo "static const uint8_t d$$(basename $$d .dict)[] = {"; \
		od -An -v -tu1 $$d | sed 's/[0-9][0-9]*/&,/g'; echo "};"; done; \
		echo 'const struct bytes dictionaries[] = { { 0 },'; \
		for d in $(DICTIONARIES); do n=d$$(basename $$d .dict); echo "{ $$n, sizeof $$n },"; done; \
		echo '}; const unsigned n_dictionaries = sizeof dictionaries / sizeof dictionaries[0];'; } > $@

$(BUILD)/proto/dictionaries.o: $(BUILD)/proto/dictionaries.c $(BUILD)/flags.mk
	$(call say,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c $< -o $@

$(BUILD)/%.o: %.c $(BUILD)/flags.mk | $(PROTO_HDR)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(COMPILE) -MMD -MP -c $< -o $@

$(LIB): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $^

define program
$(BUILD)/$(1): $(MAIN_$(1):%.c=$(BUILD)/%.o) $(LIB)
	$$(call say,LD,$$@)
	$$(Q)$$(LINK_WHOLE) $$^ $$(LIBS) -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(UNIT_TESTS): LIBS += -lcmocka
$(UNIT_TESTS) $(BENCHES) $(PROBE): %: %.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(LINK_PARTS) $^ $(LIBS) -o $@

$(FUZZERS): %: %.o $(FUZZ_MAIN) $(LIB)
	$(call say,LD,$@)
	$(Q)$(LINK_PARTS) $(FUZZ_LINK) $^ $(LIBS) -o $@

$(BUILD)/tests/lib/faults.so: tests/lib/disk-log.h
$(FAULTS): $(BUILD)/%.so: %.c $(BUILD)/flags.mk
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(COMPILE) -fPIC -shared $< -o $@

# Every header brings what it needs, and may be included twice.
headers: $(PROTO_HDR)
	$(Q)for h in $(HEADERS); do printf '#include "%s"\n#include "%s"\n' $$h $$h | \
		$(COMPILE) -Werror -fsyntax-only -x c - || { echo "$$h does not compile alone" >&2; exit 1; }; done

# --- what is done with it -----------------------------------------------------------------------------

# As many jobs as there are processors, unless the caller has said how many.
PARALLEL = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

run:
	@packaging/dependencies build
	@$(MAKE) --no-print-directory $(PARALLEL) all
	@HALLMARK_BUILD=$(BUILD) packaging/run-here

check:
	@packaging/dependencies build test package image
	@tests/run

check-image:
	@packaging/dependencies build test package image
	@HALLMARK_TEST_LONG=1 tests/run image

MINUTES ?= 60

campaign:
	@packaging/dependencies build test package
	@HALLMARK_TEST_MINUTES=$(MINUTES) tests/run campaign

check-%:
	@tests/run $*

bench:
	@packaging/dependencies build bench
	@$(MAKE) --no-print-directory $(PARALLEL) benches
	@HALLMARK_BUILD=$(BUILD) tests/bench/run $(if $(LINES),--lines $(LINES)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ROWS)

profile:
	@packaging/dependencies build bench
	@$(MAKE) --no-print-directory $(PARALLEL) all
	@HALLMARK_BUILD=$(BUILD) tests/bench/profile $(LINES)

# With libFuzzer, which clang brings; see tests/fuzz/run. `build/check/sanitize/tests/fuzz/fuzz-NAME FILE` shows again
# what broke a promise.
SECONDS ?= 60
FUZZ ?= $(patsubst tests/fuzz/fuzz-%.c,%,$(wildcard tests/fuzz/fuzz-*.c))

fuzz:
	@$(MAKE) --no-print-directory $(PARALLEL) BUILD=build/fuzz CC=clang CFLAGS='-O1 -g' \
		SANITIZE=fuzzer-no-link,address,undefined FUZZ_MAIN= FUZZ_LINK=-fsanitize=fuzzer \
		$(FUZZ:%=build/fuzz/tests/fuzz/fuzz-%)
	@tests/fuzz/run $(SECONDS) $(FUZZ)

MANUALS := $(wildcard packaging/man/*.[1-8])
TEMPLATES := $(wildcard packaging/templates/*.templates packaging/templates/*.redactions)

install: all
	$(INSTALL) -D -m 755 $(BUILD)/hallmark $(DESTDIR)$(PREFIX)/bin/hallmark
	$(INSTALL) -D -m 755 $(BUILD)/hallmarkd $(DESTDIR)$(PREFIX)/sbin/hallmarkd
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(PREFIX)/share/hallmark/templates $(TEMPLATES)
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(PREFIX)/share/hallmark/dictionaries $(DICTIONARIES)
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(SYSCONFDIR)/hallmark packaging/hallmark.conf
	for m in $(MANUALS); do $(INSTALL) -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${m##*.} $$m || exit; done
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(PREFIX)/share/bash-completion/completions packaging/completion/hallmark

	sed 's,/usr/sbin/,$(PREFIX)/sbin/,' packaging/systemd/hallmarkd.service | \
		$(INSTALL) -D -m 644 /dev/stdin $(DESTDIR)$(UNITDIR)/hallmarkd.service
	$(INSTALL) -m 644 -t $(DESTDIR)$(UNITDIR) packaging/systemd/hallmark-accounts.*
	if $(PKG_CONFIG) --atleast-version=254 libsystemd; then $(INSTALL) -D -m 644 packaging/systemd/backoff.conf \
		$(DESTDIR)$(UNITDIR)/hallmarkd.service.d/10-backoff.conf; fi
	$(INSTALL) -D -m 644 packaging/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/hallmark.conf
	$(INSTALL) -D -m 644 packaging/systemd/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/hallmark.conf
	$(INSTALL) -D -m 644 packaging/systemd/preset.conf $(DESTDIR)$(PREFIX)/lib/systemd/system-preset/50-hallmark.preset

# From a copy of what the package is made of, so that nothing else of the tree can get into it. What this make was told
# is not for that build, whose settings are the distribution's.
deb:
	@packaging/dependencies build package
	@rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb/hallmark
	@cp -r Makefile CHANGELOG.md agent collectors proto packaging $(BUILD)/deb/hallmark
	@cp -r deb $(BUILD)/deb/hallmark/debian
	$(Q)cd $(BUILD)/deb/hallmark && env -u MAKEFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u BUILD -u CC -u CFLAGS -u CPPFLAGS \
		-u LDFLAGS -u PREFIX -u SYSCONFDIR -u UNITDIR -u DESTDIR dpkg-buildpackage --build=binary --no-sign \
		>../build.log 2>&1 || { cat ../build.log >&2; exit 1; }
	@rm -rf $(BUILD)/deb/hallmark
	@ls $(BUILD)/deb/*.deb

clean:
	rm -rf build build-*

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all tests benches headers run check check-image campaign bench profile fuzz install deb clean help
