# All tasks, in a line or two each: cargo and the scripts in ci/ do the work.
#
#     make watch         build, and print the events of the network namespaces of this machine
#     make test          install what the tests require, then run every test in every language
#     make install       PREFIX=/usr/local DESTDIR= LIBDIR= INCLUDEDIR= BINDIR= MANDIR=
#                        BASHCOMPDIR= ZSHCOMPDIR= FISHCOMPDIR=
#     make static        target/static/nswatch, a command that needs no shared library: docs/platforms.md
#     make uninstall     removes the installed files, with the same settings
#     make wheel         a wheel for pip that carries the library, in target/wheel
#     make wheels        wheels for glibc 2.17, musl and arm64, and a source package, in target/wheels; zig comes from PyPI
#     make deb           packages for Debian and its derivatives, in target/deb
#     make dist          a tarball of the source and every crate, which builds offline, in target/dist
#     make release       VERSION=: writes the version everywhere, commits, tags, packs; pushes nothing. See CONTRIBUTING.md
#     make chaos         SECONDS=60 SEED= TINY=: random actors, and checks of the reported state: docs/reliability.md
#     make bench         cost against the bare system calls and other programs: writes docs/benchmarks.md
#     make bench-floor   cost against the bare system calls only; FIGURES="births mounts": see benches/floor/main.c
#     make bench-hostile cost of attacks by a process that may write to the directory
#     make instructions  instructions and size of the library against the figures in benches/guard
#     make test-kernels  the suites on other kernels and processors, under emulation; see ci/kernels/run
#     make test-musl     the shared library on musl; requires rustc's standard library for it
#     make sanitize      the C test program and the library under AddressSanitizer, the queue under ThreadSanitizer
#     make lint          formatting, clippy, rustdoc, header drift, exported symbols, ABI, manual pages, licences, versions
#     make site          the whole documentation as one static site, in target/site
#     make audit         advisories about third-party code, see SECURITY.md; requires the internet
#     make reproducible  builds again in another directory and compares
#     make header        generates include/nswatch.h from src/capi
#     make abi-baseline  records the ABI of a release: docs/abi.md
#
# CARGO_BUILD_TARGET=TRIPLE builds, installs and packs for another processor or C library: docs/platforms.md

CARGO ?= cargo
RUSTC ?= rustc
INSTALL ?= install
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
SONAME := libnswatch.so.0
BUILD := $(or $(CARGO_TARGET_DIR),target)
TARGET := $(BUILD)$(CARGO_BUILD_TARGET:%=/%)/release
LIBRARY := $(TARGET)/libnswatch.so
COMMAND := $(TARGET)/nswatch
COMPLETIONS := $(BASHCOMPDIR)/nswatch $(ZSHCOMPDIR)/_nswatch $(FISHCOMPDIR)/nswatch.fish
# A command for another machine cannot print its completions here.
PRINTER := $(BUILD)/release/nswatch
# as rustc links; keeps debugging information if the profile asks for it
LINKING := -Wl,--gc-sections,--as-needed,-O1,-z,relro,-z,now,-z,noexecstack,-z,defs \
	$(if $(CARGO_PROFILE_RELEASE_DEBUG),,-Wl,--strip-debug)
SOURCES := Cargo.toml Cargo.lock build.rs $(shell find src -type f) $(BUILD)/release/wrapped

# The C compiler of a triple, by its name in Debian and most distributions, and the variable in which cargo expects it.
HOST = $(shell $(RUSTC) -vV | sed -n 's/^host: //p')
gcc_of = $(patsubst armv7-%,arm-%,$(patsubst riscv64gc-%,riscv64-%,$(subst -unknown-,-,$(1))))-gcc
linker_of = CARGO_TARGET_$(shell echo $(1) | tr a-z- A-Z_)_LINKER
ifneq ($(filter-out $(HOST),$(CARGO_BUILD_TARGET)),)
linker := $(call linker_of,$(CARGO_BUILD_TARGET))
ifeq ($(origin CC),default)
CC := $(or $($(linker)),$(call gcc_of,$(CARGO_BUILD_TARGET)))
endif
$(linker) ?= $(CC)
export $(linker)
endif

# The unwinder. Compilers for musl on a glibc system have the wrong libgcc_s; std brings its own.
UNWINDER ?= $(or $(if $(findstring -musl,$(MACHINE)),$(wildcard $(call libdir_of,$(MACHINE))/self-contained/libunwind.a)),-lgcc_s)
GLIBC_IN_MUSL = $(if $(findstring -musl,$(MACHINE)),readelf -dW $(TARGET)/linked.so | grep 'NEEDED.*libc\.so\.6',false)

