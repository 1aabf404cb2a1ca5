// SPDX-License-Identifier: Apache-2.0
// Runs one fuzz target over its seeds without libFuzzer, so that every build tests it: each seed whole, truncated, and with
// single bytes damaged. The same inputs every time. Usage: fuzz_NAME CORPUS_FOLDER

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kMaxCuts = 256;
constexpr size_t kMaxDamages = 512;

size_t runs = 0;

// A heap copy of exactly the input's size, so that a sanitizer sees a read past its end.
void Run(const uint8_t* data, size_t size) {
  const Bytes copy(data, data + size);
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  ++runs;
}

void RunDamaged(const Bytes& seed) {
  const size_t cut_step = seed.size() / kMaxCuts + 1;
  for (size_t size = 0; size < seed.size(); size += cut_step) {
    Run(seed.data(), size);
  }
  const size_t damage_step = seed.size() / kMaxDamages + 1;
  Bytes damaged = seed;
  for (size_t i = 0; i < seed.size(); i += damage_step) {
    for (const uint8_t flip : {0x01, 0x80, 0xff}) {
      damaged[i] = static_cast<uint8_t>(seed[i] ^ flip);
      Run(damaged.data(), damaged.size());
    }
    damaged[i] = seed[i];
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !std::filesystem::is_directory(argv[1])) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  Run(nullptr, 0);
  size_t seeds = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1])) {
    if (!entry.is_regular_file()) {
      continue;
    }
    std::ifstream file(entry.path(), std::ios::binary);
    const Bytes seed((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    Run(seed.data(), seed.size());
    RunDamaged(seed);
    ++seeds;
  }
  if (seeds == 0) {
    std::fprintf(stderr, "%s holds no seeds\n", argv[1]);
    return 1;
  }
  std::printf("%zu seeds, %zu inputs\n", seeds, runs);
  return 0;
}
