// SPDX-License-Identifier: Apache-2.0
#include "convert/torch/pickle_globals.h"

#include <algorithm>
#include <array>
#include <span>

namespace mlos::convert {
namespace {

struct Names {
  std::string_view module;
  std::string_view names;  // separated by spaces
};

constexpr std::string_view kStorages =
    "FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage "
    "ByteStorage BoolStorage QInt8Storage QUInt8Storage QInt32Storage ComplexFloatStorage "
    "ComplexDoubleStorage";
constexpr std::string_view kDtypes =
    "Size device Tensor float float32 float64 double float16 half bfloat16 int64 long int32 int int16 short "
    "int8 "
    "uint8 bool complex64 complex128 qint8 quint8 qint32 per_tensor_affine per_channel_affine strided "
    "contiguous_format preserve_format channels_last";

constexpr std::array kKnown = {
    Names{"collections", "OrderedDict defaultdict Counter"},
    Names{"torch._utils",
          "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
          "_rebuild_parameter_with_state "
          "_rebuild_qtensor _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage"},
    Names{"torch._tensor", "_rebuild_from_type_v2 _rebuild_from_type"},
    Names{"torch", kStorages},
    Names{"torch", kDtypes},
    Names{"torch.storage", "TypedStorage UntypedStorage _TypedStorage _UntypedStorage"},
    Names{"torch.nn.parameter", "Parameter Buffer"},
    Names{"torch.serialization", "_get_layout"},
    Names{"torch.jit._pickle",
          "build_intlist build_doublelist build_boollist build_tensorlist restore_type_tag"},
    Names{"builtins",
          "set frozenset bytearray complex slice dict list tuple int float bool str bytes object"},
    Names{"__builtin__",
          "set frozenset bytearray complex slice dict list tuple int long float bool str unicode object"},
    Names{"_codecs", "encode"},
    Names{"copy_reg", "_reconstructor"},
    Names{"copyreg", "_reconstructor"},
    Names{"argparse", "Namespace"},
    Names{"numpy", "dtype ndarray"},
    Names{"numpy.core.multiarray", "scalar _reconstruct"},
    Names{"numpy._core.multiarray", "scalar _reconstruct"},
    Names{"numpy._core.numeric", "_frombuffer"},
    Names{"numpy.core.numeric", "_frombuffer"},
    Names{"numpy.dtypes", "Float64DType Float32DType Int64DType Int32DType BoolDType"},
};

// Modules below these hold nothing but classes of layers; their objects are read as attributes.
constexpr std::array<std::string_view, 5> kLayerModules = {
    "__torch__", "torch.nn.modules", "torchvision.models", "torchvision.ops", "timm.models"};

// First parts of module names from which nothing in a checkpoint has reason to come.
constexpr std::array<std::string_view, 101> kDangerousModules = {"os",
                                                                 "posix",
                                                                 "nt",
                                                                 "posixpath",
                                                                 "ntpath",
                                                                 "sys",
                                                                 "subprocess",
                                                                 "_posixsubprocess",
                                                                 "commands",
                                                                 "popen2",
                                                                 "pty",
                                                                 "socket",
                                                                 "_socket",
                                                                 "ssl",
                                                                 "http",
                                                                 "httplib",
                                                                 "urllib",
                                                                 "urllib2",
                                                                 "urllib3",
                                                                 "requests",
                                                                 "aiohttp",
                                                                 "httpx",
                                                                 "ftplib",
                                                                 "telnetlib",
                                                                 "smtplib",
                                                                 "poplib",
                                                                 "imaplib",
                                                                 "xmlrpc",
                                                                 "webbrowser",
                                                                 "shutil",
                                                                 "tempfile",
                                                                 "pathlib",
                                                                 "glob",
                                                                 "ctypes",
                                                                 "_ctypes",
                                                                 "cffi",
                                                                 "mmap",
                                                                 "multiprocessing",
                                                                 "threading",
                                                                 "_thread",
                                                                 "asyncio",
                                                                 "concurrent",
                                                                 "signal",
                                                                 "runpy",
                                                                 "code",
                                                                 "codeop",
                                                                 "pdb",
                                                                 "bdb",
                                                                 "doctest",
                                                                 "timeit",
                                                                 "cProfile",
                                                                 "profile",
                                                                 "trace",
                                                                 "pickle",
                                                                 "_pickle",
                                                                 "cPickle",
                                                                 "dill",
                                                                 "cloudpickle",
                                                                 "joblib",
                                                                 "marshal",
                                                                 "shelve",
                                                                 "imp",
                                                                 "_imp",
                                                                 "importlib",
                                                                 "_frozen_importlib",
                                                                 "pkgutil",
                                                                 "zipimport",
                                                                 "types",
                                                                 "inspect",
                                                                 "gc",
                                                                 "operator",
                                                                 "_operator",
                                                                 "functools",
                                                                 "_functools",
                                                                 "atexit",
                                                                 "site",
                                                                 "sysconfig",
                                                                 "distutils",
                                                                 "setuptools",
                                                                 "pip",
                                                                 "venv",
                                                                 "ensurepip",
                                                                 "platform",
                                                                 "io",
                                                                 "_io",
                                                                 "fileinput",
                                                                 "linecache",
                                                                 "logging",
                                                                 "warnings",
                                                                 "ast",
                                                                 "symtable",
                                                                 "idlelib",
                                                                 "lib2to3",
                                                                 "test",
                                                                 "uuid",
                                                                 "getpass",
                                                                 "tkinter",
                                                                 "sqlite3",
                                                                 "resource",
                                                                 "fcntl",
                                                                 "bz2"};

// The same for whole names inside modules that are harmless otherwise.
constexpr std::array kDangerousNames = {
    Names{
        "builtins",
        "eval exec compile open __import__ getattr setattr delattr globals locals vars dir input breakpoint "
        "apply map filter classmethod staticmethod property type super memoryview print help exit quit"},
    Names{"__builtin__",
          "eval exec execfile compile open file __import__ getattr setattr delattr globals locals vars dir "
          "input raw_input reload apply map filter reduce type"},
    Names{"torch", "load hub ops jit serialization compile"},
    Names{"torch.serialization", "load"},
    Names{"torch.package", "PackageImporter"},
    Names{"numpy", "load save memmap fromfile genfromtxt loadtxt savetxt f2py"},
    Names{"numpy.testing._private.utils", "runstring"},
    Names{"pandas", "read_pickle eval"},
    Names{"numexpr", "evaluate"},
};
constexpr std::array<std::string_view, 14> kDangerousBelow = {"torch.hub",
                                                              "torch.jit._script",
                                                              "torch.utils.cpp_extension",
                                                              "torch.utils.bottleneck",
                                                              "torch.utils.data",
                                                              "torch._inductor",
                                                              "torch._dynamo",
                                                              "torch.distributed.rpc",
                                                              "torch.ops",
                                                              "torch.classes",
                                                              "torch.utils._config_module",
                                                              "torch.utils.collect_env",
                                                              "numpy.distutils",
                                                              "transformers.dynamic_module_utils"};

bool HasWord(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const size_t space = std::min(words.find(' '), words.size());
    if (words.substr(0, space) == word) return true;
    words.remove_prefix(std::min(space + 1, words.size()));
  }
  return false;
}

bool Lists(std::span<const Names> lists, std::string_view module, std::string_view name) {
  return std::any_of(lists.begin(), lists.end(),
                     [&](const Names& list) { return list.module == module && HasWord(list.names, name); });
}

bool IsBelow(std::string_view module, std::string_view parent) {
  return module.starts_with(parent) && (module.size() == parent.size() || module[parent.size()] == '.');
}

bool AnyPartIsDangerous(std::string_view dotted) {
  while (true) {
    const size_t dot = dotted.find('.');
    const std::string_view part = dotted.substr(0, dot);
    if (std::find(kDangerousModules.begin(), kDangerousModules.end(), part) != kDangerousModules.end())
      return true;
    if (dot == std::string_view::npos) return false;
    dotted.remove_prefix(dot + 1);
  }
}

}  // namespace

GlobalKind ClassifyGlobal(std::string_view module, std::string_view name) {
  // Python walks dots in a name ("torch.serialization", "os.system"): what is reached counts.
  const bool walks = name.find('.') != std::string_view::npos;
  if (AnyPartIsDangerous(module.substr(0, module.find('.'))) || (walks && AnyPartIsDangerous(name)))
    return GlobalKind::kDangerous;
  const std::string_view last = name.substr(name.rfind('.') + 1);
  if (Lists(kDangerousNames, module, walks ? name.substr(0, name.find('.')) : name))
    return GlobalKind::kDangerous;
  if (walks && (Lists(kDangerousNames, "builtins", last) || last.starts_with("__")))
    return GlobalKind::kDangerous;
  for (const std::string_view parent : kDangerousBelow) {
    if (IsBelow(module, parent)) return GlobalKind::kDangerous;
  }
  if (walks) return GlobalKind::kUnknown;
  if (Lists(kKnown, module, name)) return GlobalKind::kKnown;
  for (const std::string_view parent : kLayerModules) {
    if (IsBelow(module, parent)) return GlobalKind::kKnown;
  }
  return GlobalKind::kUnknown;
}

}  // namespace mlos::convert