# Fails with a clear message if this machine cannot build for the triple.
libdir_of = $(shell $(RUSTC) --print target-libdir --target $(1) 2> /dev/null)
std_of = $(wildcard $(call libdir_of,$(1))/libstd-*.rlib)
need_std = $(if $(call std_of,$(1)),,$(error $(RUSTC) has no standard library for $(1): `rustup target add $(1)`, \
	or the package of it that belongs to a distribution's own rustc))

# Without std for musl, glibc is linked statically.
MACHINE = $(or $(CARGO_BUILD_TARGET),$(HOST))
MUSL = $(subst -gnu,-musl,$(MACHINE))
STATIC_TARGET ?= $(if $(call std_of,$(MUSL)),$(MUSL),$(MACHINE))

.PHONY: all watch static test test-kernels test-musl chaos bench bench-floor bench-hostile
.PHONY: instructions sanitize install uninstall wheel wheels deb dist release header abi-baseline lint site audit reproducible clean

all: $(LIBRARY) $(COMMAND) $(TARGET)/nswatch.pc $(TARGET)/completions

watch: $(COMMAND)
	exec $(COMMAND) watch $(ARGS)

test:
	ci/run

SECONDS ?= 60
SEED ?=
TINY ?=

chaos:
	NSWATCH_SECONDS=$(SECONDS) NSWATCH_SEED=$(SEED) NSWATCH_TINY=$(TINY) $(CARGO) test --release --locked --features capi \
		--config 'target."cfg(all())".runner="tests/sandbox"' --test chaos -- --nocapture

bench bench-floor bench-hostile: STAGE := $(abspath $(dir $(TARGET)))/stage

# About ten minutes, as root, with nothing else running. Installs the other programs on demand.
bench: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	benches/peers/install
	$(CARGO) bench --locked --no-run --bench channel
	$(CARGO) bench --locked --features fuzzing --bench parts
	tests/sandbox $(dir $(TARGET))peers/venv/bin/python benches/peers/run $(LOADS)

ROUNDS ?= 20

bench-floor: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	$(CC) -std=c99 -D_GNU_SOURCE -O2 benches/floor/*.c -o $(dir $(TARGET))floor \
		-I$(STAGE)/include -L$(STAGE)/lib -Wl,-rpath,$(STAGE)/lib -lnswatch -lpthread -lm
	NSWATCH_COMMAND=$(STAGE)/bin/nswatch tests/sandbox $(dir $(TARGET))floor $(ROUNDS) $(FIGURES)

bench-hostile: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	$(CC) -O2 benches/hostile.c -o $(dir $(TARGET))hostile \
		-I$(STAGE)/include -L$(STAGE)/lib -Wl,-rpath,$(STAGE)/lib -lnswatch
	tests/sandbox $(dir $(TARGET))hostile

instructions:
	ci/instructions

test-kernels:
	ci/kernels/run

test-musl:
	ci/musl

sanitize:
	ci/sanitize

# Cargo does not notice a change of the program that runs the compiler.
$(BUILD)/release/wrapped: .cargo/config.toml .cargo/rustc
	$(CARGO) clean -q --release
	@mkdir -p $(@D)
	touch $@

# The output of one build names the other libraries of a static link. There is no static libgcc_s; every compiler adds its
# replacement. The shared library is linked from the static one, because rustc's list of symbols has no versions, and GNU ld
# accepts no second list.
$(LIBRARY) $(TARGET)/libs-private &: $(SOURCES) nswatch.map
	$(call need_std,$(MACHINE))
	@mkdir -p $(TARGET)
	@rm -f $(TARGET)/built
	{ $(CARGO) rustc --release --locked --lib --features capi --crate-type staticlib -- \
		-C target-feature=-crt-static --print native-static-libs 2>&1 && touch $(TARGET)/built; } | \
		tee $(TARGET)/build.log >&2
	@test -e $(TARGET)/built
	sed -n 's/.*native-static-libs: //p' $(TARGET)/build.log | tail -n 1 > $(TARGET)/libs
	test -s $(TARGET)/libs
	sed -n 's/^ *\(ns[a-z_]*\);$$/-Wl,-u,\1/p' nswatch.map > $(TARGET)/symbols
	$(CC) $(CFLAGS) -shared -o $(TARGET)/linked.so -Wl,-soname,$(SONAME) -Wl,--version-script=nswatch.map \
		@$(TARGET)/symbols $(TARGET)/libnswatch.a $(LINKING) $(LDFLAGS) \
		$$(sed 's|-lgcc_s|$(UNWINDER)|' $(TARGET)/libs)
	@! $(GLIBC_IN_MUSL) || { echo "make: $(CC) links glibc into a library for musl: CC=musl-gcc, for one" >&2; exit 1; }
	sed 's/-lgcc_s *//' $(TARGET)/libs > $(TARGET)/libs-private
	mv $(TARGET)/linked.so $(LIBRARY)

$(COMMAND): $(SOURCES)
	$(call need_std,$(MACHINE))
	$(CARGO) build --release --locked --features cli --bin nswatch
	touch $(COMMAND)

ifneq ($(COMMAND),$(PRINTER))
$(PRINTER): $(SOURCES)
	env -u CARGO_BUILD_TARGET $(CARGO) build --release --locked --features cli --bin nswatch
	touch $(PRINTER)
endif

$(TARGET)/completions: $(PRINTER)
	@mkdir -p $@
	$(PRINTER) completions bash > $@/bash
	$(PRINTER) completions zsh > $@/zsh
	$(PRINTER) completions fish > $@/fish
	touch $@

# Cargo decides what is stale.
static:
	$(call need_std,$(STATIC_TARGET))
	RUSTFLAGS='$(RUSTFLAGS) -C target-feature=+crt-static' \
		$(CARGO) build --release --locked --features cli --bin nswatch --target $(STATIC_TARGET)
	$(INSTALL) -d $(BUILD)/static
	$(INSTALL) -m 755 $(BUILD)/$(STATIC_TARGET)/release/nswatch $(BUILD)/static

# Always written again: it contains the directories of this call.
.PHONY: $(TARGET)/nswatch.pc
$(TARGET)/nswatch.pc: nswatch.pc.in $(TARGET)/libs-private
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
		-e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
		-e 's|@VERSION@|$(VERSION)|' -e "s|@LIBS_PRIVATE@|$$(cat $(TARGET)/libs-private)|" $< > $@

# The functions of a page of section 3, which are its other names: `man nsw_close` shows nsw_open.3.
manual_names = sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_]*\).*/\1/p' $$page

