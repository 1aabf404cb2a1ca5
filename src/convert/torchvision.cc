// SPDX-License-Identifier: Apache-2.0
// State dicts of torchvision, which come without config.json: names and shapes of the tensors say what the model is. ResNet (also
// ResNeXt and wide ones; basic and bottleneck blocks of any depth) and DenseNet.
#include <array>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/conv_net.h"
#include "convert/nn.h"
#include "convert/text_model.h"
#include "convert/torchvision.h"

namespace mlos::convert {
namespace {

constexpr double kEpsilon = 1e-5;

constexpr char kResNetProbe[] = "layer1.0.conv1.weight";
constexpr char kDenseNetProbe[] = "features.denseblock1.denselayer1.conv1.weight";
constexpr char kOldDenseNetProbe[] = "features.denseblock1.denselayer1.conv.1.weight";

bool HasWrapped(const Checkpoint& checkpoint, const std::string& name) {
  for (const char* wrapper : {"", "module.", "model."}) {
    if (checkpoint.Find(wrapper + name) != nullptr) return true;
  }
  return false;
}

// Convolution whose sizes are those of its tensor; padded so that stride alone makes the map smaller.
FeatureMap ConvByShape(GraphBuilder& g, const FeatureMap& x, const std::string& name, int64_t stride) {
  const Shape shape = g.ShapeOf(name + ".weight");
  if (shape.size() != 4 || shape[1] < 1 || x.channels % shape[1] != 0 || shape[2] % 2 == 0 ||
      shape[2] != shape[3]) {
    g.Fail(DataLoss("tensor '" + name + ".weight' has shape " + ShapeToString(shape) +
                    ", which is no convolution over " + std::to_string(x.channels) +
                    " channels with an odd kernel"));
    return x;
  }
  ConvOptions options = {
      shape[0], {shape[2], shape[3]}, {stride, stride}, shape[2] / 2, x.channels / shape[1]};
  return Conv(g, x, name, options);
}

FeatureMap Unit(GraphBuilder& g, const FeatureMap& x, const std::string& conv, const std::string& norm,
                int64_t stride, bool active) {
  FeatureMap y = BatchNorm(g, ConvByShape(g, x, conv, stride), norm, kEpsilon);
  if (active) y.value = g.Op("Relu", {y.value});
  return y;
}

FeatureMap NormRelu(GraphBuilder& g, const FeatureMap& x, const std::string& norm) {
  const FeatureMap y = BatchNorm(g, x, norm, kEpsilon);
  return {g.Op("Relu", {y.value}), y.channels, y.size};
}

FeatureMap ResNetBlock(GraphBuilder& g, const FeatureMap& x, const std::string& p, int64_t stride) {
  FeatureMap shortcut = x;
  if (g.Has(p + "downsample.0.weight"))
    shortcut = Unit(g, x, p + "downsample.0", p + "downsample.1", stride, false);
  const bool is_bottleneck = g.Has(p + "conv3.weight");
  FeatureMap y = Unit(g, x, p + "conv1", p + "bn1", is_bottleneck ? 1 : stride, true);
  y = Unit(g, y, p + "conv2", p + "bn2", is_bottleneck ? stride : 1, is_bottleneck);
  if (is_bottleneck) y = Unit(g, y, p + "conv3", p + "bn3", 1, false);
  if (y.channels != shortcut.channels) {
    g.Fail(DataLoss("block '" + p + "' gives " + std::to_string(y.channels) + " channels, its shortcut " +
                    std::to_string(shortcut.channels)));
  }
  return {g.Op("Relu", {g.Op("Add", {y.value, shortcut.value})}), y.channels, y.size};
}

int64_t InputChannels(GraphBuilder& g, const std::string& name) {
  const Shape shape = g.ShapeOf(name + ".weight");
  return shape.size() == 4 ? shape[1] : 1;
}

// Outputs of a network that ends in a map.
BuildResult Answer(GraphBuilder& g, Head head, const FeatureMap& features, const std::string& classifier) {
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"}};
  const Value pooled = MeanPool(g, features);
  if (head == Head::kEncoder) {
    MapOutput(g, "last_hidden_state", features);
    g.Output("pooler_output", pooled, DType::kFp32, {kBatchAxis, features.channels, 1, 1});
    ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
  } else {
    g.SetScope("classifier");
    LogitsOutput(g, Labels(g, Flat(g, pooled, features.channels), classifier, features.channels), classifier);
  }
  return BuildResult{{}, std::move(ignore), 0};
}

Result<BuildResult> BuildResNet(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("torchvision-resnet", context));
  const ModelNames names(g, "", kResNetProbe);
  const FeatureMap pixels = PixelInput(g, InputChannels(g, names.Of("conv1")), {});
  return Answer(g, context.head, TorchvisionResNet(g, pixels, names.Of("")).back(), names.Of("fc"));
}

// torchvision's first files wrote norm.1 where it now says norm1.
std::string Numbered(GraphBuilder& g, const std::string& layer, const char* part, const char* number) {
  const std::string old = layer + part + "." + number;
  return g.Has(old + ".weight") ? old : layer + part + number;
}

FeatureMap DenseLayer(GraphBuilder& g, const FeatureMap& x, const std::string& p) {
  FeatureMap y = NormRelu(g, x, Numbered(g, p, "norm", "1"));
  y = NormRelu(g, ConvByShape(g, y, Numbered(g, p, "conv", "1"), 1), Numbered(g, p, "norm", "2"));
  y = ConvByShape(g, y, Numbered(g, p, "conv", "2"), 1);
  return {g.Op("Concat", {x.value, y.value}, {{"axis", int64_t{1}}}), x.channels + y.channels, x.size};
}

Result<BuildResult> BuildDenseNet(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("torchvision-densenet", context));
  const ModelNames names(g, "", "features.conv0.weight");
  const std::string p = names.Of("features.");
  g.SetScope("features");
  const FeatureMap pixels = PixelInput(g, InputChannels(g, p + "conv0"), {});
  FeatureMap x = MaxPool(g, Unit(g, pixels, p + "conv0", p + "norm0", 2, true), 3, 2, 1);
  for (int64_t block = 1; g.status().ok(); ++block) {
    const std::string b = p + "denseblock" + std::to_string(block) + ".denselayer";
    const auto layer = [&](int64_t i) { return b + std::to_string(i) + "."; };
    for (int64_t i = 1; g.Has(Numbered(g, layer(i), "conv", "1") + ".weight"); ++i) {
      g.SetScope(layer(i));
      x = DenseLayer(g, x, layer(i));
      if (!g.status().ok()) break;
    }
    const std::string t = p + "transition" + std::to_string(block) + ".";
    if (!g.Has(t + "conv.weight")) break;
    g.SetScope(t);
    x = AveragePool(g, ConvByShape(g, NormRelu(g, x, t + "norm"), t + "conv", 1), 2, 2, 0);
  }
  g.SetScope("norm5");
  return Answer(g, context.head, NormRelu(g, x, p + "norm5"), names.Of("classifier"));
}

