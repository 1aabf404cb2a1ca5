// SPDX-License-Identifier: Apache-2.0
#include "package/manifest.h"

#include <gtest/gtest.h>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::package {
namespace {

const std::string kSha(64, 'a');

// Line numbers in the tests count in this text.
const std::string kValid =
    "apiVersion: axon.mlos.io/v1\n"   // 1
    "kind: Model\n"                   // 2
    "metadata:\n"                     // 3
    "  namespace: hf\n"               // 4
    "  name: org/bert\n"              // 5
    "  version: latest\n"             // 6
    "spec:\n"                         // 7
    "  framework: {name: pytorch}\n"  // 8
    "  format:\n"                     // 9
    "    type: safetensors\n"         // 10
    "    execution_format: onnx\n"    // 11
    "    files:\n"                    // 12
    "      - path: model.onnx\n"      // 13
    "        size: 10\n"              // 14
    "        sha256: " +
    kSha +
    "\n"                              // 15
    "      - path: tokenizer.json\n"  // 16
    "        size: 20\n"              // 17
    "        sha256: " +
    kSha +
    "\n"                                          // 18
    "    execution_files:\n"                      // 19
    "      - {path: model.onnx, format: onnx}\n"  // 20
    "  io:\n"                                     // 21
    "    inputs:\n"                               // 22
    "      - name: input_ids\n"                   // 23
    "        dtype: int64\n"                      // 24
    "        shape: [-1, -1]\n"                   // 25
    "        dims: [batch, sequence]\n"           // 26
    "        optional: false\n"                   // 27
    "    outputs: []\n"                           // 28
    "  text:\n"                                   // 29
    "    tokenizer: tokenizer.json\n"             // 30
    "    max_length: 128\n"                       // 31
    "    pooling: mean\n"                         // 32
    "  conversion:\n"                             // 33
    "    converter: mlos-native\n"                // 34
    "    graph_sha256: " +
    kSha +
    "\n"                                           // 35
    "  requirements:\n"                            // 36
    "    compute:\n"                               // 37
    "      memory: {min_gb: 0.5}\n"                // 38
    "distribution:\n"                              // 39
    "  package: {url: 'https://example.org/x'}\n"  // 40
    "  registry: {namespace: huggingface}\n";      // 41

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(ManifestTest, ReadsEveryField) {
  const auto m = ParseManifest(kValid);
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(m->namespace_, "hf");
  EXPECT_EQ(m->name, "org/bert");
  EXPECT_EQ(m->framework_name, "pytorch");
  EXPECT_EQ(m->files.size(), 2u);
  EXPECT_EQ(m->files[1], (PackageFile{"tokenizer.json", 20, kSha}));
  EXPECT_EQ(m->execution_files[0], (ExecutionFile{"model.onnx", "onnx", "single"}));
  ASSERT_EQ(m->inputs.size(), 1u);
  EXPECT_EQ(m->inputs[0].dtype, DType::kInt64);
  EXPECT_EQ(m->inputs[0].shape, (Shape{-1, -1}));
  EXPECT_EQ(m->inputs[0].dim_names, (std::vector<std::string>{"batch", "sequence"}));
  EXPECT_EQ(m->text->max_length, 128u);
  EXPECT_EQ(m->text->pooling, "mean");
  EXPECT_EQ(m->conversion->graph_sha256, kSha);
  EXPECT_EQ(m->requirements.memory_min_gb, 0.5);
  EXPECT_EQ(m->source_url, "https://example.org/x");
  EXPECT_EQ(m->registry, "huggingface");
}

struct Bad {
  std::string from;
  std::string to;
  std::string message;  // what the error starts with
};

class BadManifestTest : public testing::TestWithParam<Bad> {};

TEST_P(BadManifestTest, IsRefusedWithTheLineAndTheKey) {
  const auto m = ParseManifest(Replace(kValid, GetParam().from, GetParam().to));
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(m.status().message().starts_with(GetParam().message)) << m.status().message();
}

INSTANTIATE_TEST_SUITE_P(
    OneThingWrong, BadManifestTest,
    testing::Values(
        Bad{"axon.mlos.io/v1", "axon.mlos.io/v9", "line 1: apiVersion: 'axon.mlos.io/v9' is not known"},
        Bad{"apiVersion: axon.mlos.io/v1\n", "", "line 1: apiVersion: is required and missing"},
        Bad{"kind: Model", "kind: Modell", "line 2: kind: wanted 'Model'"},
        Bad{"  namespace: hf\n", "", "line 4: metadata.namespace: is required and missing"},
        Bad{"name: org/bert", "name: [a]", "line 5: metadata.name: wanted text or a number, found a list"},
        Bad{"name: org/bert", "name: ../bert", "line 4: metadata: model reference 'hf/../bert@latest'"},
        Bad{"namespace: hf", "namespace: hf/x", "line 4: metadata.namespace: holds a '/'"},
        Bad{"version: latest", "version: ''", "line 6: metadata.version: is empty"},
        Bad{"framework: {name: pytorch}", "framework: pytorch",
            "line 8: spec.framework: wanted a map, found text"},
        Bad{"    type: safetensors\n", "", "line 10: spec.format.type: is required and missing"},
        Bad{"size: 10", "size: ten", "line 14: spec.format.files[0].size: wanted a whole number from 0"},
        Bad{"size: 10", "size: -1", "line 14: spec.format.files[0].size: wanted a whole number from 0"},
        Bad{"size: 10", "size: 1e3", "line 14: spec.format.files[0].size: wanted a whole number"},
        Bad{"size: 10", "size: 18446744073709551616",
            "line 14: spec.format.files[0].size: wanted a whole number"},
        Bad{"size: 10", "size: 9223372036854775808",
            "line 14: spec.format.files[0].size: wanted a whole number"},
        Bad{"size: 10", "size: '10'", "line 14: spec.format.files[0].size: wanted a whole number"},
        Bad{"size: 10", "size: ~",
            "line 14: spec.format.files[0].size: wanted text or a number, found nothing"},
        Bad{"sha256: " + kSha, "sha256: ''",
            "line 15: spec.format.files[0].sha256: wanted 64 hexadecimal digits"},
        Bad{"sha256: " + kSha, "sha256: abc",
            "line 15: spec.format.files[0].sha256: wanted 64 hexadecimal digits"},
        Bad{"path: tokenizer.json", "path: /etc/passwd",
            "line 16: spec.format.files[1].path: path '/etc/passwd' is absolute"},
        Bad{"path: tokenizer.json", "path: a/../b",
            "line 16: spec.format.files[1].path: path 'a/../b' has a part '..'"},
        Bad{"path: tokenizer.json", "path: a\\b",
            "line 16: spec.format.files[1].path: path 'a\\b' holds a backslash"},
        Bad{"path: tokenizer.json", "path: \"a\\nb\"",
            "line 16: spec.format.files[1].path: path 'a\\x0ab' holds a control"},
        Bad{"path: tokenizer.json", "path: \"a\\0b\"",
            "line 16: spec.format.files[1].path: path 'a\\x00b' holds a control"},
        Bad{"path: tokenizer.json", "path: model.onnx",
            "line 13: spec.format.files: path 'model.onnx' is there twice"},
        Bad{"path: tokenizer.json", "path: model.onnx/x",
            "line 13: spec.format.files: path 'model.onnx' is a file and"},
        Bad{"{path: model.onnx", "{path: other.onnx",
            "line 20: spec.format.execution_files[0].path: 'other.onnx' is not in"},
        Bad{"format: onnx}", "format: onnx, type: both}",
            "line 20: spec.format.execution_files[0].type: 'both' is none of"},
        Bad{"dtype: int64", "dtype: int65",
            "line 24: spec.io.inputs[0].dtype: 'int65' is not a known element type"},
        Bad{"shape: [-1, -1]", "shape: [-2, -1]",
            "line 25: spec.io.inputs[0].shape[0]: wanted a whole number from -1"},
        Bad{"shape: [-1, -1]", "shape: 3",
            "line 25: spec.io.inputs[0].shape: wanted a list, found text or a number"},
        Bad{"        shape: [-1, -1]\n", "", "line 23: spec.io.inputs[0].shape: is required and missing"},
        Bad{"dims: [batch, sequence]", "dims: [batch]",
            "line 26: spec.io.inputs[0].dims: 1 names for 2 dimensions"},
        Bad{"optional: false", "optional: maybe",
            "line 27: spec.io.inputs[0].optional: wanted true or false"},
        Bad{"tokenizer: tokenizer.json", "tokenizer: gone.json",
            "line 30: spec.text.tokenizer: 'gone.json' is not in"},
        Bad{"max_length: 128", "max_length: 4294967296",
            "line 31: spec.text.max_length: wanted a whole number"},
        Bad{"  conversion:", "  image: {config: gone.json}\n  conversion:",
            "line 33: spec.image.config: 'gone.json' is not in"},
        Bad{"  conversion:", "  image: {config: tokenizer.json, resize: twice}\n  conversion:",
            "line 33: spec.image.resize: 'twice' is none of"},
        Bad{"  conversion:", "  image: {config: tokenizer.json, size: [1, 2, 3]}\n  conversion:",
            "line 33: spec.image.size[2]: more than two numbers"},
        Bad{"  conversion:", "  image: {config: tokenizer.json, mean: [x]}\n  conversion:",
            "line 33: spec.image.mean[0]: wanted a number, found 'x'"},
        Bad{"  conversion:", "  serving: {isolation: sandbox}\n  conversion:",
            "line 33: spec.serving.isolation: 'sandbox' is none of 'process', 'unsafe-process', 'none'"},
        Bad{"  conversion:", "  serving: {batching: always}\n  conversion:",
            "line 33: spec.serving.batching: 'always' is none of 'auto', 'on', 'off'"},
        Bad{"  conversion:", "  serving: {max_batch: -1}\n  conversion:",
            "line 33: spec.serving.max_batch: wanted a whole number from 0 to 65536, found '-1'"},
        Bad{"pooling: mean", "pooling: median", "line 32: spec.text.pooling: 'median' is none of"},
        Bad{"min_gb: 0.5", "min_gb: -1",
            "line 38: spec.requirements.compute.memory.min_gb: wanted a number of at least 0"},
        Bad{"min_gb: 0.5", "min_gb: nan",
            "line 38: spec.requirements.compute.memory.min_gb: wanted a number"},
        Bad{"https://example.org", "https://me:pw@example.org",
            "line 40: distribution.package.url: must not hold a user name"},
        Bad{"kind: Model", "kind: &a Model", "line 2: anchors are not allowed"},
        Bad{"kind: Model", "kind: !!str Model", "line 2: tags are not allowed"},
        Bad{"kind: Model", "kind: Model\nkind: Model", "line 3: the key 'kind' is there twice"},
        Bad{"kind: Model", "kind: Model\n[a]: b", "line 3: a key must be text"},
        Bad{"kind: Model", "kind: Model\x04", "line 2: control character \\x04"},
        Bad{"kind: Model", "kind: \xff", "line 2: not valid UTF-8"},
        Bad{"kind: Model", "kind: 'Model", "line "}));

TEST(ManifestTest, RefusesWhatIsNoManifestAtAll) {
  for (const std::string& text : {std::string(), std::string("- a\n"), std::string("text"),
                                  std::string("---\n...\n"), kValid + "---\n" + kValid}) {
    EXPECT_EQ(ParseManifest(text).status().code(), Code::kInvalidArgument) << text;
  }
}

TEST(ManifestTest, DeepNestingAndHugeFilesAreRefused) {
  EXPECT_FALSE(ParseManifest(kValid + "deep: " + std::string(1'000'000, '[') + "\n").ok());
  const auto deep = ParseManifest(kValid + "deep: " + std::string(40, '[') + std::string(40, ']') + "\n");
  EXPECT_NE(deep.status().message().find("line 42: more than 32 levels"), std::string::npos)
      << deep.status().message();
  EXPECT_NE(ParseManifest(std::string(4'000'001, '\n')).status().message().find("larger than 4 MB"),
            std::string::npos);
}

// Every prefix of a valid file parses or is refused; none crashes.
TEST(ManifestTest, EveryTruncationIsAnAnswer) {
  size_t accepted = 0;
  for (size_t size = 0; size < kValid.size(); ++size) accepted += ParseManifest(kValid.substr(0, size)).ok();
  EXPECT_LT(accepted, kValid.size() / 2);
}

TEST(ManifestTest, UnknownKeysAreLeftOut) {
  EXPECT_TRUE(ParseManifest(Replace(kValid, "kind: Model", "kind: Model\nnew_key: {a: [1, 2]}")).ok());
}

// As the original's axon left it behind: placeholders for size and hash, execution files that are not in the
// list.
TEST(ManifestTest, ReadsTheOriginalsManifest) {
  const std::string original = R"(apiVersion: v1
kind: Model
metadata:
    name: bert-base-uncased
    namespace: hf
    version: latest
    description: 'Model from Hugging Face: bert-base-uncased'
    license: Unknown
    created: 2025-12-20T10:00:00.000000000+01:00
    updated: 2025-12-20T10:00:00.000000000+01:00
spec:
    framework: {name: PyTorch, version: 2.0.0}
    format:
        type: onnx
        execution_format: onnx
        multi_encoder: clip
        files:
            - {path: pytorch_model.bin, size: 0, sha256: ""}
        execution_files:
            - {path: model.onnx, format: onnx, type: single}
    io:
        inputs:
            - name: input_ids
              dtype: int64
              shape: [-1, -1]
              description: Token IDs from tokenizer
              preprocessing: {type: tokenization, tokenizer: tokenizer.json, tokenizer_type: bert}
        outputs:
            - {name: logits, dtype: float32, shape: [-1, -1, -1], description: Model logits}
    requirements:
        compute:
            cpu: {min_cores: 2, recommended_cores: 4}
            memory: {min_gb: 2, recommended_gb: 4}
)";
  const auto m = ParseManifest(original);
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(m->files[0].sha256, "");
  EXPECT_EQ(m->requirements.cpu_recommended_cores, 4);
  EXPECT_EQ(m->framework_version, "2.0.0");
  EXPECT_FALSE(ParseManifest(Replace(original, "apiVersion: v1", "apiVersion: axon.mlos.io/v1")).ok());
}

// The example of the page about the format is itself valid.
TEST(ManifestTest, TheDocumentedExampleIsValid) {
  const auto page =
      os::ReadFile(std::filesystem::path(MLOS_SOURCE_DIR) / "docs/formats/manifest.md", 1'000'000);
  ASSERT_TRUE(page.ok());
  const size_t begin = page->find("```yaml\n") + 8;
  const auto m = ParseManifest(page->substr(begin, page->find("```", begin) - begin));
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(m->text->output, "sentence_embedding");
  EXPECT_EQ(m->inputs.size(), 2u);
  EXPECT_TRUE(m->inputs[1].optional);
  EXPECT_EQ(m->conversion->sources.size(), 1u);
}

TEST(ManifestTest, ErrorsOfAFileNameTheFile) {
  const os::TemporaryDirectory temporary;
  const auto file = temporary.path() / "manifest.yaml";
  ASSERT_TRUE(os::WriteFile(file, "kind: 3\n").ok());
  EXPECT_TRUE(ReadManifest(file).status().message().starts_with(file.string() + ": line 1: "))
      << ReadManifest(file).status().message();
}

}  // namespace
}  // namespace mlos::package
