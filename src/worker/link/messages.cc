// SPDX-License-Identifier: Apache-2.0
#include "worker/link/messages.h"

#include <algorithm>
#include <string_view>

namespace mlos::worker {
namespace {

constexpr size_t kMaxRank = 64;

// The payload was read to its end and nothing was missing.
Status Finished(const ByteReader& in, const char* message) {
  if (in.AtEnd()) return OkStatus();
  return InvalidArgument(std::string("the message ") + message + " is shorter or longer than its fields");
}

void PutList(const std::vector<std::string>& list, ByteWriter* out) {
  out->Put(static_cast<uint32_t>(list.size()));
  for (const std::string& text : list) out->String(text);
}

void GetList(ByteReader* in, std::vector<std::string>* out) {
  for (uint32_t n = in->Count(4); n > 0 && in->ok(); --n) out->emplace_back(in->String());
}

void PutOptions(const Options& options, ByteWriter* out) {
  out->Put(static_cast<uint32_t>(options.size()));
  for (const auto& [name, value] : options) out->String(name).String(value);
}

void GetOptions(ByteReader* in, Options* out) {
  for (uint32_t n = in->Count(8); n > 0 && in->ok(); --n) {
    std::string name(in->String());
    out->emplace_back(std::move(name), in->String());
  }
}

void PutSpecs(const std::vector<TensorSpec>& specs, ByteWriter* out) {
  out->Put(static_cast<uint32_t>(specs.size()));
  for (const TensorSpec& spec : specs) {
    out->String(spec.name).Put(spec.dtype).Put(uint32_t{spec.optional}).String(spec.description);
    out->Put(static_cast<uint32_t>(spec.shape.size()));
    for (size_t i = 0; i < spec.shape.size(); ++i) {
      out->Put(spec.shape[i]).String(i < spec.dim_names.size() ? std::string_view(spec.dim_names[i]) : "");
    }
  }
}

Status GetSpecs(ByteReader* in, std::vector<TensorSpec>* out) {
  for (uint32_t n = in->Count(20); n > 0 && in->ok(); --n) {
    TensorSpec spec;
    spec.name = in->String();
    const auto dtype = in->Get<int32_t>();
    spec.optional = in->Get<uint32_t>() != 0;
    spec.description = in->String();
    const uint32_t rank = in->Count(12);
    for (uint32_t i = 0; i < rank && in->ok(); ++i) {
      spec.shape.push_back(in->Get<int64_t>());
      spec.dim_names.emplace_back(in->String());
    }
    if (!in->ok() || rank > kMaxRank || dtype <= 0 || dtype > static_cast<int32_t>(DType::kBytes) ||
        spec.name.empty() || std::ranges::any_of(spec.shape, [](int64_t dim) { return dim < -1; }) ||
        std::ranges::find(*out, spec.name, &TensorSpec::name) != out->end()) {
      return InvalidArgument("the message Loaded describes a tensor that cannot be");
    }
    spec.dtype = static_cast<DType>(dtype);
    out->push_back(std::move(spec));
  }
  return OkStatus();
}

constexpr uint32_t kExecutes = 1;
constexpr uint32_t kGenerates = 2;
constexpr uint32_t kChatTemplate = 4;

}  // namespace

void Encode(const Hello& m, ByteWriter* out) {
  out->Put(m.magic).Put(m.min_version).Put(m.max_version).String(m.software);
}
Status Decode(std::span<const std::byte> payload, Hello* m) {
  ByteReader in(payload);
  m->magic = in.Get<uint64_t>();
  m->min_version = in.Get<uint32_t>();
  m->max_version = in.Get<uint32_t>();
  m->software = in.String();
  return Finished(in, "Hello");
}

void Encode(const Welcome& m, ByteWriter* out) {
  out->Put(m.version).Put(m.heartbeat_ms).Put(m.max_threads).Put(m.spin_us);
  out->Put(m.control_bytes).Put(m.input_bytes).Put(m.output_bytes);
}
Status Decode(std::span<const std::byte> payload, Welcome* m) {
  ByteReader in(payload);
  for (uint32_t* value : {&m->version, &m->heartbeat_ms, &m->max_threads, &m->spin_us})
    *value = in.Get<uint32_t>();
  for (uint64_t* value : {&m->control_bytes, &m->input_bytes, &m->output_bytes}) *value = in.Get<uint64_t>();
  return Finished(in, "Welcome");
}

void Encode(const Open& m, ByteWriter* out) {
  out->String(m.plugin_path);
  PutOptions(m.plugin_options, out);
  out->Put(m.sandbox_mode).Put(m.private_bytes);
  for (const auto* list :
       {&m.library_paths, &m.read_paths, &m.write_paths, &m.device_paths, &m.sandbox_off}) {
    PutList(*list, out);
  }
}
Status Decode(std::span<const std::byte> payload, Open* m) {
  ByteReader in(payload);
  m->plugin_path = in.String();
  GetOptions(&in, &m->plugin_options);
  m->sandbox_mode = in.Get<uint32_t>();
  m->private_bytes = in.Get<uint64_t>();
  for (auto* list : {&m->library_paths, &m->read_paths, &m->write_paths, &m->device_paths, &m->sandbox_off}) {
    GetList(&in, list);
  }
  return Finished(in, "Open");
}

void Encode(const Opened& m, ByteWriter* out) {
  out->String(m.id).String(m.version).String(m.engine_version);
  for (const auto* list : {&m.formats, &m.frameworks, &m.capabilities}) PutList(*list, out);
  out->String(m.sandbox);
}
Status Decode(std::span<const std::byte> payload, Opened* m) {
  ByteReader in(payload);
  for (std::string* text : {&m->id, &m->version, &m->engine_version}) *text = in.String();
  for (auto* list : {&m->formats, &m->frameworks, &m->capabilities}) GetList(&in, list);
  m->sandbox = in.String();
  return Finished(in, "Opened");
}

void Encode(const Load& m, ByteWriter* out) {
  out->String(m.package_dir).String(m.model_path).String(m.format);
  out->Put(m.n_threads).Put(m.context_length).Put(m.max_sequences);
  PutOptions(m.options, out);
}
Status Decode(std::span<const std::byte> payload, Load* m) {
  ByteReader in(payload);
  for (std::string* text : {&m->package_dir, &m->model_path, &m->format}) *text = in.String();
  for (uint32_t* value : {&m->n_threads, &m->context_length, &m->max_sequences}) *value = in.Get<uint32_t>();
  GetOptions(&in, &m->options);
  return Finished(in, "Load");
}

void Encode(const Estimated& m, ByteWriter* out) {
  out->Put(m.private_bytes).Put(m.mapped_bytes).Put(m.device_bytes).Put(m.per_call_bytes);
}
Status Decode(std::span<const std::byte> payload, Estimated* m) {
  ByteReader in(payload);
  for (uint64_t* value : {&m->private_bytes, &m->mapped_bytes, &m->device_bytes, &m->per_call_bytes}) {
    *value = in.Get<uint64_t>();
  }
  return Finished(in, "Estimated");
}

void Encode(const Loaded& m, ByteWriter* out) {
  const ModelInterface& i = m.interface;
  out->Put((i.executes ? kExecutes : 0) | (i.generates ? kGenerates : 0) |
           (i.has_chat_template ? kChatTemplate : 0));
  out->Put(i.context_length).Put(i.embedding_length).Put(i.batch_dimension);
  PutSpecs(i.inputs, out);
  PutSpecs(i.outputs, out);
}
Status Decode(std::span<const std::byte> payload, Loaded* m) {
  ByteReader in(payload);
  ModelInterface& i = m->interface;
  const auto flags = in.Get<uint32_t>();
  i.executes = (flags & kExecutes) != 0;
  i.generates = (flags & kGenerates) != 0;
  i.has_chat_template = (flags & kChatTemplate) != 0;
  i.context_length = in.Get<uint32_t>();
  i.embedding_length = in.Get<uint32_t>();
  i.batch_dimension = in.Get<int32_t>();
  MLOS_RETURN_IF_ERROR(GetSpecs(&in, &i.inputs));
  MLOS_RETURN_IF_ERROR(GetSpecs(&in, &i.outputs));
  const auto lacks = [&](const TensorSpec& spec) {
    return i.batch_dimension >= static_cast<int32_t>(spec.shape.size());
  };
  if (i.batch_dimension < -1 || std::ranges::any_of(i.inputs, lacks)) {
    return InvalidArgument("the message Loaded names a batch dimension that an input lacks");
  }
  return Finished(in, "Loaded");
}

void Encode(const ErrorReply& m, ByteWriter* out) {
  out->Put(static_cast<uint32_t>(m.status.code())).String(m.status.message());
}
Status Decode(std::span<const std::byte> payload, ErrorReply* m) {
  ByteReader in(payload);
  const auto code = in.Get<uint32_t>();
  const std::string_view text = in.String();
  const bool known = code > 0 && code <= static_cast<uint32_t>(Code::kInternal);
  m->status = Status(known ? static_cast<Code>(code) : Code::kInternal, std::string(text));
  return Finished(in, "Error");
}

void Encode(const LogLine& m, ByteWriter* out) { out->Put(m.level).String(m.text); }
Status Decode(std::span<const std::byte> payload, LogLine* m) {
  ByteReader in(payload);
  m->level = in.Get<uint32_t>();
  m->text = in.String();
  return Finished(in, "Log");
}

}  // namespace mlos::worker
