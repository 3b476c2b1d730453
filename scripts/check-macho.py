#!/usr/bin/env python3
"""Checks a program or library built for macOS, where no Mac is at hand.

    scripts/check-macho.py FILE arm64|x86_64 OLDEST_MACOS

It must be Mach-O for that processor and for macOS of that version or later, ask for nothing but libraries
that every Mac has, be signed where the processor's system wants that, and hold no path of this machine.
Source of the format: <mach-o/loader.h> and <kern/cs_blobs.h> of Apple's open XNU.
"""
import os
import struct
import sys

MAGIC, EXECUTE, DYLIB = 0xFEEDFACF, 2, 6
CPU = {"x86_64": 0x01000007, "arm64": 0x0100000C}
LC_LOAD_DYLIB, LC_LOAD_WEAK, LC_REEXPORT, LC_RPATH, LC_CODE_SIGNATURE, LC_BUILD_VERSION = 0xC, 0x80000018, 0x8000001F, 0x8000001C, 0x1D, 0x32
PLATFORM_MACOS = 1
SYSTEM = {"/usr/lib/libSystem.B.dylib", "/usr/lib/libedit.3.dylib"}


def commands(data):
    count, at = struct.unpack_from("<I", data, 16)[0], 32
    for _ in range(count):
        kind, size = struct.unpack_from("<II", data, at)
        yield kind, data[at : at + size]
        at += size


def text_at(command, offset):
    return command[offset:].split(b"\0", 1)[0].decode()


def check(data, machine, oldest):
    magic, cpu = struct.unpack_from("<II", data)
    kind = struct.unpack_from("<I", data, 12)[0]
    if magic != MAGIC or cpu != CPU[machine] or kind not in (EXECUTE, DYLIB):
        yield f"is no Mach-O program or library for {machine}"
        return
    version = signed = False
    for kind, command in commands(data):
        if kind in (LC_LOAD_DYLIB, LC_LOAD_WEAK, LC_REEXPORT):
            library = text_at(command, struct.unpack_from("<I", command, 8)[0])
            if library not in SYSTEM:
                yield f"needs {library}, which not every Mac has"
        if kind == LC_RPATH:
            yield "looks for libraries in " + text_at(command, struct.unpack_from("<I", command, 8)[0])
        if kind == LC_BUILD_VERSION:
            platform, least = struct.unpack_from("<II", command, 8)
            version = platform == PLATFORM_MACOS and f"{least >> 16}.{least >> 8 & 255}" == oldest
        signed |= kind == LC_CODE_SIGNATURE
    if not version:
        yield f"is not for macOS {oldest} and later"
    if machine == "arm64" and not signed:
        yield "is not signed: Apple's processors run signed code only"
    if os.getcwd().encode() in data:
        yield f"holds the path {os.getcwd()}"


def main():
    if len(sys.argv) != 4 or sys.argv[2] not in CPU:
        sys.exit(__doc__.split("\n\n")[1].strip())
    path, machine, oldest = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    findings = list(check(data, machine, oldest)) if len(data) > 32 else ["is empty"]
    for finding in findings:
        print(f"FAIL {path} {finding}")
    if not findings:
        print(f"ok   {path}: macOS {oldest}, {machine}, {len(data) / 1e6:.1f} MB")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
