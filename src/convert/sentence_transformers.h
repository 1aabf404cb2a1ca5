// SPDX-License-Identifier: Apache-2.0
// What a sentence-transformers repository puts behind the encoder, built into the graph: pooling over the attended tokens,
// dense layers, L2 normalisation.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "convert/architectures.h"
#include "convert/graph.h"
#include "preprocess/sentence_modules.h"

namespace mlos::convert {

// Name prefix of a Dense module's tensors in the Checkpoint.
std::string DensePrefix(const preprocess::SentenceModule& module);

// Adds the outputs "sentence_embedding" [batch, width] and "token_embeddings" [batch, sequence, width].
Status AddSentenceEmbedding(GraphBuilder& g, const EncoderOutput& encoder,
                            const std::filesystem::path& package_dir,
                            const std::vector<preprocess::SentenceModule>& modules);

}  // namespace mlos::convert
