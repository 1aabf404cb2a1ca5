#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""vmlinux.py BZIMAGE OUT: the ELF kernel inside a bzImage, which boots faster in an emulator.

Offsets of the boot protocol: Documentation/arch/x86/boot.rst, fields setup_sects, payload_offset, payload_length.
"""
import gzip
import lzma
import struct
import subprocess
import sys


def main() -> int:
    image = open(sys.argv[1], "rb").read()
    if image[0x202:0x206] != b"HdrS":
        print(f"error: {sys.argv[1]} is no bzImage", file=sys.stderr)
        return 1
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if payload[:4] == b"\x28\xb5\x2f\xfd":
        kernel = subprocess.run(["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE, check=False).stdout
    elif payload[:6] == b"\xfd7zXZ\0":
        kernel = lzma.LZMADecompressor().decompress(payload)
    elif payload[:2] == b"\x1f\x8b":
        kernel = gzip.decompress(payload[:-4])
    else:
        print(f"error: payload of {sys.argv[1]} is packed in an unknown way", file=sys.stderr)
        return 1
    if kernel[:4] != b"\x7fELF":
        print("error: the payload is no ELF file", file=sys.stderr)
        return 1
    with open(sys.argv[2], "wb") as out:
        out.write(kernel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
