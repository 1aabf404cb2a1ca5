// SPDX-License-Identifier: Apache-2.0
// ResNet as torchvision and timm name its tensors (conv1, layer1.0.conv1, ...), for models that have one inside.
#pragma once

#include <string>
#include <vector>

#include "convert/conv_net.h"

namespace mlos::convert {

// What the first pooling and every stage give; block type, depth, groups and widths are those of the tensors behind `prefix`. An
// error sticks when a tensor is missing or shaped like nothing in such a network.
std::vector<FeatureMap> TorchvisionResNet(GraphBuilder& g, const FeatureMap& pixels,
                                          const std::string& prefix);

}  // namespace mlos::convert