bool IsResNet(const Checkpoint& checkpoint) {
  return HasWrapped(checkpoint, kResNetProbe) && HasWrapped(checkpoint, "conv1.weight") &&
         HasWrapped(checkpoint, "bn1.running_mean");
}
bool IsDenseNet(const Checkpoint& checkpoint) {
  return HasWrapped(checkpoint, kDenseNetProbe) || HasWrapped(checkpoint, kOldDenseNetProbe);
}

constexpr std::array<Architecture::ClassHead, 1> kResNetClasses = {{{"ResNet", Head::kImageClassification}}};
constexpr std::array<Architecture::ClassHead, 1> kDenseNetClasses = {
    {{"DenseNet", Head::kImageClassification}}};

}  // namespace

std::vector<FeatureMap> TorchvisionResNet(GraphBuilder& g, const FeatureMap& pixels,
                                          const std::string& prefix) {
  g.SetScope(prefix + "conv1");
  FeatureMap x = Unit(g, pixels, prefix + "conv1", prefix + "bn1", 2, true);
  x = MaxPool(g, x, 3, 2, 1);
  std::vector<FeatureMap> stages = {x};
  for (int64_t stage = 1; g.status().ok(); ++stage) {
    const std::string name = prefix + "layer" + std::to_string(stage) + ".";
    if (!g.Has(name + "0.conv1.weight")) break;
    for (int64_t i = 0; g.status().ok() && g.Has(name + std::to_string(i) + ".conv1.weight"); ++i) {
      g.SetScope(name + std::to_string(i));
      x = ResNetBlock(g, x, name + std::to_string(i) + ".", i == 0 && stage > 1 ? 2 : 1);
    }
    stages.push_back(x);
  }
  return stages;
}

const Architecture kTorchvisionResNet = {"torchvision-resnet", kResNetClasses, BuildResNet, IsResNet};
const Architecture kTorchvisionDenseNet = {"torchvision-densenet", kDenseNetClasses, BuildDenseNet,
                                           IsDenseNet};

}  // namespace mlos::convert
