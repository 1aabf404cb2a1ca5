// SPDX-License-Identifier: Apache-2.0
#include "convert/audio_model.h"

#include "convert/image_model.h"
#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {

Value ConvolveTime(GraphBuilder& g, const Value& x, const Value& weight, const Value& bias,
                   const TimeConv& conv) {
  std::vector<Value> inputs = {x, weight};
  if (!bias.name.empty()) inputs.push_back(bias);
  return g.Op("Conv", inputs,
              {{"kernel_shape", std::vector<int64_t>{conv.kernel}},
               {"strides", std::vector<int64_t>{conv.stride}},
               {"pads", std::vector<int64_t>{conv.padding, conv.padding}},
               {"group", conv.groups}});
}

Value ConvolveTime(GraphBuilder& g, const Value& x, const std::string& name, bool biased,
                   const TimeConv& conv) {
  const Value weight = g.Weight(name + ".weight", {conv.out, conv.in / conv.groups, conv.kernel});
  return ConvolveTime(g, x, weight, biased ? g.Weight(name + ".bias", {conv.out}) : Value{}, conv);
}

Value SwapTime(GraphBuilder& g, const Value& x) {
  return g.Op("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
}

Value WeightedSum(GraphBuilder& g, const std::string& name, const std::vector<Value>& layers) {
  const Value weights =
      g.Op("Softmax", {g.Weight(name, {static_cast<int64_t>(layers.size())})}, {{"axis", int64_t{0}}});
  Value sum;
  for (size_t i = 0; i < layers.size(); ++i) {
    const Value weight = g.Op("Gather", {weights, g.Int(static_cast<int64_t>(i))}, {{"axis", int64_t{0}}});
    const Value part = g.Op("Mul", {layers[i], weight});
    sum = i == 0 ? part : g.Op("Add", {sum, part});
  }
  return sum;
}

void RecordingLabels(GraphBuilder& g, const Value& frames, const std::string& projector,
                     const std::string& classifier, int64_t width, int64_t projected) {
  g.SetScope(classifier);
  // A linear layer of the mean is the mean of the linear layer.
  const Value mean = g.Op("ReduceMean", {frames, g.Ints({1})}, {{"keepdims", int64_t{0}}});
  const Value inner = Dense(g, mean, projector, width, projected);
  LogitsOutput(g, Labels(g, inner, classifier, projected), classifier);
}

}  // namespace mlos::convert
