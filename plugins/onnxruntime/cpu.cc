// SPDX-License-Identifier: Apache-2.0
#include "cpu.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#else
#include <sys/auxv.h>
#include <sys/utsname.h>
#endif

namespace mlos_ort {
namespace {

void AddHex(std::string* out, uint32_t word) {
  char text[16];
  std::snprintf(text, sizeof text, " %08x", word);
  *out += text;
}

}  // namespace

#if defined(__x86_64__)

std::string CpuIdentity() {
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
  uint32_t d = 0;
  __get_cpuid(0, &a, &b, &c, &d);
  char maker[12];
  std::memcpy(maker, &b, 4);
  std::memcpy(maker + 4, &d, 4);
  std::memcpy(maker + 8, &c, 4);
  std::string out = "x86_64 ";
  for (const char ch : maker) out += ch > ' ' && ch < 127 ? ch : '_';
  __get_cpuid(1, &a, &b, &c, &d);
  AddHex(&out, a);  // family, model, stepping; b holds the core's number and stays out
  AddHex(&out, c);
  AddHex(&out, d);
  // What the operating system saves, without which AVX and AMX are not usable.
  constexpr uint32_t kOsXsave = 1U << 27;
  uint32_t saved = 0;
  if ((c & kOsXsave) != 0) {
    uint32_t high = 0;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  }
  AddHex(&out, saved);
  for (const uint32_t leaf : {0U, 1U}) {
    if (__get_cpuid_count(7, leaf, &a, &b, &c, &d) == 0) continue;
    if (leaf == 1) AddHex(&out, a);
    AddHex(&out, b);
    AddHex(&out, c);
    AddHex(&out, d);
  }
  return out;
}

#else

std::string CpuIdentity() {
  utsname machine{};
  uname(&machine);
  std::string out = machine.machine;
  for (const unsigned long word : {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)}) {
    AddHex(&out, static_cast<uint32_t>(word >> 32));
    AddHex(&out, static_cast<uint32_t>(word));
  }
  return out;
}

#endif

}  // namespace mlos_ort
