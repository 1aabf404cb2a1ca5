// SPDX-License-Identifier: Apache-2.0
// What a worker reads from its host: messages, and the request in a slot. The first byte says which.
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

void ReadRequest(std::span<const std::byte> bytes) {
  static std::byte arena[4096];
  static const auto owner = std::make_shared<NoArena>();
  ModelInterface model;
  model.inputs = {{"x", DType::kFp32, {-1, 2}, {}, false, ""}, {"s", DType::kBytes, {-1}, {}, true, ""}};
  model.outputs = {{"y", DType::kFp32, {-1, 2}, {}, false, ""}};
  const auto request = DecodeRequest(bytes, model, arena, owner);
  if (!request.ok()) return;
  for (const NamedTensor& input : request->inputs) {
    const std::byte* at = input.tensor.data().data();
    if (at < arena || at + input.tensor.data().size() > arena + sizeof arena) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0]) {
    case 'w':
      Read<Welcome>(bytes);
      break;
    case 'o':
      Read<Open>(bytes);
      break;
    case 'l':
      Read<Load>(bytes);
      break;
    default:
      ReadRequest(bytes);
  }
  return 0;
}
