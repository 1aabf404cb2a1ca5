// SPDX-License-Identifier: Apache-2.0
// Writes an ONNX model for tests: y = Relu(x W0) W1 ... with square weights in a file beside the graph, so that what the
// engine maps and packs is as large as a test wants it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace mlos_ort {

struct MlpShape {
  int layers = 2;
  int64_t width = 128;
  bool half = false;  // weights of 16 bits behind a Cast
  uint32_t seed = 1;
};

class MlpModel {
 public:
  // Writes `folder`/model.onnx and `folder`/weights.data.
  static std::filesystem::path Write(const std::filesystem::path& folder, const MlpShape& shape) {
    std::filesystem::create_directories(folder);
    const MlpModel model(shape);
    std::ofstream(folder / "model.onnx", std::ios::binary) << model.graph_;
    std::ofstream(folder / "weights.data", std::ios::binary) << model.weights_;
    return folder / "model.onnx";
  }

 private:
  explicit MlpModel(const MlpShape& shape) : shape_(shape), random_(shape.seed) {
    std::string graph;
    std::string value = "x";
    for (int i = 0; i < shape.layers; ++i) {
      const std::string n = std::to_string(i);
      std::string weight = "w" + n;
      graph += Field(5, Weight(weight));
      if (shape.half) {
        graph += Field(
            1, Node("Cast", {weight}, "c" + n, Field(5, Field(1, "to") + Number(3, 1) + Number(20, 2))));
        weight = "c" + n;
      }
      const bool last = i + 1 == shape.layers;
      graph += Field(1, Node("MatMul", {value, weight}, last ? "y" : "m" + n, ""));
      if (!last) graph += Field(1, Node("Relu", {"m" + n}, "r" + n, ""));
      value = "r" + n;
    }
    graph += Field(2, "mlp") + Field(11, Port("x")) + Field(12, Port("y"));
    graph_ = Number(1, 8) + Field(7, graph) + Field(8, Field(1, "") + Number(2, 17));
  }

  static std::string Varint(uint64_t n) {
    std::string out;
    for (; n > 127; n >>= 7) out += static_cast<char>(n | 128);
    return out + static_cast<char>(n);
  }
  static std::string Number(uint64_t id, uint64_t value) { return Varint(id << 3) + Varint(value); }
  static std::string Field(uint64_t id, const std::string& bytes) {
    return Varint(id << 3 | 2) + Varint(bytes.size()) + bytes;
  }
  static std::string Entry(const std::string& key, const std::string& value) {
    return Field(13, Field(1, key) + Field(2, value));
  }
  static std::string Node(const std::string& op, const std::vector<std::string>& inputs,
                          const std::string& output, const std::string& attribute) {
    std::string out;
    for (const std::string& input : inputs) out += Field(1, input);
    return out + Field(2, output) + Field(4, op) + attribute;
  }
  std::string Port(const std::string& name) const {
    const std::string dims =
        Field(1, Field(2, "batch")) + Field(1, Number(1, static_cast<uint64_t>(shape_.width)));
    return Field(1, name) + Field(2, Field(1, Number(1, 1) + Field(2, dims)));
  }
  std::string Weight(const std::string& name) {
    const auto width = static_cast<uint64_t>(shape_.width);
    const uint64_t offset = weights_.size();
    const uint64_t element = shape_.half ? 2 : 4;
    for (uint64_t i = 0; i < width * width; ++i) Append();
    return Number(1, width) + Number(1, width) + Number(2, shape_.half ? 10 : 1) + Field(8, name) +
           Entry("location", "weights.data") + Entry("offset", std::to_string(offset)) +
           Entry("length", std::to_string(width * width * element)) + Number(14, 1);
  }
  // One weight of about 0.03.
  void Append() {
    random_ = random_ * 1664525 + 1013904223;
    const uint32_t bits = random_ >> 9;
    if (shape_.half) {
      const auto value = static_cast<uint16_t>(0x2400 | (bits & 0x83FF));
      weights_.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else {
      const float value = (static_cast<float>(bits) / static_cast<float>(1 << 23) - 0.5F) / 8;
      weights_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
  }

  const MlpShape shape_;
  uint32_t random_;
  std::string weights_;
  std::string graph_;
};

}  // namespace mlos_ort
