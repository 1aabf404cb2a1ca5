# SPDX-License-Identifier: Apache-2.0
"""Writes tests/models/onnx: the smallest ONNX models, one per thing a server can get wrong.

identity_<dtype>.onnx     y = x, shape [N, 3], for every dtype that ONNX tensors and mlOS share
identity_rank0/5.onnx     y = x, a scalar and a five-dimensional tensor with two symbolic axes
two_inputs.onnx           named `left` float32 [N, 3], `right` int64 [N, 3] -> `sum` float32, `larger` bool
sequence.onnx             input_ids, attention_mask, token_type_ids [batch, sequence] -> embedded [batch, sequence, 4]
optional_input.onnx       scale has an initializer, so a request may leave it out
slow.onnx                 spins `iterations` times in a Loop: for deadlines, cancellation and drain
external/                 y = x W + b, with W and b in weights.bin beside model.onnx
golden.json               inputs and outputs, the outputs computed by numpy
"""
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

OUT = pathlib.Path(__file__).resolve().parent.parent / "onnx"
OPSET, IR = 17, 8

DTYPES = {
    "bool": T.BOOL, "uint8": T.UINT8, "uint16": T.UINT16, "uint32": T.UINT32, "uint64": T.UINT64,
    "int8": T.INT8, "int16": T.INT16, "int32": T.INT32, "int64": T.INT64,
    "float16": T.FLOAT16, "bfloat16": T.BFLOAT16, "float32": T.FLOAT, "float64": T.DOUBLE, "string": T.STRING,
}


def build(name, nodes, inputs, outputs, initializers=(), doc=""):
    graph = h.make_graph(nodes, name, inputs, outputs, list(initializers), doc_string=doc)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", OPSET)], ir_version=IR,
                         producer_name="mlos-fixtures", producer_version="1", doc_string=doc)
    onnx.checker.check_model(model, full_check=True)
    return model


def write(path, model):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def value(name, dtype, shape):
    return h.make_tensor_value_info(name, dtype, shape)


def identity(name, dtype, shape):
    return build(name, [h.make_node("Identity", ["x"], ["y"], name="copy")],
                 [value("x", dtype, shape)], [value("y", dtype, shape)])


def two_inputs():
    return build("two_inputs", [
        h.make_node("Cast", ["right"], ["right_float"], to=T.FLOAT),
        h.make_node("Add", ["left", "right_float"], ["sum"]),
        h.make_node("Greater", ["left", "right_float"], ["larger"]),
    ], [value("left", T.FLOAT, ["N", 3]), value("right", T.INT64, ["N", 3])],
        [value("sum", T.FLOAT, ["N", 3]), value("larger", T.BOOL, ["N", 3])])


def sequence(table, types):
    ids = ["batch", "sequence"]
    return build("sequence", [
        h.make_node("Gather", ["table", "input_ids"], ["tokens"], axis=0),
        h.make_node("Gather", ["types", "token_type_ids"], ["segments"], axis=0),
        h.make_node("Add", ["tokens", "segments"], ["summed"]),
        h.make_node("Cast", ["attention_mask"], ["mask_float"], to=T.FLOAT),
        h.make_node("Unsqueeze", ["mask_float", "last_axis"], ["mask"]),
        h.make_node("Mul", ["summed", "mask"], ["embedded"]),
    ], [value(n, T.INT64, ids) for n in ("input_ids", "attention_mask", "token_type_ids")],
        [value("embedded", T.FLOAT, ids + [4])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(types, "types"),
         numpy_helper.from_array(np.array([-1], np.int64), "last_axis")])


def optional_input():
    return build("optional_input", [h.make_node("Mul", ["x", "scale"], ["y"])],
                 [value("x", T.FLOAT, ["N", 3]), value("scale", T.FLOAT, [])], [value("y", T.FLOAT, ["N", 3])],
                 [numpy_helper.from_array(np.array(2, np.float32), "scale")])


