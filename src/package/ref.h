// SPDX-License-Identifier: Apache-2.0
// Names of models: "namespace/name[@revision]".
//
//   ref       = namespace "/" name [ "@" revision ]
//   namespace = segment
//   name      = segment *( "/" segment )
//   segment   = 1*( ALPHA / DIGIT / "." / "_" / "-" ), not "." or "..", not starting with "-"
//   revision  = 1*( ALPHA / DIGIT / "." / "_" / "-" / "/" ), no empty, "." or ".." part; "latest" when left out
//
// At most 96 characters a segment, 255 in all.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::package {

struct ModelRef {
  std::string namespace_;
  std::string name;
  std::string revision = "latest";

  // "namespace/name@revision": the id under which mlos-core knows the model.
  std::string ToString() const;
  bool operator==(const ModelRef&) const = default;
};

// kInvalidArgument with what is wrong and where.
Result<ModelRef> ParseModelRef(std::string_view text);

}  // namespace mlos::package
