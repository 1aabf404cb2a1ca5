// SPDX-License-Identifier: Apache-2.0
// What the text encoders share: names of a checkpoint's tensors, the sizes BERT's config keys give, positions, BERT's layer, and
// the heads. A builder makes a TextModel, sets its rows, and lets it answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "convert/architectures.h"
#include "convert/nn.h"

namespace mlos::convert {

inline constexpr char kBatchAxis[] = "batch_size";
inline constexpr char kSequenceAxis[] = "sequence_length";
inline constexpr char kChoicesAxis[] = "num_choices";

// Sizes of an encoder. What the caller has set before ReadTextSizes is the default of a key that config.json leaves out.
struct TextSizes {
  int64_t vocabulary = 30522;
  int64_t width = 768;
  int64_t layers = 12;
  int64_t heads = 12;
  int64_t intermediate = 3072;
  int64_t positions = 512;
  int64_t token_types = 2;
  double epsilon = 1e-12;
  std::string activation = "gelu";
  std::string activation_key = "hidden_act";
  bool tied = true;  // the fill-mask decoder uses the word embeddings
};

// Reads the keys as BERT names them and refuses what no encoder here can do (decoders, pruned heads, quantised weights, code of
// its own, relative positions).
Result<TextSizes> ReadTextSizes(const Config& config, TextSizes defaults);
// Only the refusals.
Status RequirePlainEncoder(const Config& config);
// kDataLoss unless width is a multiple of heads.
Status CheckHeads(const TextSizes& sizes, const char* width_key, const char* heads_key);

// Linear whose bias must be there.
Value Dense(GraphBuilder& g, const Value& x, const std::string& name, int64_t in, int64_t out);

// Name of the decoder's tensor: `own`, or `shared` when the checkpoint leaves it out because the two are tied. An error sticks when
// they are tied but differ.
std::string TiedTensor(GraphBuilder& g, bool tied, const std::string& shared, const std::string& own);

class TextModel {
 public:
  // `base`: the prefix of the encoder in a checkpoint with a head ("bert."); a bare model has none, some are wrapped once more
  // ("module.", "model."). Found by looking for `probe`. Declares input_ids and attention_mask; for `head` kMultipleChoice with an
  // axis of choices behind the batch, and the encoder then sees every choice as a row of its batch.
  TextModel(GraphBuilder& g, const std::string& base, const TextSizes& sizes, Head head,
            const std::string& probe = "embeddings.word_embeddings.weight");

  // Name of a tensor of the encoder, of a head.
  std::string Base(const std::string& name) const { return wrapper_ + base_ + name; }
  std::string Of(const std::string& name) const { return wrapper_ + name; }

  const TextSizes& sizes() const { return sizes_; }
  const Value& ids() const { return ids_; }
  const Value& mask() const { return mask_; }
  const Layout& layout() const { return layout_; }
  const Value& rows() const { return rows_; }      // [batch * sequence, width]
  const Value& tokens() const { return tokens_; }  // [batch, sequence, width]
  EncoderOutput encoder() const { return {tokens_, mask_, sizes_.width}; }

  // 0 .. sequence - 1, int64 [sequence].
  Value PositionsFromStart();
  // RoBERTa's: pad + 1, pad + 2 ... counting the ids that are not `pad`, which keep position `pad`. int64 [batch, sequence].
  Value PositionsFromIds(int64_t pad);
  // Declares the input `name`, shaped as input_ids is; int64 [batch, sequence].
  Value TokenInput(const char* name);
  // Declares token_type_ids and gives their embeddings, [batch, sequence, width].
  Value TokenTypes(const std::string& table, int64_t width);

  // BERT's embeddings: words, token types (when there are any) and learned positions, normed. [batch, sequence, width].
  Value BertEmbeddings(int64_t width);

  // One post-norm layer whose tensors are named as BERT names them, under `name` ("encoder.layer.0"). x: rows.
  Value BertLayer(const Value& x, const Value& bias, const std::string& name);
  // The encoder's answer.
  void SetRows(const Value& rows);

  // Heads. Linear layers are given by name; how many labels there are is what the tensor says.
  void HiddenOutputs(const std::string& pooler);  // pooler_output only when the checkpoint has `pooler`
  void TokenLabels(const std::string& name);
  void Spans(const std::string& name);
  void SequenceLabels(const Value& pooled, const std::string& name);
  // One score for each choice: kMultipleChoice only.
  void ChoiceScores(const Value& pooled, const std::string& name);
  // Scores over the vocabulary: decoder `own` (or the word embeddings it is tied to) with `bias` or `own_bias`.
  void VocabularyScores(const Value& x, int64_t width, const std::string& own, const std::string& bias,
                        const std::string& own_bias);
  // act(dense(token 0)): [batch, width].
  Value FirstToken(const std::string& dense, const std::string& activation);
  void Refuse(std::string_view architecture, Head head);

  std::string Shared(const std::string& shared, const std::string& own) {
    return TiedTensor(g_, sizes_.tied, shared, own);
  }

 private:
  GraphBuilder& g_;
  const TextSizes sizes_;
  std::string wrapper_;
  std::string base_;
  const bool choices_;
  Value batch_and_choices_,
      one_choice_;  // int64 [2], shape of input_ids; int64 [2], shape of a token input of the encoder
  Value ids_, mask_;
  Layout layout_;
  Value rows_;
  Value tokens_;
};

// Tensors of heads that `head` does not use; `mask_head` are the prefixes of the fill-mask head.
std::vector<IgnoreRule> UnusedHeads(const TextModel& model, Head head,
                                    const std::vector<std::string>& mask_head);

}  // namespace mlos::convert