install: all
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(BINDIR)
	$(INSTALL) -d $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 $(addprefix $(DESTDIR),$(dir $(COMPLETIONS)))
	$(INSTALL) -m 755 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libnswatch.so.$(VERSION)
	ln -sf libnswatch.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf libnswatch.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libnswatch.so
	$(INSTALL) -m 644 $(TARGET)/libnswatch.a $(DESTDIR)$(LIBDIR)
	$(INSTALL) -m 644 $(TARGET)/nswatch.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(INSTALL) -m 644 include/nswatch.h include/nswatch.hpp $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 755 $(COMMAND) $(DESTDIR)$(BINDIR)
	$(INSTALL) -m 644 $(TARGET)/completions/bash $(DESTDIR)$(BASHCOMPDIR)/nswatch
	$(INSTALL) -m 644 $(TARGET)/completions/zsh $(DESTDIR)$(ZSHCOMPDIR)/_nswatch
	$(INSTALL) -m 644 $(TARGET)/completions/fish $(DESTDIR)$(FISHCOMPDIR)/nswatch.fish
	$(INSTALL) -m 644 docs/man/*.1 $(DESTDIR)$(MANDIR)/man1
	$(INSTALL) -m 644 docs/man/*.3 $(DESTDIR)$(MANDIR)/man3
	for page in docs/man/*.3; do for name in $$($(manual_names)); do \
		test $$page = docs/man/$$name.3 || ln -sf $${page##*/} $(DESTDIR)$(MANDIR)/man3/$$name.3 || exit 1; done; done

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/libnswatch.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libnswatch.so
	rm -f $(DESTDIR)$(LIBDIR)/libnswatch.a $(DESTDIR)$(LIBDIR)/pkgconfig/nswatch.pc
	rm -f $(DESTDIR)$(INCLUDEDIR)/nswatch.h $(DESTDIR)$(INCLUDEDIR)/nswatch.hpp
	rm -f $(DESTDIR)$(BINDIR)/nswatch $(addprefix $(DESTDIR),$(COMPLETIONS))
	for page in docs/man/*.1; do rm -f $(DESTDIR)$(MANDIR)/man1/$${page##*/}; done
	for page in docs/man/*.3; do for name in $$(basename $$page .3) $$($(manual_names)); do \
		rm -f $(DESTDIR)$(MANDIR)/man3/$$name.3 || exit 1; done; done

# Carries the library; `bindings/python/wheel --test` tests it in a fresh virtual environment.
wheel: $(LIBRARY)
	bindings/python/wheel $(LIBRARY) $(dir $(TARGET))wheel

# Builds the wheels, checks their tags, and runs each: bindings/python/try-wheels.
wheels:
	ci/install-deps wheels
	bindings/python/wheels --test $(BUILD)/wheels

# Leaves the packages in target/deb; `packaging/test` builds them, then tests them in a clean system.
deb:
	packaging/build

# `packaging/dist --test` also builds from it.
dist:
	packaging/dist

release:
	packaging/release $(VERSION)

header:
	$(CARGO) build --locked --features header

# For a release, and for a new function before the first release: docs/abi.md.
abi-baseline:
	ci/abi/check baseline

lint:
	ci/lint

# docs/site/look opens it in a browser.
site:
	docs/site/build

audit:
	ci/supply audit

reproducible:
	ci/reproducible

clean:
	$(CARGO) clean
