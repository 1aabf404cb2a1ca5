// SPDX-License-Identifier: Apache-2.0
// What a host reads from a worker: messages, and the answer in a slot. The first byte says which.
#include <cstring>

#include "worker/link/messages.h"
#include "worker/link/payload.h"

namespace {

using namespace mlos;
using namespace mlos::worker;

class NoArena final : public TensorArena {
 public:
  std::byte* Allocate(size_t) override { return nullptr; }
  void Free(std::byte*) override {}
};

template <typename T>
void Read(std::span<const std::byte> bytes) {
  T message;
  if (!Decode(bytes, &message).ok()) return;
  T again;
  if (!Decode(Pack(message), &again).ok()) __builtin_trap();
}

void ReadAnswer(std::span<const std::byte> bytes) {
  static std::byte arena[4096];
  static const auto owner = std::make_shared<NoArena>();
  ModelInterface model;
  model.outputs = {{"y", DType::kFp32, {-1, 2}, {}, false, ""}, {"s", DType::kBytes, {-1}, {}, false, ""}};
  const auto decoded = DecodeResponse(bytes, model, {}, arena, owner);
  if (!decoded.ok()) return;
  for (const NamedTensor& output : decoded->response.outputs) {
    unsigned sum = 0;
    for (const std::byte b : output.tensor.data()) sum += static_cast<unsigned>(b);
    if (sum > 255U * sizeof arena) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0]) {
    case 'h':
      Read<Hello>(bytes);
      break;
    case 'o':
      Read<Opened>(bytes);
      break;
    case 'e':
      Read<Estimated>(bytes);
      break;
    case 'l':
      Read<Loaded>(bytes);
      break;
    case 'x':
      Read<ErrorReply>(bytes);
      break;
    case 'g':
      Read<LogLine>(bytes);
      break;
    default:
      ReadAnswer(bytes);
  }
  return 0;
}
