# SPDX-License-Identifier: Apache-2.0
"""Writes src/convert/torch/testing/malicious_pickles.json: pickles that attack whoever loads them, as hexadecimal digits, so that
no scanner stumbles over the tree and nothing can run them by accident. Standard library only; the same bytes every time.

Each: `name`, `bytes`, `answer` (the status the reader must give) and `says` (what its message must contain).
"""
import json
import pathlib
import pickle
import struct

OUT = pathlib.Path(__file__).resolve().parents[2] / "src/convert/torch/testing/malicious_pickles.json"
COMMAND = "echo executed > MLOS_PICKLE_WAS_EXECUTED"


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def short(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def call(module, name, *arguments):
    return b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n(" + b"".join(arguments) + b"tR."


def stack_call(module, name, *arguments):
    return b"\x80\x04" + short(module) + short(name) + b"\x93(" + b"".join(arguments) + b"tR."


def inside_state_dict(module, name, *arguments):
    """{"weight": <call>}: what hides in a file that looks like a model."""
    return b"\x80\x02}" + text("weight") + call(module, name, *arguments)[2:-1] + b"s."


def dangerous():
    targets = [
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "popen"), ("os", "execv"), ("subprocess", "Popen"),
        ("subprocess", "check_output"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "__import__"),
        ("builtins", "getattr"), ("builtins", "open"), ("builtins", "compile"), ("builtins", "breakpoint"),
        ("__builtin__", "eval"), ("__builtin__", "execfile"), ("__builtin__", "apply"), ("sys", "exit"), ("runpy", "run_path"),
        ("importlib", "import_module"), ("pickle", "loads"), ("_pickle", "load"), ("cloudpickle", "loads"), ("dill", "loads"),
        ("marshal", "loads"), ("socket", "create_connection"), ("urllib.request", "urlopen"), ("http.client", "HTTPConnection"),
        ("requests.api", "get"), ("webbrowser", "open"), ("shutil", "rmtree"), ("ctypes", "CDLL"), ("pty", "spawn"),
        ("code", "InteractiveInterpreter"), ("timeit", "timeit"), ("pdb", "run"), ("cProfile", "run"), ("operator", "attrgetter"),
        ("_operator", "methodcaller"), ("functools", "partial"), ("types", "FunctionType"), ("types", "CodeType"),
        ("asyncio.subprocess", "create_subprocess_shell"), ("multiprocessing.context", "Process"), ("threading", "Thread"),
        ("torch", "load"), ("torch.hub", "load"), ("torch.serialization", "load"), ("torch.jit._script", "ScriptModule"),
        ("torch.utils.cpp_extension", "load_inline"), ("torch.utils._config_module", "load_config"),
        ("torch._inductor.codecache", "compile_file"), ("torch._dynamo.guards", "get_verbose_code_part"),
        ("torch.distributed.rpc.internal", "_run_function"), ("numpy.testing._private.utils", "runstring"),
        ("numpy", "load"), ("joblib", "load"), ("logging.config", "listen"), ("idlelib.pyshell", "ModifiedInterpreter"),
        ("lib2to3.pgen2.pgen", "ParserGenerator"), ("transformers.dynamic_module_utils", "get_class_from_dynamic_module"),
    ]
    for module, name in targets:
        yield f"{module}.{name}", call(module, name, text(COMMAND)), "permission_denied", f"'{module}.{name}'"
    for module, name in targets[:12]:
        yield f"STACK_GLOBAL {module}.{name}", stack_call(module, name, text(COMMAND)), "permission_denied", f"'{module}.{name}'"
        yield (f"in a state dict: {module}.{name}", inside_state_dict(module, name, text(COMMAND)), "permission_denied",
               f"'{module}.{name}'")
    yield ("a walk through torch to os", stack_call("torch", "serialization.os.system", text(COMMAND)), "permission_denied",
           "torch.serialization.os.system")
    yield ("a walk through a layer to its globals", stack_call("torch.nn.modules.linear", "Linear.forward.__globals__", text("x")),
           "permission_denied", "__globals__")
    yield ("a walk through a tensor to eval", stack_call("collections", "OrderedDict.builtins.eval", text("1")), "permission_denied",
           "eval")
    yield "never called, only mentioned", b"\x80\x02cos\nsystem\n.", "permission_denied", "'os.system'"
    yield ("mentioned in a memo that is not used", b"\x80\x02cos\nsystem\nq\x00(h\x00tq\x01}.", "permission_denied", "'os.system'")
    yield "as the class of an object", b"\x80\x02csubprocess\nPopen\n(" + text(COMMAND) + b"t\x81.", "permission_denied", "Popen"


def refused_instructions():
    hidden = b"cos\nsystem\n"
    yield "INST", b"\x80\x02(" + text(COMMAND) + b"ios\nsystem\n.", "unimplemented", "0x69"
    yield "OBJ", b"\x80\x02(cbuiltins\nset\n" + text(COMMAND) + b"o.", "unimplemented", "0x6f"
    yield "EXT1", b"\x80\x02\x82\x01.", "unimplemented", "0x82"
    yield "EXT4", b"\x80\x02\x84\x01\x00\x00\x00.", "unimplemented", "0x84"
    yield "PERSID", b"\x80\x02Pos.system\n.", "unimplemented", "0x50"
    yield "POP hides a call", b"\x80\x02}" + b"N0.", "unimplemented", "0x30"
    yield "DUP", b"\x80\x02}2.", "unimplemented", "0x32"
    yield "NEWOBJ_EX", b"\x80\x04ccollections\nOrderedDict\n)}\x92.", "unimplemented", "0x92"
    yield "REDUCE of text", b"\x80\x02" + text("os.system") + b")R.", "data_loss", "calls what is no global"
    yield "REDUCE of a call's result", b"\x80\x02ctorch._utils\n_rebuild_parameter\n)R)R.", "data_loss", "calls what is no global"
    yield "protocol 0", b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR.", "data_loss", "protocol"
    yield "protocol 0 as Python writes it", pickle.dumps({"a": 1}, 0), "data_loss", "protocol"
    yield "second pickle behind a harmless first", b"\x80\x02}.\x80\x02" + hidden + b"(" + text(COMMAND) + b"tR.", "ok", ""


def unknown():
    for module, name in [("my_project.models", "Net"), ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
                         ("sklearn.ensemble._forest", "RandomForestClassifier"), ("builtins", "isinstance"),
                         ("torch", "nonsense"), ("collections", "deque"), ("torch._utils", "_rebuild_something")]:
        yield f"unknown {module}.{name}", call(module, name), "unimplemented", f"'{module}.{name}'"
    yield "a name with line breaks", stack_call("my\nmodule", "class\n"), "unimplemented", "my?module.class?"
    yield "a name of two kilobytes", b"\x80\x02c" + b"a" * 2048 + b"\nb\n.", "data_loss", "1 KB"


def broken():
    yield "empty", b"", "data_loss", "protocol"
    yield "only a protocol", b"\x80\x02", "data_loss", "cut short"
    yield "protocol 9", b"\x80\x09}.", "data_loss", "protocol 9"
    yield "stop on an empty stack", b"\x80\x02.", "data_loss", "0 values"
    yield "two values", b"\x80\x02NN.", "data_loss", "2 values"
    yield "an open mark", b"\x80\x02N(.", "data_loss", "values"
    yield "a mark that is not there", b"\x80\x02t.", "data_loss", "mark"
    yield "items for a number", b"\x80\x02K\x01N\x85a.", "data_loss", "cannot have them"
    yield "items from below the mark", b"\x80\x02](Na.", "data_loss", "adds items"
    yield "a key without a value", b"\x80\x02}(Nu.", "data_loss", "key without"
    yield "recalls what is not there", b"\x80\x02h\x05.", "data_loss", "recalls"
    yield "recalls four billion", b"\x80\x02j\xff\xff\xff\xff.", "data_loss", "recalls"
    yield "remembers four billion", b"\x80\x02Nr\xff\xff\xff\xff.", "too_large", "memo"
    yield "text of four gigabytes", b"\x80\x02X\xff\xff\xff\xffabc.", "data_loss", "cut short"
    yield "bytes of 2^63", b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "data_loss", "cut short"
    yield "ten thousand marks", b"\x80\x02" + b"(" * 10000, "too_large", "1000 deep"
    yield "state for a number", b"\x80\x02K\x01}b.", "data_loss", "sets the state"
    yield "global without an end", b"\x80\x02cos\nsystem", "data_loss", "cut short"
    yield ("a list in itself", b"\x80\x02]q\x00h\x00a.", "ok", "")
    yield ("a list doubled thirty times", b"\x80\x02(]" + b"q\x00(h\x00h\x00l" * 30 + b"t.", "ok", "")
    yield ("one list given to set a thousand times", b"\x80\x02](" + b"N" * 500 + b"eq\x00(" + b"cbuiltins\nset\n(h\x00tR" * 1000 + b"t.",
           "data_loss", "2 values")


def main():
    cases = [{"name": name, "bytes": raw.hex(), "answer": answer, "says": says}
             for make in (dangerous, refused_instructions, unknown, broken) for name, raw, answer, says in make()]
    lines = ",\n".join(json.dumps(case) for case in cases)
    OUT.write_text("[\n" + lines + "\n]\n")
    print(f"{len(cases)} pickles in {OUT}")


if __name__ == "__main__":
    main()
