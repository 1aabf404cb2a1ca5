// SPDX-License-Identifier: Apache-2.0
#include "package/format.h"

#include <algorithm>

#include "os/file.h"
#include "os/mapped_file.h"
#include "package/byte_cursor.h"
#include "package/gguf_file.h"
#include "package/onnx_file.h"
#include "package/path.h"
#include "package/protobuf_reader.h"
#include "package/safetensors_file.h"
#include "package/zip_directory.h"

namespace mlos::package {
namespace {

using Bytes = std::span<const std::byte>;
using namespace std::string_view_literals;

std::string_view TextOf(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// What the bytes are, and whether that is whole.
struct Found {
  FileFormat format = FileFormat::kUnknown;
  Status damage;
};

Found FindZip(Bytes bytes) {
  const auto names = ReadZipDirectory(bytes);
  if (!names.ok()) return {FileFormat::kZip, names.status()};
  const bool pytorch = std::any_of(names->begin(), names->end(), [](std::string_view name) {
    return name == "data.pkl" || name.ends_with("/data.pkl");
  });
  return {pytorch ? FileFormat::kPytorchZip : FileFormat::kZip, OkStatus()};
}

// The superblock says where the file ends.
Found FindHdf5(Bytes bytes) {
  ByteCursor cursor(bytes);
  cursor.Take(8);
  const auto version = cursor.Read<uint8_t>();
  const size_t at = version == 0 ? 40 : version == 1 ? 44 : 28;
  const size_t offset_size_at = version < 2 ? 13 : 9;
  if (version > 3 || bytes.size() < at + 8)
    return {FileFormat::kHdf5, DataLoss("damaged HDF5 file: its superblock is cut short or unknown")};
  if (static_cast<uint8_t>(bytes[offset_size_at]) == 8) {
    ByteCursor end(bytes.subspan(at));
    const auto size = end.Read<uint64_t>();
    if (size > bytes.size()) {
      return {FileFormat::kHdf5,
              DataLoss("damaged HDF5 file: it says it has " + std::to_string(size) + " bytes, the file has " +
                       std::to_string(bytes.size()) + " (cut short?)")};
    }
  }
  return {FileFormat::kHdf5, OkStatus()};
}

Found FindTflite(Bytes bytes) {
  ByteCursor cursor(bytes);
  const auto root = cursor.Read<uint32_t>();
  if (root > bytes.size() || bytes.size() - root < 4)
    return {FileFormat::kTflite,
            DataLoss("damaged TFLite file: its root lies outside the file (cut short?)")};
  return {FileFormat::kTflite, OkStatus()};
}

// Protocol 2 to 5, then an opcode that such a stream starts with; a whole pickle ends with STOP, but for
// torch's legacy files, where data follows.
bool IsPickle(Bytes bytes) {
  const std::string_view text = TextOf(bytes);
  if (text.size() < 4 || text[0] != '\x80' || text[1] < 2 || text[1] > 5) return false;
  if (text.substr(2).starts_with("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv)) return true;
  static constexpr std::string_view kFirst = "\x95}](c\x8c)KMJXN\x8f\x8a\x88\x89GCBU"sv;
  return kFirst.find(text[2]) != std::string_view::npos && text.back() == '.';
}

// SavedModel: 1 saved_model_schema_version, 2 meta_graphs.
bool IsSavedModel(Bytes bytes) {
  ProtobufReader reader(bytes);
  ProtobufField field;
  bool has_graph = false;
  while (reader.Next(&field)) {
    if (field.IsBytes(2)) {
      has_graph = true;
    } else if (!field.IsVarint(1) || field.value > 100) {
      return false;
    }
  }
  return has_graph && !reader.failed();
}

Found Find(Bytes bytes) {
  const std::string_view text = TextOf(bytes);
  if (text.starts_with("GGUF")) return {FileFormat::kGguf, InspectGguf(bytes).status()};
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return FindZip(bytes);
  if (text.starts_with("\x89HDF\r\n\x1a\n")) return FindHdf5(bytes);
  if (text.size() >= 8 && text.substr(4, 4) == "TFL3") return FindTflite(bytes);
  if (IsPickle(bytes)) return {FileFormat::kPickle, OkStatus()};
  if (LooksLikeSafetensors(bytes)) return {FileFormat::kSafetensors, InspectSafetensors(bytes).status()};
  if (CheckOnnxStructure(bytes).ok()) return {FileFormat::kOnnx, OkStatus()};
  return {};
}

// What bytes of no known format may be, for messages.
std::string Guess(Bytes bytes) {
  std::string_view text = TextOf(bytes);
  text = text.substr(0, 4096);
  if (text.empty()) return "the file is empty";
  if (text.starts_with("version https://git-lfs"))
    return "the file is a Git LFS pointer, not the contents it points to (git lfs pull fetches them)";
  std::string lower(text.substr(0, 64));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const size_t start = lower.find_first_not_of(" \t\r\n");
  if (start != std::string::npos &&
      (lower.compare(start, 9, "<!doctype") == 0 || lower.compare(start, 5, "<html") == 0))
    return "the file is a web page";
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == 0; }))
    return "the file is full of zeros";
  if (start != std::string::npos && (lower[start] == '{' || lower[start] == '['))
    return "the file is JSON or other text";
  return "its bytes are of no format that mlOS knows";
}

// A checkpoint called .pt or .ckpt may be of either kind, and Keras and archives are zips.
bool Keeps(FileFormat promised, FileFormat found) {
  if (promised == FileFormat::kUnknown || promised == found) return true;
  const auto checkpoint = [](FileFormat f) {
    return f == FileFormat::kPytorchZip || f == FileFormat::kPickle;
  };
  if (checkpoint(promised) && checkpoint(found)) return true;
  return promised == FileFormat::kZip && found == FileFormat::kPytorchZip;
}

std::string PromiseOf(const std::filesystem::path& name, FileFormat promised) {
  return "'" + Printable(name.string()) + "' is named as " + std::string(FileFormatName(promised));
}

}  // namespace

std::string_view FileFormatName(FileFormat format) {
  switch (format) {
    case FileFormat::kUnknown:
      return "unknown";
    case FileFormat::kOnnx:
      return "onnx";
    case FileFormat::kGguf:
      return "gguf";
    case FileFormat::kSafetensors:
      return "safetensors";
    case FileFormat::kPytorchZip:
      return "pytorch";
    case FileFormat::kPickle:
      return "pickle";
    case FileFormat::kHdf5:
      return "hdf5";
    case FileFormat::kTflite:
      return "tflite";
    case FileFormat::kSavedModel:
      return "saved_model";
    case FileFormat::kZip:
      return "zip";
  }
  return "unknown";
}

FileFormat FormatFromName(const std::filesystem::path& path) {
  struct Extension {
    std::string_view text;
    FileFormat format;
  };
  static constexpr Extension kExtensions[] = {{".onnx", FileFormat::kOnnx},
                                              {".gguf", FileFormat::kGguf},
                                              {".safetensors", FileFormat::kSafetensors},
                                              {".pt", FileFormat::kPytorchZip},
                                              {".pth", FileFormat::kPytorchZip},
                                              {".ckpt", FileFormat::kPytorchZip},
                                              {".pkl", FileFormat::kPickle},
                                              {".pickle", FileFormat::kPickle},
                                              {".joblib", FileFormat::kPickle},
                                              {".h5", FileFormat::kHdf5},
                                              {".hdf5", FileFormat::kHdf5},
                                              {".keras", FileFormat::kZip},
                                              {".tflite", FileFormat::kTflite},
                                              {".zip", FileFormat::kZip}};
  std::string name = path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (name == "saved_model.pb") return FileFormat::kSavedModel;
  if (name.starts_with("pytorch_model") && name.ends_with(".bin")) return FileFormat::kPytorchZip;
  for (const Extension& extension : kExtensions) {
    if (name.size() > extension.text.size() && name.ends_with(extension.text)) return extension.format;
  }
  return FileFormat::kUnknown;
}

Result<FileFormat> DetectFormat(Bytes bytes, const std::filesystem::path& name) {
  const FileFormat promised = FormatFromName(name);
  Found found = Find(bytes);
  // Too little of a structure to be told from its bytes alone.
  if (found.format == FileFormat::kUnknown && promised == FileFormat::kSavedModel && IsSavedModel(bytes))
    return promised;
  if (found.format != FileFormat::kUnknown) {
    if (!Keeps(promised, found.format)) {
      return DataLoss(PromiseOf(name, promised) + ", but its bytes are " +
                      std::string(FileFormatName(found.format)));
    }
    if (!found.damage.ok()) return found.damage.WithContext("'" + Printable(name.string()) + "'");
    return found.format;
  }
  if (promised == FileFormat::kUnknown) return FileFormat::kUnknown;
  std::string detail;
  if (promised == FileFormat::kOnnx && !bytes.empty())
    detail = " (" + CheckOnnxStructure(bytes).message() + ")";
  if (promised == FileFormat::kSafetensors && !bytes.empty())
    detail = " (" + InspectSafetensors(bytes).status().message() + ")";
  return DataLoss(PromiseOf(name, promised) + ", but " + Guess(bytes) + detail);
}

Result<FileFormat> DetectFormat(const std::filesystem::path& path) {
  MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(path));
  if (info.is_directory) {
    if (!os::Exists(path / "saved_model.pb"))
      return InvalidArgument("'" + path.string() + "' is a folder without saved_model.pb");
    return DetectFormat(path / "saved_model.pb");
  }
  MLOS_ASSIGN_OR_RETURN(const os::MappedFile file, os::MappedFile::Open(path));
  return DetectFormat(file.bytes(), path);
}

