# Everything that one does with nswatch, each a line or two: cargo and the scripts in ci/ do the work.
#
#     make watch         build, and print what happens to the network namespaces of this machine
#     make test          install what the tests need, then run every test in every language
#     make install       PREFIX=/usr/local DESTDIR= LIBDIR= INCLUDEDIR= BINDIR= MANDIR=
#                        BASHCOMPDIR= ZSHCOMPDIR= FISHCOMPDIR=
#     make uninstall     takes away what install put there, with the same settings
#     make wheel         a wheel for pip that carries the library, in target/wheel
#     make deb           packages for Debian and its like, in target/deb
#     make chaos         SECONDS=60 SEED= TINY=: actors at random against beliefs, see docs/reliability.md
#     make bench         what it costs beside the bare system calls and beside others: writes docs/benchmarks.md
#     make bench-nsid    what a question about an nsid costs beside its system calls
#     make bench-hostile what attacks of who may write to the directory cost the watcher
#     make bench-mounts  what a change of a mount costs with 1000 names more than with none
#     make instructions  the instructions and the size of the library beside the figures in benches/guard
#     make test-kernels  the suites on other kernels and processors, under emulation; see ci/kernels/run
#     make sanitize      the C test program and the library under AddressSanitizer, the queue under ThreadSanitizer
#     make lint          formatting, clippy, rustdoc, header drift, exported symbols, ABI, manual pages, licences, versions
#     make audit         advisories about what others wrote and we use: see SECURITY.md. Needs the internet
#     make reproducible  builds again in another folder and compares
#     make header        include/nswatch.h anew, from src/capi
#     make abi-baseline  records the ABI of a release: docs/abi.md

CARGO ?= cargo
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
TARGET := $(or $(CARGO_TARGET_DIR),target)/release
LIBRARY := $(TARGET)/libnswatch.so
COMMAND := $(TARGET)/nswatch
COMPLETIONS := $(BASHCOMPDIR)/nswatch $(ZSHCOMPDIR)/_nswatch $(FISHCOMPDIR)/nswatch.fish
SOURCES := Cargo.toml Cargo.lock build.rs $(shell find src -type f) $(TARGET)/wrapped

.PHONY: all watch test test-kernels chaos bench bench-hostile bench-nsid bench-mounts instructions sanitize install
.PHONY: uninstall wheel deb header abi-baseline lint audit reproducible clean

all: $(LIBRARY) $(COMMAND) $(TARGET)/nswatch.pc

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

bench bench-hostile bench-netns bench-nsid bench-mounts: STAGE := $(abspath $(dir $(TARGET)))/stage

# About ten minutes, as root, with nothing else running. What others need is installed on demand.
bench: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	benches/peers/install
	$(CARGO) bench --locked --features fuzzing --bench parts
	tests/sandbox $(dir $(TARGET))peers/venv/bin/python benches/peers/run $(LOADS)

bench-nsid: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	$(CC) -O2 benches/nsid_query.c -o $(dir $(TARGET))nsid_query \
		-I$(STAGE)/include -L$(STAGE)/lib -Wl,-rpath,$(STAGE)/lib -lnswatch
	$(dir $(TARGET))nsid_query

bench-hostile: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	$(CC) -O2 benches/hostile.c -o $(dir $(TARGET))hostile \
		-I$(STAGE)/include -L$(STAGE)/lib -Wl,-rpath,$(STAGE)/lib -lnswatch
	tests/sandbox $(dir $(TARGET))hostile

bench-netns: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	$(CC) -O2 benches/netns.c -o $(dir $(TARGET))netns \
		-I$(STAGE)/include -L$(STAGE)/lib -Wl,-rpath,$(STAGE)/lib -lnswatch -lpthread
	tests/sandbox $(dir $(TARGET))netns $(STAGE)/bin/nswatch

bench-mounts: all
	@$(MAKE) --no-print-directory install PREFIX=$(STAGE) DESTDIR= > /dev/null
	$(CC) -O2 benches/mount_change.c -o $(dir $(TARGET))mount_change \
		-I$(STAGE)/include -L$(STAGE)/lib -Wl,-rpath,$(STAGE)/lib -lnswatch -lpthread
	tests/sandbox $(dir $(TARGET))mount_change

instructions:
	ci/instructions

test-kernels:
	ci/kernels/run

sanitize:
	ci/sanitize

# Cargo does not notice when the program changes that runs the compiler for it.
$(TARGET)/wrapped: .cargo/config.toml .cargo/rustc
	$(CARGO) clean -q --release
	@mkdir -p $(TARGET)
	touch $@

# One build makes both libraries and says, among what is shown as it works, what a static link needs besides. Of libgcc_s
# there is no static one, and every compiler adds what it has in its place.
$(LIBRARY) $(TARGET)/libs-private &: $(SOURCES)
	@mkdir -p $(TARGET)
	@rm -f $(TARGET)/built
	{ $(CARGO) rustc --release --locked --lib --features capi --crate-type cdylib,staticlib -- \
		-C link-arg=-Wl,-soname,$(SONAME) --print native-static-libs 2>&1 && touch $(TARGET)/built; } | \
		tee $(TARGET)/build.log >&2
	@test -e $(TARGET)/built
	sed -n 's/.*native-static-libs: \(-lgcc_s \)*//p' $(TARGET)/build.log | tail -n 1 > $(TARGET)/libs-private
	test -s $(TARGET)/libs-private
	touch $(LIBRARY)

$(COMMAND): $(SOURCES)
	$(CARGO) build --release --locked --features cli --bin nswatch
	touch $(COMMAND)

# Always made anew: it holds the directories of this very call.
.PHONY: $(TARGET)/nswatch.pc
$(TARGET)/nswatch.pc: nswatch.pc.in $(TARGET)/libs-private
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
		-e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
		-e 's|@VERSION@|$(VERSION)|' -e "s|@LIBS_PRIVATE@|$$(cat $(TARGET)/libs-private)|" $< > $@

# The functions that a page of section 3 is about, and so its other names: `man nsw_close` shows nsw_open.3.
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
	$(COMMAND) completions bash > $(DESTDIR)$(BASHCOMPDIR)/nswatch
	$(COMMAND) completions zsh > $(DESTDIR)$(ZSHCOMPDIR)/_nswatch
	$(COMMAND) completions fish > $(DESTDIR)$(FISHCOMPDIR)/nswatch.fish
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

# Carries the library; `bindings/python/wheel --test` tries it in a fresh virtual environment.
wheel: $(LIBRARY)
	bindings/python/wheel $(LIBRARY) $(dir $(TARGET))wheel

# Leaves the packages in target/deb; `packaging/test` builds them, then tries them in a clean system.
deb:
	packaging/build

header:
	$(CARGO) build --locked --features header

# For a release, and for a function that is new before the first one: docs/abi.md.
abi-baseline:
	ci/abi/check baseline

lint:
	ci/lint

audit:
	ci/supply audit

reproducible:
	ci/reproducible

clean:
	$(CARGO) clean
