// SPDX-License-Identifier: Apache-2.0
// Names of models: "namespace/name[@revision]".
//
//   ref       = namespace "/" name [ "@" revision ]
//   namespace = segment
//   name      = segment *( "/" segment )
//   segment   = 1*( ALPHA / DIGIT / "." / "_" / "-" ), not "." or "..", not starting with "-"
//   revision  = part *( "/" part ); "latest" when left out
//   part      = 1*( ALPHA / DIGIT / "." / "_" / "-" ), not "." or "..", not starting with "-"
//
// At most 96 characters a segment and a revision, 16 segments before and 16 parts after the "@", 255 characters
// in all. Percent-encoding and decoding give a ref back unchanged, since none holds a "%".
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

// kInvalidArgument with what is wrong and at which character, counted from 1.
Result<ModelRef> ParseModelRef(std::string_view text);

}  // namespace mlos::package
