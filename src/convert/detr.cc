// SPDX-License-Identifier: Apache-2.0
// DETR (model_type "detr"): boxes and labels of objects, and their masks.
#include "convert/detr.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "convert/architectures.h"
#include "convert/image_model.h"
#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr int64_t kBoxLayers = 3;
constexpr int64_t kMaskGroups = 8;
constexpr size_t kMaskMaps = 4;

// logits [batch, queries, labels + 1] and pred_boxes [batch, queries, 4]: centre, width and height as parts of the picture.
void Boxes(GraphBuilder& g, const DetrSizes& s, const DetrOutput& model, const std::string& prefix) {
  g.SetScope("class_labels_classifier");
  const auto per_object = [&](const Value& rows, int64_t size) {
    return g.Op("Reshape", {rows, g.Ints({-1, s.queries, size})});
  };
  const std::string classifier = prefix + "class_labels_classifier";
  const Shape shape = g.ShapeOf(classifier + ".weight");
  const int64_t labels = shape.empty() ? -1 : shape[0];
  g.Output("logits", per_object(Dense(g, model.objects, classifier, s.width, labels), labels), DType::kFp32,
           {kBatchAxis, s.queries, labels});
  g.SetScope("bbox_predictor");
  Value x = model.objects;
  for (int64_t i = 0; i < kBoxLayers; ++i) {
    const bool is_last = i + 1 == kBoxLayers;
    x = Dense(g, x, prefix + "bbox_predictor.layers." + std::to_string(i), s.width, is_last ? 4 : s.width);
    x = g.Op(is_last ? "Sigmoid" : "Relu", {x});
  }
  g.Output("pred_boxes", per_object(x, 4), DType::kFp32, {kBatchAxis, s.queries, 4});
}

class Masks {
 public:
  Masks(GraphBuilder& g, const DetrSizes& sizes, const DetrOutput& model, std::string prefix)
      : g_(g), s_(sizes), model_(model), prefix_(std::move(prefix)) {}

  // pred_masks [batch, queries, mask_height, mask_width]
  void Build() {
    g_.SetScope("mask_head");
    const FeatureMap features = ForEveryObject(model_.projected);
    const Value attention = Attention();
    FeatureMap x = {g_.Op("Concat", {features.value, attention}, {{"axis", int64_t{1}}}),
                    s_.width + s_.encoder_heads,
                    {}};
    x = Block(x, 1, x.channels);
    x = Block(x, 2, s_.width / 2);
    for (int64_t i = 1; i <= 3; ++i) {
      const FeatureMap& map = model_.maps[static_cast<size_t>(3 - i)];
      const FeatureMap finer = ForEveryObject(
          Conv(g_, map, prefix_ + "mask_head.adapter" + std::to_string(i), Biased(x.channels, 1)));
      const Value stretched = TakeNearest(g_, x.value, map.value, {2, 3}, {2, 3});
      x = Block({g_.Op("Add", {finer.value, stretched}), x.channels, {}}, i + 2, s_.width >> (i + 1));
    }
    const FeatureMap mask = Conv(g_, x, prefix_ + "mask_head.out_lay", Biased(1, 3));
    const Value size = g_.Op("Shape", {mask.value}, {{"start", int64_t{2}}});
    const Value shape = g_.Op("Concat", {g_.Ints({-1, s_.queries}), size}, {{"axis", int64_t{0}}});
    g_.Output("pred_masks", g_.Op("Reshape", {mask.value, shape}), DType::kFp32,
              {kBatchAxis, s_.queries, "mask_height", "mask_width"});
  }

 private:
  static ConvOptions Biased(int64_t channels, int64_t kernel) {
    return {channels, {kernel, kernel}, {1, 1}, kernel / 2, 1, /*bias=*/true};
  }

  FeatureMap Block(const FeatureMap& x, int64_t number, int64_t channels) {
    const std::string n = std::to_string(number);
    const FeatureMap y = Conv(g_, x, prefix_ + "mask_head.lay" + n, Biased(channels, 3));
    const FeatureMap normed =
        GroupNorm(g_, y, prefix_ + "mask_head.gn" + n, std::min(kMaskGroups, channels), kEpsilon);
    return {Activation(g_, normed.value, s_.activation, "activation_function"), channels, {}};
  }

