// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/link/channel.h"
#include "worker/link/payload.h"

namespace mlos::worker {
namespace {

using ::testing::HasSubstr;

TEST(BlockAllocatorTest, BlocksAreAlignedAndDoNotOverlap) {
  BlockAllocator blocks(1 << 20);
  std::map<uint64_t, uint64_t> taken;
  for (const uint64_t size : {1, 63, 64, 65, 1000, 4096, 32768, 32769, 70000, 1}) {
    const auto block = blocks.Allocate(size);
    ASSERT_TRUE(block);
    EXPECT_GE(block->size_bytes, size);
    EXPECT_EQ(block->offset % 64, 0U);
    for (const auto& [offset, end] : taken)
      EXPECT_TRUE(block->offset >= end || block->offset + block->size_bytes <= offset);
    taken[block->offset] = block->offset + block->size_bytes;
  }
}

TEST(BlockAllocatorTest, GivesBackWhatWasFreed) {
  BlockAllocator blocks(4 * BlockAllocator::kChunk);
  for (int round = 0; round < 100; ++round) {
    const auto large = blocks.Allocate(3 * BlockAllocator::kChunk);
    ASSERT_TRUE(large);
    EXPECT_FALSE(blocks.Allocate(2 * BlockAllocator::kChunk));
    EXPECT_TRUE(blocks.Free(large->offset));
  }
  EXPECT_EQ(blocks.used_bytes(), 0U);
}

TEST(BlockAllocatorTest, JoinsNeighbours) {
  BlockAllocator blocks(3 * BlockAllocator::kChunk);
  std::vector<uint64_t> offsets;
  for (int i = 0; i < 3; ++i) offsets.push_back(blocks.Allocate(BlockAllocator::kChunk)->offset);
  for (const size_t i : {0, 2, 1}) EXPECT_TRUE(blocks.Free(offsets[i]));
  EXPECT_TRUE(blocks.Allocate(3 * BlockAllocator::kChunk));
}

TEST(BlockAllocatorTest, RefusesToFreeWhatIsNotTaken) {
  BlockAllocator blocks(1 << 20);
  const uint64_t small = blocks.Allocate(100)->offset;
  const uint64_t large = blocks.Allocate(100'000)->offset;
  EXPECT_FALSE(blocks.Free(small + 64));
  EXPECT_FALSE(blocks.Free(large + BlockAllocator::kChunk));
  EXPECT_FALSE(blocks.Free(large + 64));
  EXPECT_FALSE(blocks.Free(1 << 20));
  EXPECT_FALSE(blocks.Free(~uint64_t{0}));
  EXPECT_TRUE(blocks.Free(small));
  EXPECT_FALSE(blocks.Free(small));
  EXPECT_TRUE(blocks.Free(large));
  EXPECT_FALSE(blocks.Free(large));
}

TEST(BlockAllocatorTest, RefusesMoreThanThereIs) {
  BlockAllocator blocks(BlockAllocator::kChunk);
  EXPECT_FALSE(blocks.Allocate(~uint64_t{0}));
  EXPECT_FALSE(blocks.Allocate(BlockAllocator::kChunk + 1));
  EXPECT_TRUE(blocks.Allocate(BlockAllocator::kChunk));
  EXPECT_FALSE(blocks.Allocate(1));
}

std::shared_ptr<SharedArena> MakeArena(uint64_t bytes = 1 << 20) {
  return std::make_shared<SharedArena>(os::SharedMemory::Create("link-test", bytes).value());
}

TEST(SharedArenaTest, TakesMemoryOnlyAsItIsNeeded) {
  const auto arena = MakeArena(uint64_t{1} << 30);
  EXPECT_EQ(arena->committed_bytes(), 0U);
  std::byte* block = arena->Allocate(1000);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(arena->committed_bytes(), uint64_t{1} << 20);
  arena->Free(block);
  EXPECT_EQ(arena->used_bytes(), 0U);
}

TEST(SharedArenaTest, RemembersThatTheSystemHadNoMemory) {
  const auto memory =
      std::make_shared<os::SharedMemory>(os::SharedMemory::Create("link-test", 1 << 20).value());
  // Nothing can be committed by a descriptor that only reads.
  const std::string path = "/proc/self/fd/" + std::to_string(memory->fd().get());
  const os::Descriptor reader(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(reader.valid());
  SharedArena arena(os::SharedMemory::Borrow({memory->data(), 1 << 20}, reader.get(), memory).value());
  EXPECT_FALSE(arena.was_refused_memory());
  EXPECT_EQ(arena.Allocate(64), nullptr);
  EXPECT_TRUE(arena.was_refused_memory());
  EXPECT_EQ(arena.used_bytes(), 0U);
}

TEST(SharedArenaTest, KnowsWhatLiesInIt) {
  const auto arena = MakeArena();
  const std::byte* base = arena->memory().data();
  EXPECT_EQ(arena->OffsetOf(base + 128, 64), 128U);
  EXPECT_FALSE(arena->OffsetOf(base - 1, 1));
  EXPECT_FALSE(arena->OffsetOf(base + (1 << 20) - 1, 2));
  EXPECT_FALSE(arena->OffsetOf(base, ~uint64_t{0}));
}

ModelInterface Model() {
  ModelInterface out;
  out.executes = true;
  out.inputs = {{"x", DType::kFp32, {-1, 2}, {"batch", ""}, false, "pixels"},
                {"note", DType::kBytes, {-1}, {""}, true, ""}};
  out.outputs = {{"y", DType::kFp32, {-1, 2}, {"batch", ""}, false, ""},
                 {"s", DType::kBytes, {-1}, {""}, false, ""}};
  out.batch_dimension = 0;
  return out;
}

std::vector<std::byte> Written(const std::function<void(ByteWriter*)>& write) {
  ByteWriter measure({});
  write(&measure);
  std::vector<std::byte> out(measure.size());
  ByteWriter writer(out);
  write(&writer);
  return out;
}

NamedTensor Put(const std::shared_ptr<SharedArena>& arena, const std::string& name, Shape shape,
                std::vector<float> values) {
  return {name,
          Tensor::Copy(DType::kFp32, std::move(shape), std::as_bytes(std::span(values)), arena).value()};
}

class PayloadTest : public ::testing::Test {
 protected:
  std::vector<std::byte> RequestBytes() {
    Request request;
    request.inputs.push_back(Put(arena_, "x", {1, 2}, {1, 2}));
    request.outputs = {"s"};
    request.n_threads = 3;
    request.deadline_ns = 77;
    auto bytes = Written([&](ByteWriter* out) { EncodeRequest(request, model_, *arena_, out); });
    kept_.push_back(std::move(request));
    return bytes;
  }
  std::vector<std::byte> ResponseBytes(DType dtype = DType::kFp32) {
    Response response;
    response.outputs.push_back(Put(arena_, "y", {1, 2}, {3, 4}));
    if (dtype != DType::kFp32) {
      response.outputs[0].tensor =
          Tensor::Copy(dtype, {1, 2}, response.outputs[0].tensor.data(), arena_).value();
    }
    const std::vector<std::string> strings = {"a", "bc"};
    const Tensor text = Tensor::FromStrings({2}, strings).value();
    response.outputs.push_back({"s", Tensor::Copy(DType::kBytes, {2}, text.data(), arena_).value()});
    response.timing.compute_ns = 5;
    auto bytes =
        Written([&](ByteWriter* out) { EncodeResponse(OkStatus(), response, model_, *arena_, out); });
    for (NamedTensor& output : response.outputs) output.tensor.Release();
    return bytes;
  }
  Result<DecodedResponse> Decode(std::span<const std::byte> bytes,
                                 const std::vector<std::string>& wanted = {}) {
    return DecodeResponse(bytes, model_, wanted, memory(), arena_);
  }
  std::span<std::byte> memory() { return {arena_->memory().data(), arena_->memory().size_bytes()}; }

  const ModelInterface model_ = Model();
  const std::shared_ptr<SharedArena> arena_ = MakeArena();
  std::vector<Request> kept_;
};

TEST_F(PayloadTest, ARequestReadsBack) {
  const auto request = DecodeRequest(RequestBytes(), model_, memory(), arena_);
  ASSERT_TRUE(request.ok()) << request.status().ToString();
  EXPECT_EQ(request->n_threads, 3U);
  EXPECT_EQ(request->deadline_ns, 77);
  EXPECT_EQ(request->outputs, std::vector<std::string>{"s"});
  EXPECT_THAT(request->inputs[0].tensor.As<float>(), ::testing::ElementsAre(1, 2));
  EXPECT_EQ(request->inputs[0].tensor.data().data(), kept_[0].inputs[0].tensor.data().data());
  kept_.clear();
}

TEST_F(PayloadTest, AGenerationReadsBack) {
  Request request;
  Generation& g = request.generation.emplace();
  g.prompt = "once";
  g.messages = {{"user", "hello"}, {"assistant", ""}};
  g.stop = {"\n"};
  g.max_tokens = 9;
  g.temperature = 0.25F;
  g.seed = 42;
  g.stream = true;
  const auto bytes = Written([&](ByteWriter* out) { EncodeRequest(request, model_, *arena_, out); });
  const auto back = DecodeRequest(bytes, model_, memory(), arena_);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->generation->prompt, "once");
  EXPECT_EQ(back->generation->messages[1].role, "assistant");
  EXPECT_EQ(back->generation->stop, g.stop);
  EXPECT_EQ(back->generation->temperature, 0.25F);
  EXPECT_EQ(back->generation->seed, 42U);
  EXPECT_TRUE(back->generation->stream);
}

TEST_F(PayloadTest, NoPrefixOfARequestIsARequest) {
  const auto bytes = RequestBytes();
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(DecodeRequest(std::span(bytes).first(n), model_, memory(), arena_).ok()) << n;
  }
}

TEST_F(PayloadTest, AResponseReadsBackInPlace) {
  const auto decoded = Decode(ResponseBytes());
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_TRUE(decoded->status.ok());
  EXPECT_EQ(decoded->response.timing.compute_ns, 5);
  EXPECT_THAT(decoded->response.outputs[0].tensor.As<float>(), ::testing::ElementsAre(3, 4));
  EXPECT_EQ(decoded->response.outputs[0].tensor.arena(), arena_.get());
  EXPECT_THAT(DecodeStrings(decoded->response.outputs[1].tensor).value(), ::testing::ElementsAre("a", "bc"));
  // Strings are the host's own: their lengths can no longer change.
  EXPECT_EQ(decoded->response.outputs[1].tensor.arena(), nullptr);
}

TEST_F(PayloadTest, BlocksOfAResponseAreGivenBack) {
  (void)Decode(ResponseBytes());
  EXPECT_EQ(arena_->used_bytes(), 0U);
}

TEST_F(PayloadTest, NoPrefixOfAResponseIsAResponse) {
  const auto bytes = ResponseBytes();
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(Decode(std::span(bytes).first(n)).ok()) << n;
}

TEST_F(PayloadTest, AnErrorReadsBack) {
  const auto bytes = Written([&](ByteWriter* out) {
    EncodeResponse(Unprocessable("no such word"), Response(), model_, *arena_, out);
  });
  const auto decoded = Decode(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->status.code(), Code::kUnprocessable);
  EXPECT_EQ(decoded->status.message(), "no such word");
}

TEST_F(PayloadTest, RefusesAnOutputOfAnotherDtype) {
  const auto decoded = Decode(ResponseBytes(DType::kInt32));
  EXPECT_EQ(decoded.status().code(), Code::kInternal);
  EXPECT_THAT(decoded.status().message(), HasSubstr("output 'y' is declared as FP32"));
}

TEST_F(PayloadTest, RefusesOutputsThatWereNotWanted) {
  EXPECT_THAT(Decode(ResponseBytes(), {"y"}).status().message(), HasSubstr("has 2 outputs, wanted 1"));
  EXPECT_THAT(Decode(ResponseBytes(), {"s", "y"}).status().message(), HasSubstr("wrong order"));
}

// Where the first output's offset, size and first dimension stand in ResponseBytes: after the code, an empty message, five
// times, three counts and the number of outputs.
constexpr size_t kOffsetAt = 8 + 40 + 12 + 4 + 8;

struct Damage {
  const char* name;
  size_t at;
  uint64_t value;
};
class DamagedResponseTest : public PayloadTest, public ::testing::WithParamInterface<Damage> {};

TEST_P(DamagedResponseTest, IsRefused) {
  auto bytes = ResponseBytes();
  std::memcpy(bytes.data() + GetParam().at, &GetParam().value, sizeof GetParam().value);
  EXPECT_EQ(Decode(bytes).status().code(), Code::kInternal);
}

INSTANTIATE_TEST_SUITE_P(Damages, DamagedResponseTest,
                         ::testing::Values(Damage{"offset_outside", kOffsetAt, 1 << 20},
                                           Damage{"offset_overflow", kOffsetAt, ~uint64_t{0} - 63},
                                           Damage{"offset_unaligned", kOffsetAt, 8},
                                           Damage{"size_too_small", kOffsetAt + 8, 4},
                                           Damage{"size_outside", kOffsetAt + 8, uint64_t{1} << 40},
                                           Damage{"rank_huge", kOffsetAt + 16, 0xFFFFFFFF},
                                           Damage{"dimension_negative", kOffsetAt + 20, ~uint64_t{0}},
                                           Damage{"dimension_overflow", kOffsetAt + 20, uint64_t{1} << 62},
                                           Damage{"code_unknown", 0, 99}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(MessagesTest, AnInterfaceReadsBack) {
  Loaded loaded;
  loaded.interface = Model();
  loaded.interface.context_length = 4096;
  loaded.interface.generates = true;
  Loaded back;
  ASSERT_TRUE(Decode(Pack(loaded), &back).ok());
  EXPECT_EQ(back.interface.inputs, loaded.interface.inputs);
  EXPECT_EQ(back.interface.outputs, loaded.interface.outputs);
  EXPECT_EQ(back.interface.context_length, 4096U);
  EXPECT_TRUE(back.interface.generates && back.interface.executes && !back.interface.has_chat_template);
}

TEST(MessagesTest, AnOpenReadsBack) {
  Open open;
  open.plugin_path = "/p/libmlos_x.so";
  open.plugin_options = {{"threads", "2"}};
  open.sandbox_mode = 1;
  open.read_paths = {"/models/a", "/models/b"};
  Open back;
  ASSERT_TRUE(Decode(Pack(open), &back).ok());
  EXPECT_EQ(back.plugin_path, open.plugin_path);
  EXPECT_EQ(back.plugin_options, open.plugin_options);
  EXPECT_EQ(back.read_paths, open.read_paths);
}

TEST(MessagesTest, NoPrefixIsAMessage) {
  Loaded loaded;
  loaded.interface = Model();
  const auto bytes = Pack(loaded);
  for (size_t n = 0; n < bytes.size(); ++n) {
    Loaded back;
    EXPECT_FALSE(Decode(std::span(bytes).first(n), &back).ok()) << n;
  }
}

TEST(MessagesTest, RefusesAnInterfaceThatCannotBe) {
  Loaded twins;
  twins.interface = Model();
  twins.interface.inputs[1].name = "x";
  Loaded back;
  EXPECT_FALSE(Decode(Pack(twins), &back).ok());
  Loaded batch;
  batch.interface = Model();
  batch.interface.batch_dimension = 2;
  EXPECT_FALSE(Decode(Pack(batch), &back).ok());
}

TEST(ChannelTest, CarriesMessagesLongerThanAPacketAndFiles) {
  auto sockets = os::LocalSocket::Pair().value();
  Channel a(std::move(sockets.first));
  Channel b(std::move(sockets.second));
  const std::string text(300'000, 'x');
  const auto memory = os::SharedMemory::Create("channel-test", 4096).value();
  std::thread sender([&] {
    const int files[] = {memory.fd().get()};
    EXPECT_TRUE(a.Send(MessageType::kText, 7, std::as_bytes(std::span(text)), true, files).ok());
    EXPECT_TRUE(a.SendMessage(LogLine{2, "careful"}).ok());
  });
  auto message = b.Receive(true);
  ASSERT_TRUE(message.ok()) << message.status().ToString();
  EXPECT_EQ(message->header.id, 7U);
  EXPECT_EQ(message->text(), text);
  EXPECT_EQ(message->files.size(), 1U);
  message = b.Receive(true);
  LogLine line;
  ASSERT_TRUE(message.ok() && Decode(message->payload, &line).ok());
  EXPECT_EQ(line.text, "careful");
  sender.join();
}

TEST(ChannelTest, SaysThatThePeerIsGone) {
  auto sockets = os::LocalSocket::Pair().value();
  Channel a(std::move(sockets.first));
  sockets.second.Close();
  EXPECT_EQ(a.Send(MessageType::kCancel, 1, {}, false).code(), Code::kFailedPrecondition);
  EXPECT_EQ(a.Receive(true).status().code(), Code::kFailedPrecondition);
}

TEST(ChannelTest, DoesNotWaitForAPeerThatDoesNotRead) {
  auto sockets = os::LocalSocket::Pair().value();
  Channel a(std::move(sockets.first));
  Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) status = a.Send(MessageType::kCancel, 1, {}, false);
  EXPECT_EQ(status.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace mlos::worker
