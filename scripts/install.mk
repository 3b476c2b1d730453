# make install and make uninstall: where things go, and what they are. Included by the Makefile.
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man
BASHDIR    ?= $(DATADIR)/bash-completion/completions
ZSHDIR     ?= $(DATADIR)/zsh/site-functions

# The installed shared library: libfoundry.so.0.1.0, which programs ask for as libfoundry.so.0 and the
# linker finds as libfoundry.so; on macOS the numbers stand before .dylib.
ifeq ($(SYSTEM),Darwin)
SO_NAMES := libfoundry.$(VERSION).dylib libfoundry.$(ABI).dylib libfoundry.dylib
SO_FLAGS  = -Wl,-install_name,$(LIBDIR)/libfoundry.$(ABI).dylib
else
SO_NAMES := libfoundry.so.$(VERSION) libfoundry.so.$(ABI) libfoundry.so
SO_FLAGS  = -Wl,-soname,libfoundry.so.$(ABI) -Wl,--version-script=scripts/libfoundry.map
endif

# What programs that are linked with libfoundry.a need: the packages are those of LDLIBS.
PC_PACKAGES := libpcre2-8 jansson libxxhash libutf8proc
PC_LIBS      = $(filter-out $(patsubst lib%,-l%,$(PC_PACKAGES:jansson=libjansson)),$(LDLIBS))

define PC_FILE
prefix=$(PREFIX)
libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)
includedir=$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)

Name: Foundry
Description: LLM kernels composed from small typed stages, and models that run with them
Version: $(VERSION)
Requires.private: $(PC_PACKAGES)
Cflags: -I$${includedir}
Libs: -L$${libdir} -lfoundry
Libs.private: $(PC_LIBS)
endef
export PC_FILE

MAN_PAGES  = foundry.1 $$($(ROOT)/foundry --commands | sed 's/.*/foundry-&.1/')
LIB_FILES  = libfoundry.a $(SO_NAMES) pkgconfig/foundry.pc

## install: put program, library, headers, manual pages and completion under PREFIX=/usr/local (DESTDIR before it)
## uninstall: remove them; the same variables
install:
	+@$(BUILD) -s all
	@set -e; umask 022; d='$(DESTDIR)'; \
	install -d "$$d$(BINDIR)" "$$d$(LIBDIR)/pkgconfig" "$$d$(INCLUDEDIR)/foundry" "$$d$(MANDIR)/man1" "$$d$(BASHDIR)" "$$d$(ZSHDIR)"; \
	install -m 755 $(ROOT)/foundry "$$d$(BINDIR)"; \
	install -m 644 $(ROOT)/libfoundry.a "$$d$(LIBDIR)"; \
	install -m 755 $(ROOT)/libfoundry.so "$$d$(LIBDIR)/$(firstword $(SO_NAMES))"; \
	for link in $(wordlist 2,3,$(SO_NAMES)); do ln -sf $(firstword $(SO_NAMES)) "$$d$(LIBDIR)/$$link"; done; \
	install -m 644 include/foundry/*.h "$$d$(INCLUDEDIR)/foundry"; \
	printf '%s\n' "$$PC_FILE" > "$$d$(LIBDIR)/pkgconfig/foundry.pc"; \
	$(ROOT)/foundry --completion bash > "$$d$(BASHDIR)/foundry"; \
	$(ROOT)/foundry --completion zsh > "$$d$(ZSHDIR)/_foundry"; \
	for page in $(MAN_PAGES); do \
	    command=$${page%.1}; command=$${command#foundry}; \
	    $(ROOT)/foundry --man $${command#-} > "$$d$(MANDIR)/man1/$$page"; \
	done; \
	if [ -z "$$d" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi; \
	echo "installed foundry $(VERSION) in $$d$(PREFIX)"

uninstall: $(ROOT)/foundry
	@set -e; d='$(DESTDIR)'; \
	rm -f "$$d$(BINDIR)/foundry" "$$d$(BASHDIR)/foundry" "$$d$(ZSHDIR)/_foundry"; \
	for file in $(LIB_FILES); do rm -f "$$d$(LIBDIR)/$$file"; done; \
	for page in $(MAN_PAGES); do rm -f "$$d$(MANDIR)/man1/$$page"; done; \
	for header in $(notdir $(wildcard include/foundry/*.h)); do rm -f "$$d$(INCLUDEDIR)/foundry/$$header"; done; \
	if [ -d "$$d$(INCLUDEDIR)/foundry" ]; then rmdir "$$d$(INCLUDEDIR)/foundry" 2>/dev/null || true; fi

.PHONY: install uninstall