def slow(matrix):
    body = h.make_graph([
        h.make_node("Identity", ["keep_going"], ["keep_going_out"]),
        h.make_node("MatMul", ["state", "matrix"], ["product"]),
        h.make_node("Tanh", ["product"], ["state_out"]),
    ], "body", [value("step", T.INT64, []), value("keep_going", T.BOOL, []), value("state", T.FLOAT, [64, 64])],
        [value("keep_going_out", T.BOOL, []), value("state_out", T.FLOAT, [64, 64])])
    return build("slow", [
        h.make_node("Loop", ["iterations", "", "matrix"], ["last"], body=body),
        h.make_node("ReduceMean", ["last"], ["mean"], keepdims=0),
    ], [value("iterations", T.INT64, [])], [value("mean", T.FLOAT, [])],
        [numpy_helper.from_array(matrix, "matrix")])


def external(weight, bias):
    def pointed(name, array, offset):
        tensor = T(name=name, dims=array.shape, data_type=T.FLOAT, data_location=T.EXTERNAL)
        for key, val in (("location", "weights.bin"), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(val))
        return tensor

    (OUT / "external").mkdir(parents=True, exist_ok=True)
    (OUT / "external" / "weights.bin").write_bytes(
        weight.tobytes().ljust(4096, b"\0") + bias.tobytes())
    graph = h.make_graph([h.make_node("MatMul", ["x", "weight"], ["xw"]), h.make_node("Add", ["xw", "bias"], ["y"])],
                         "external", [value("x", T.FLOAT, ["N", 8])], [value("y", T.FLOAT, ["N", 16])],
                         [pointed("weight", weight, 0), pointed("bias", bias, 4096)])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", OPSET)], ir_version=IR,
                         producer_name="mlos-fixtures", producer_version="1")
    write(OUT / "external" / "model.onnx", model)
    onnx.checker.check_model(str(OUT / "external" / "model.onnx"), full_check=True)


def main():
    rng = np.random.default_rng(20240601)
    normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    for name, dtype in DTYPES.items():
        write(OUT / f"identity_{name}.onnx", identity(f"identity_{name}", dtype, ["N", 3]))
    write(OUT / "identity_rank0.onnx", identity("identity_rank0", T.FLOAT, []))
    write(OUT / "identity_rank5.onnx", identity("identity_rank5", T.FLOAT, ["N", 2, 3, "M", 5]))
    write(OUT / "two_inputs.onnx", two_inputs())
    table, types = normal(100, 4), normal(2, 4)
    write(OUT / "sequence.onnx", sequence(table, types))
    write(OUT / "optional_input.onnx", optional_input())
    write(OUT / "slow.onnx", slow(normal(64, 64) / 8))
    weight, bias = normal(8, 16), normal(16)
    external(weight, bias)

    x = normal(5, 8)
    left, right = normal(2, 3), rng.integers(-2, 3, (2, 3))
    ids = rng.integers(0, 100, (2, 5))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    kinds = np.array([[0, 0, 1, 1, 1], [0, 1, 0, 0, 0]])

    def case(model, inputs, outputs):
        return {"model": model,
                "inputs": {k: v.tolist() for k, v in inputs.items()},
                "outputs": {k: v.tolist() for k, v in outputs.items()}}

    embed = lambda m, k: (table[ids] + types[k]) * m[..., None].astype(np.float32)
    golden = {"cases": [
        case("two_inputs.onnx", {"left": left, "right": right},
             {"sum": left + right.astype(np.float32), "larger": left > right.astype(np.float32)}),
        case("sequence.onnx", {"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds},
             {"embedded": embed(mask, kinds)}),
        # Only the ids: a server fills in a mask of ones and token types of zeros.
        case("sequence.onnx", {"input_ids": ids}, {"embedded": embed(np.ones_like(mask), np.zeros_like(kinds))}),
        case("optional_input.onnx", {"x": left}, {"y": left * 2}),
        case("optional_input.onnx", {"x": left, "scale": np.array(-3, np.float32)}, {"y": left * -3}),
        case("external/model.onnx", {"x": x}, {"y": x @ weight + bias}),
    ]}
    (OUT / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
