// SPDX-License-Identifier: Apache-2.0
// What the files of the conformance suite share: the plugin and models they run on, and inputs that fit any model.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "client.h"
#include "smi/plugin_util.h"

namespace smi_test {

// From the command line, see main.cc.
struct Flags {
  std::filesystem::path plugin;
  std::filesystem::path model;
  // A model whose calls last until they are cancelled; may be empty. slow_input: "name=value" for one INT64 scalar.
  std::filesystem::path slow_model;
  std::string slow_input;
};
extern Flags flags;

class Conformance : public ::testing::Test {
 protected:
  Plugin plugin_{flags.plugin};
};

// With the model loaded.
class ModelConformance : public Conformance {
 protected:
  Model model_ = plugin_.Load(flags.model);
};

class ExecuteConformance : public ModelConformance {
 protected:
  void SetUp() override {
    if (!model_.can(SMI_CAP_EXECUTE)) GTEST_SKIP() << "the model takes no tensors";
  }
};

class GenerateConformance : public ModelConformance {
 protected:
  void SetUp() override {
    if (!model_.can(SMI_CAP_GENERATE)) GTEST_SKIP() << "the model does not generate";
  }
};

// Values of `dtype` that most models take: ones.
std::string Ones(smi_dtype dtype, uint64_t count);
// One tensor for every input that is not optional; free dimensions are 2, those of one name alike.
std::vector<Tensor> FittingInputs(const Model& model);
bool SameOutputs(const Outcome& a, const Outcome& b);

// A struct followed by bytes that the plugin must neither read nor change: what a newer host passes.
template <typename T>
struct Grown {
  explicit Grown(const T& known) : value(known) {
    value.struct_size = sizeof(Grown);
    std::memset(tail, 0xAB, sizeof tail);
  }
  bool TailIsUntouched() const {
    return std::all_of(std::begin(tail), std::end(tail), [](unsigned char c) { return c == 0xAB; });
  }
  T value;
  unsigned char tail[64];
};

// Resident memory of this process.
uint64_t ResidentBytes();

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::filesystem::path Write(const std::string& name, const std::string& bytes) const;

 private:
  std::filesystem::path path_;
};

std::string ReadWhole(const std::filesystem::path& path);

}  // namespace smi_test
