# SPDX-License-Identifier: Apache-2.0
"""Writes broken, mislabelled and hostile model files into a folder: `corrupt.py FOLDER`. Standard library only.

Every file breaks one thing; the rest stays valid. index.json lists, per file, what is wrong with it and what a format detector
should say it is. Nothing here is dangerous to keep: the pickle would run `echo` if something were careless enough to execute it,
and touches the file MLOS_PICKLE_WAS_EXECUTED in the working directory so that a test can tell.
"""
import io
import json
import pathlib
import pickle
import struct
import sys
import zipfile

MODELS = pathlib.Path(__file__).resolve().parent.parent


class Hostile:
    def __reduce__(self):
        import os
        return os.system, ("echo executed > MLOS_PICKLE_WAS_EXECUTED",)


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def zipped(entries, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = compression
            archive.writestr(info, content)
    return out.getvalue()


def lying_zip_size():
    """A stored entry whose central directory claims 4 GB less one."""
    data = bytearray(zipped([("archive/data.pkl", pickle.dumps({}, 2)), ("archive/version", b"3\n")]))
    central = data.rindex(b"PK\x01\x02")
    data[central + 20:central + 28] = struct.pack("<II", 0xFFFFFFFE, 0xFFFFFFFE)
    return bytes(data)


def gguf_with(tensors=0, pairs=0, version=3, tail=b""):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + tail


def gguf_string(text):
    return struct.pack("<Q", len(text)) + text


def files():
    """(name, bytes, format the content has or null, what is wrong)"""
    onnx = (MODELS / "digits" / "model.onnx").read_bytes()
    gguf = (MODELS / "embedding" / "model-f32.gguf").read_bytes()
    weights = (MODELS / "digits" / "model.safetensors").read_bytes()
    torch = (MODELS / "digits" / "model.pt").read_bytes()
    header_end = 8 + struct.unpack("<Q", weights[:8])[0]
    key = gguf_string(b"general.architecture")

    yield "empty.onnx", b"", None, "no bytes"
    yield "empty.gguf", b"", None, "no bytes"
    yield "empty.safetensors", b"", None, "no bytes"
    yield "one_byte.onnx", b"\x08", None, "one byte"
    yield "zeros.bin", b"\0" * 4096, None, "only zeros"
    yield "text.onnx", b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n", None, "an error page saved as a model"
    yield "lfs_pointer.onnx", (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 26607\n"), None, "a Git LFS pointer instead of the file"

    yield "truncated_half.onnx", onnx[:len(onnx) // 2], "onnx", "second half missing"
    yield "truncated_last_byte.onnx", onnx[:-1], "onnx", "last byte missing"
    yield "flipped.onnx", onnx[:40] + bytes(b ^ 0xFF for b in onnx[40:80]) + onnx[80:], "onnx", "forty bytes inverted"
    yield "gguf_named.onnx", gguf, "gguf", "GGUF with the name of an ONNX file"
    yield "onnx_named.gguf", onnx, "onnx", "ONNX with the name of a GGUF file"
    yield "safetensors_named.onnx", weights, "safetensors", "SafeTensors with the name of an ONNX file"
    yield "pytorch_named.safetensors", torch, "pytorch", "PyTorch zip with the name of a SafeTensors file"

    yield "truncated_half.gguf", gguf[:len(gguf) // 2], "gguf", "tensor data cut"
    yield "truncated_header.gguf", gguf[:100], "gguf", "cut inside the metadata"
    yield "magic_only.gguf", b"GGUF", "gguf", "four bytes of magic"
    yield "version_0.gguf", gguf_with(version=0), "gguf", "version 0"
    yield "version_huge.gguf", gguf_with(version=0x7FFFFFFF), "gguf", "version nobody has"
    yield "big_endian.gguf", b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "gguf", "big endian"
    yield "tensor_count.gguf", gguf_with(tensors=2**63 - 1), "gguf", "2^63 - 1 tensors in 24 bytes"
    yield "pair_count.gguf", gguf_with(pairs=2**64 - 1), "gguf", "2^64 - 1 metadata pairs in 24 bytes"
    yield "string_length.gguf", gguf_with(pairs=1, tail=struct.pack("<Q", 2**64 - 8) + b"x"), "gguf", "key length wraps around"
    yield "array_count.gguf", gguf_with(pairs=1, tail=key + struct.pack("<IIQ", 9, 8, 2**61)), "gguf", "array of 2^61 strings"
    yield "array_nested.gguf", gguf_with(pairs=1, tail=key + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100000), "gguf", "100,000 arrays inside each other"
    yield "value_type.gguf", gguf_with(pairs=1, tail=key + struct.pack("<I", 99)), "gguf", "metadata type 99"
    yield "no_architecture.gguf", gguf_with(), "gguf", "no metadata and no tensors"
    yield "unknown_architecture.gguf", gguf_with(pairs=1, tail=key + struct.pack("<I", 8) + gguf_string(b"no-such-arch")), "gguf", "architecture no engine knows"
    yield "tensor_offset.gguf", gguf_with(1, 1, tail=key + struct.pack("<I", 8) + gguf_string(b"llama")
                                          + gguf_string(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 64, 64, 0, 2**40)), "gguf", "tensor data a terabyte behind the end"
    yield "tensor_shape.gguf", gguf_with(1, 1, tail=key + struct.pack("<I", 8) + gguf_string(b"llama")
                                         + gguf_string(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 2**33, 2**33, 0, 0)), "gguf", "shape product overflows 64 bits"

    yield "truncated_data.safetensors", weights[:-16], "safetensors", "sixteen bytes of data missing"
    yield "truncated_header.safetensors", weights[:header_end // 2], "safetensors", "cut inside the header"
    yield "trailing.safetensors", weights + b"\0" * 8, "safetensors", "eight bytes nobody owns"
    yield "header_longer_than_file.safetensors", safetensors({}, length=1000), "safetensors", "header length beyond the file"
    yield "header_huge.safetensors", safetensors({}, length=2**63), "safetensors", "header of 2^63 bytes"
    yield "header_not_json.safetensors", safetensors(b"{not json at all}"), "safetensors", "header is no JSON"
    yield "header_array.safetensors", safetensors(b"[1,2,3]"), None, "header is a list"
    yield "header_deep.safetensors", safetensors(b'{"a":' * 50000 + b"1" + b"}" * 50000), "safetensors", "header nested 50,000 deep"
    yield "offset_past_end.safetensors", safetensors({"a": tensor("F32", [4], 0, 16)}, b"\0" * 8), "safetensors", "tensor ends behind the file"
    yield "offset_backwards.safetensors", safetensors({"a": tensor("F32", [4], 16, 0)}, b"\0" * 16), "safetensors", "tensor ends before it starts"
    yield "offset_negative.safetensors", safetensors({"a": tensor("F32", [4], -16, 0)}, b"\0" * 16), "safetensors", "negative offset"
    yield "overlap.safetensors", safetensors({"a": tensor("F32", [4], 0, 16), "b": tensor("F32", [4], 8, 24)}, b"\0" * 24), "safetensors", "two tensors share bytes"
    yield "hole.safetensors", safetensors({"a": tensor("F32", [4], 0, 16), "b": tensor("F32", [4], 32, 48)}, b"\0" * 48), "safetensors", "bytes between tensors"
    yield "size_mismatch.safetensors", safetensors({"a": tensor("F32", [5], 0, 16)}, b"\0" * 16), "safetensors", "shape needs 20 bytes, offsets give 16"
    yield "shape_overflow.safetensors", safetensors({"a": tensor("F32", [2**33, 2**33], 0, 16)}, b"\0" * 16), "safetensors", "shape product overflows 64 bits"
    yield "shape_negative.safetensors", safetensors({"a": tensor("F32", [-4], 0, 16)}, b"\0" * 16), "safetensors", "negative dimension"
    yield "dtype_unknown.safetensors", safetensors({"a": tensor("F33", [4], 0, 16)}, b"\0" * 16), "safetensors", "dtype F33"
    yield "duplicate_key.safetensors", safetensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"\0"), "safetensors", "one name twice"

    yield "bomb.pt", zipped([("archive/data.pkl", pickle.dumps({}, 2)), ("archive/data/0", b"\0" * (64 << 20)), ("archive/version", b"3\n")], zipfile.ZIP_DEFLATED), "pytorch", "64 MB of zeros in 64 KB"
    yield "lying_size.pt", lying_zip_size(), "pytorch", "central directory claims 4 GB"
    yield "traversal.pt", zipped([("../../outside.pkl", b"x"), ("archive/data.pkl", pickle.dumps({}, 2))]), "pytorch", "an entry named ../../outside.pkl"
    yield "truncated.pt", torch[:len(torch) - 200], "pytorch", "end of the central directory missing"
    yield "hostile_zip.pt", zipped([("archive/data.pkl", pickle.dumps(Hostile(), 2)), ("archive/version", b"3\n")]), "pytorch", "pickle calls os.system"
    yield "hostile.pkl", pickle.dumps(Hostile(), 2), "pickle", "pickle calls os.system"
    yield "hostile_protocol_0.pkl", pickle.dumps(Hostile(), 0), "pickle", "the same as text, protocol 0"
    yield "plain.zip", zipped([("readme.txt", b"not a model\n")]), "zip", "a zip without a model"
    yield "old.pt", pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2), "pickle", "file format of torch before 1.6, cut"

    yield "model.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 88, "hdf5", "HDF5 magic and an empty superblock"
    yield "model.tflite", struct.pack("<I", 28) + b"TFL3" + b"\0" * 56, "tflite", "TFLite identifier over an empty table"
    yield "saved_model/saved_model.pb", b"\x08\x01\x12\x00", "savedmodel", "SavedModel of one empty graph"
    yield "saved_model/variables/variables.index", b"", None, "its empty variables"


def main():
    out = pathlib.Path(sys.argv[1])
    index = []
    for name, content, kind, wrong in files():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        index.append({"file": name, "size": len(content), "content": kind, "wrong": wrong})
    (out / "index.json").write_text(json.dumps({"files": index}, indent=1) + "\n")
    print(f"{len(index)} files, {sum(i['size'] for i in index)} bytes in {out}")


if __name__ == "__main__":
    main()