Result<ModelFileInfo> InspectModel(Bytes bytes, const std::filesystem::path& name) {
  MLOS_ASSIGN_OR_RETURN(const FileFormat format, DetectFormat(bytes, name));
  Result<ModelFileInfo> info = ModelFileInfo();
  switch (format) {
    case FileFormat::kOnnx:
      info = InspectOnnx(bytes);
      break;
    case FileFormat::kGguf:
      info = InspectGguf(bytes);
      break;
    case FileFormat::kSafetensors:
      info = InspectSafetensors(bytes);
      break;
    case FileFormat::kUnknown:
      return InvalidArgument("'" + Printable(name.string()) + "': " + Guess(bytes));
    default:
      info->format = format;
  }
  if (!info.ok()) return info.status().WithContext("'" + Printable(name.string()) + "'");
  return info;
}

Result<ModelFileInfo> InspectModelFile(const std::filesystem::path& path) {
  MLOS_ASSIGN_OR_RETURN(const os::FileInfo info, os::Stat(path));
  if (info.is_directory) {
    ModelFileInfo folder;
    MLOS_ASSIGN_OR_RETURN(folder.format, DetectFormat(path));
    return folder;
  }
  MLOS_ASSIGN_OR_RETURN(const os::MappedFile file, os::MappedFile::Open(path));
  return InspectModel(file.bytes(), path);
}

}  // namespace mlos::package