  // [batch, channels, h, w] -> [batch * queries, channels, h, w]
  FeatureMap ForEveryObject(const FeatureMap& x) {
    const Value own = g_.Op("Shape", {x.value}, {{"start", int64_t{1}}});
    const auto shape = [&](const std::vector<Value>& first) {
      std::vector<Value> parts = first;
      parts.push_back(own);
      return g_.Op("Concat", parts, {{"axis", int64_t{0}}});
    };
    const Value each = g_.Op("Expand", {g_.Op("Unsqueeze", {x.value, g_.Ints({1})}),
                                        shape({model_.batch, g_.Ints({s_.queries})})});
    return {g_.Op("Reshape", {each, shape({g_.Ints({-1})})}), x.channels, {}};
  }

  // Where every object looks, one map a head: [batch * queries, heads, h, w].
  Value Attention() {
    const HeadShape heads = {s_.encoder_heads, s_.width / s_.encoder_heads};
    const std::string p = prefix_ + "bbox_attention.";
    const auto project = [&](const Value& x, const char* part) {
      return SplitHeads(g_, Dense(g_, x, p + part, s_.width, s_.width), model_.batch, heads);
    };
    const float scale = 1.0F / std::sqrt(static_cast<float>(heads.width));
    const Value query = g_.Op("Mul", {project(model_.objects, "q_linear"), g_.Float(scale)});
    const Value key = g_.Op("Transpose", {project(model_.memory, "k_linear")},
                            {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
    const Value scores = g_.Op("Add", {g_.Op("MatMul", {query, key}), model_.hidden_bias});
    const Value per_object = g_.Op("Transpose", {scores}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
    // One distribution over all heads and places together.
    const Value flat = g_.Op("Reshape", {per_object, g_.Ints({0, 0, -1})});
    const Value weights = g_.Op("Softmax", {flat}, {{"axis", int64_t{-1}}});
    const Value size = g_.Op("Shape", {model_.projected.value}, {{"start", int64_t{2}}});
    const Value shape = g_.Op("Concat", {g_.Ints({-1, heads.count}), size}, {{"axis", int64_t{0}}});
    return g_.Op("Reshape", {weights, shape});
  }

  GraphBuilder& g_;
  const DetrSizes& s_;
  const DetrOutput& model_;
  const std::string prefix_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(
      RequireHead("detr", context, {Head::kObjectDetection, Head::kImageSegmentation, Head::kEncoder}));
  MLOS_ASSIGN_OR_RETURN(const DetrSizes sizes, ReadDetrSizes(context.config));
  // A model for masks has one for boxes inside.
  const std::string probe = "model.query_position_embeddings.weight";
  std::string outer = g.Has("detr." + probe) ? "detr." : "";
  const std::string inner = outer + (g.Has(outer + probe) ? "model." : "");
  const DetrOutput model = BuildDetr(g, sizes, inner);
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"}};
  const auto leave = [&](const std::string& prefix) {
    ignore.push_back({prefix, "", "head, not part of the task"});
  };
  if (context.head == Head::kEncoder) {
    g.Output("last_hidden_state", g.Op("Reshape", {model.objects, g.Ints({-1, sizes.queries, sizes.width})}),
             DType::kFp32, {kBatchAxis, sizes.queries, sizes.width});
    leave(outer + "class_labels_classifier.");
    leave(outer + "bbox_predictor.");
  } else {
    Boxes(g, sizes, model, outer);
  }
  if (context.head != Head::kImageSegmentation) {
    leave("mask_head.");
    leave("bbox_attention.");
    return BuildResult{{}, std::move(ignore), 0};
  }
  if (model.maps.size() != kMaskMaps) {
    return Unimplemented("config.json: the backbone keeps " + std::to_string(model.maps.size()) +
                         " maps ('out_features'); masks need its four stages");
  }
  Masks(g, sizes, model, "").Build();
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"DetrModel", Head::kEncoder},
    {"DetrForObjectDetection", Head::kObjectDetection},
    {"DetrForSegmentation", Head::kImageSegmentation},
}};

}  // namespace

const Architecture kDetr = {"detr", kClasses, Build};

}  // namespace mlos::convert
