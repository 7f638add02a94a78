# hallmark: the agent that is baked into golden machine images
#
#   make run            installs what the build needs, builds, and shows the main job on this host
#   make check          installs what the tests need, and runs them all
#   make                builds into $(BUILD)
#   make help           the other targets
#
# Variables (set them on the command line or in the environment; none is ever added to):
#   CC CFLAGS CPPFLAGS LDFLAGS   as usual; what the code itself needs is kept apart from them
#   DESTDIR PREFIX SYSCONFDIR    for `make install`
#   DEVELOPER=1                  warnings are errors
#   SANITIZE=address,undefined   build with sanitizers, into a directory of its own
#   V=1                          show the commands
#   ONCE=1, COLOUR=never         for `make run`: end after the summary; no colour

CFLAGS ?= -O2 -g
PREFIX ?= /usr
SYSCONFDIR ?= /etc
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
VERSION := $(shell sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md 2>/dev/null | head -n 1)

comma := ,
BUILD ?= build$(addprefix -,$(subst $(comma),-,$(SANITIZE)))

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
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(PROTO_SRC:%.c=%.o)
LIB := $(BUILD)/libhallmark.a

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test-*.c))

# --- how it is built ----------------------------------------------------------------------------------

PACKAGES := libsystemd libcrypto libprotobuf-c libzstd zlib inih jansson libseccomp
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wformat-signedness -Wimplicit-fallthrough \
	-Wdate-time -Wno-unused-parameter
HARDENING := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	-fPIE -ftrivial-auto-var-init=zero -fstrict-flex-arrays=3 -fno-common
HARDENING_LINK := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed

# Probed once for each compiler and set of flags; a flag that the compiler does not know is left out.
FLAGS := $(BUILD)/flags.mk
ifeq ($(filter help clean run check deps-% install-% format,$(MAKECMDGOALS)),)
-include $(FLAGS)
endif

OWN_CPPFLAGS := -D_GNU_SOURCE -I. -I$(BUILD) -DHALLMARK_VERSION='"$(VERSION)"' \
	-DHALLMARK_DATADIR='"$(PREFIX)/share/hallmark"' -DHALLMARK_SYSCONFDIR='"$(SYSCONFDIR)/hallmark"'
OWN_CFLAGS := -std=gnu17 $(PROBED_CFLAGS) $(if $(DEVELOPER),-Werror) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
OWN_LDFLAGS := $(PROBED_LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

all: $(PROGRAMS:%=$(BUILD)/%)

# The flags are made anew when the compiler or what it is told changes, and everything that they built with them.
$(BUILD)/settings: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(SANITIZE) $(DEVELOPER) $(VERSION) $(PREFIX) $(SYSCONFDIR)' | cmp -s - $@ || \
		echo '$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(SANITIZE) $(DEVELOPER) $(VERSION) $(PREFIX) $(SYSCONFDIR)' > $@

$(FLAGS): $(BUILD)/settings Makefile
	$(call say,PROBE,$(CC))
	$(Q)works() { echo 'int main(void){return 0;}' | $(CC) -Werror -O2 "$$@" -x c - -o $(BUILD)/probe 2>/dev/null; }; \
	c=; for f in $(WARNINGS) $(if $(SANITIZE),$(filter-out %FORTIFY_SOURCE=3,$(HARDENING)),$(HARDENING)); do works $$f && c="$$c $$f"; done; \
	l=; for f in $(HARDENING_LINK); do works -fPIE $$f && l="$$l $$f"; done; rm -f $(BUILD)/probe; \
	for p in $(PACKAGES); do $(PKG_CONFIG) --exists $$p || { echo "missing: $$p; 'make run' installs what the build needs" >&2; exit 1; }; done; \
	{ echo "PROBED_CFLAGS := $$c $$($(PKG_CONFIG) --cflags $(PACKAGES))"; echo "PROBED_LDFLAGS := $$l"; \
	  echo "LIBS := $$($(PKG_CONFIG) --libs $(PACKAGES))"; } > $@

$(BUILD)/%.pb-c.c $(BUILD)/%.pb-c.h: %.proto
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(BUILD) && $(PROTOC_C) --proto_path=. --c_out=$(BUILD) $<

$(BUILD)/%.pb-c.o: $(BUILD)/%.pb-c.c $(BUILD)/settings
	$(call say,CC,$<)
	$(Q)$(CC) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CFLAGS) $(CFLAGS) -w -c $< -o $@

$(BUILD)/%.o: %.c $(BUILD)/settings | $(PROTO_HDR)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $^

define program
$(BUILD)/$(1): $(MAIN_$(1):%.c=$(BUILD)/%.o) $(LIB)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(OWN_CFLAGS) $$(CFLAGS) $$(OWN_LDFLAGS) $$(LDFLAGS) $$^ $$(LIBS) -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(OWN_CFLAGS) $(CFLAGS) $(OWN_LDFLAGS) $(LDFLAGS) $^ $(LIBS) -lcmocka -o $@

unit-tests: $(UNIT_TESTS)

.SECONDARY:
.PHONY: all unit-tests FORCE
FORCE:

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
