// SPDX-License-Identifier: Apache-2.0
// What both implementations of the backend promise. The one on the kernel module runs where /dev/mlos-ml is: in the test
// machine of `./dev kernel-test`.
#include "resources/backend.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <latch>
#include <thread>

#include "base/clock.h"
#include "os/shared_memory.h"
#include "os/thread_priority.h"

namespace mlos::resources {
namespace {

enum class Kind { kUserspace, kKernel };

class BackendTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::kUserspace) {
      backend_ = MakeUserspaceBackend();
      return;
    }
    Result<std::unique_ptr<Backend>> opened = OpenKernelBackend("/dev/mlos-ml");
    if (!opened.ok()) GTEST_SKIP() << opened.status().message();
    backend_ = std::move(*opened);
  }
  // Path of a file of `bytes`, byte i being i * 7.
  std::filesystem::path MakeFile(size_t bytes) {
    const auto path =
        std::filesystem::temp_directory_path() / ("mlos-backend-test-" + std::to_string(getpid()));
    std::ofstream out(path, std::ios::binary);
    for (size_t i = 0; i < bytes; ++i) out.put(static_cast<char>(i * 7));
    files_.push_back(path);
    return path;
  }
  void TearDown() override {
    for (const auto& file : files_) std::filesystem::remove(file);
  }
  std::unique_ptr<Backend> backend_;
  std::vector<std::filesystem::path> files_;
};

TEST_P(BackendTest, BuffersAreZeroWritableAndCounted) {
  Result<std::unique_ptr<TensorBuffer>> buffer = backend_->Allocate({.name = "x", .size_bytes = 10000});
  ASSERT_TRUE(buffer.ok()) << buffer.status().message();
  const std::span<std::byte> bytes = (*buffer)->bytes();
  ASSERT_EQ(bytes.size(), 10000u);
  EXPECT_EQ(bytes[9999], std::byte{0});
  bytes[9999] = std::byte{5};
  EXPECT_EQ(bytes[9999], std::byte{5});
  EXPECT_GE((*buffer)->fd(), 0);
  EXPECT_EQ(backend_->stats().buffers, 1u);
  EXPECT_EQ(backend_->stats().buffer_bytes, 10000u);
  buffer->reset();
  EXPECT_EQ(backend_->stats().buffers, 0u);
}

TEST_P(BackendTest, OthersOnlyReadABufferThatIsGivenSo) {
  Result<std::unique_ptr<TensorBuffer>> buffer =
      backend_->Allocate({.name = "x", .size_bytes = 10000, .others_read_only = true});
  ASSERT_TRUE(buffer.ok()) << buffer.status().message();
  (*buffer)->bytes()[9999] = std::byte{5};
  const auto attach = [&](os::SharedMemory::Access access) {
    return os::SharedMemory::Attach(os::Descriptor(dup((*buffer)->fd())), 10000, access);
  };
  const Result<os::SharedMemory> theirs = attach(os::SharedMemory::Access::kReadOnly);
  ASSERT_TRUE(theirs.ok()) << theirs.status().message();
  EXPECT_EQ(theirs->data()[9999], std::byte{5});
  EXPECT_FALSE(attach(os::SharedMemory::Access::kReadWrite).ok());
  // Not by opening it once more either.
  const std::string path = "/proc/self/fd/" + std::to_string((*buffer)->fd());
  os::Descriptor again(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (again.valid()) {
    EXPECT_FALSE(
        os::SharedMemory::Attach(std::move(again), 10000, os::SharedMemory::Access::kReadWrite).ok());
  }
  (*buffer)->bytes()[0] = std::byte{6};
  EXPECT_EQ(theirs->data()[0], std::byte{6});
}

TEST_P(BackendTest, ABufferIsSharedMemoryThatCommits) {
  Result<std::unique_ptr<TensorBuffer>> made = backend_->Allocate({.name = "x", .size_bytes = 1 << 20});
  ASSERT_TRUE(made.ok()) << made.status().message();
  const std::shared_ptr<TensorBuffer> buffer = std::move(*made);
  Result<os::SharedMemory> memory = os::SharedMemory::Borrow(buffer->bytes(), buffer->fd(), buffer);
  ASSERT_TRUE(memory.ok()) << memory.status().message();
  EXPECT_EQ(memory->is_tensor(), GetParam() == Kind::kKernel);
  ASSERT_TRUE(memory->Commit(4096, 8192).ok());
  if (memory->is_tensor()) {
    EXPECT_EQ(backend_->stats().buffers, 1U);
  }
  Result<os::SharedMemory> theirs = os::SharedMemory::Attach(os::Descriptor(dup(memory->fd().get())), 1 << 20,
                                                             os::SharedMemory::Access::kReadWrite);
  ASSERT_TRUE(theirs.ok()) << theirs.status().message();
  EXPECT_TRUE(theirs->Commit(0, 1 << 20).ok());
  theirs->data()[(1 << 20) - 1] = std::byte{3};
  EXPECT_EQ(memory->data()[(1 << 20) - 1], std::byte{3});
  EXPECT_EQ(os::SharedMemory::Attach(os::Descriptor(dup(memory->fd().get())), 4096,
                                     os::SharedMemory::Access::kReadOnly)
                .status()
                .code(),
            Code::kInvalidArgument);
}

TEST_P(BackendTest, ABufferMayBelongToAModel) {
  const uint64_t model = backend_->RegisterModel("m").value();
  EXPECT_TRUE(backend_->Allocate({.size_bytes = 10, .model = model}).ok());
  if (GetParam() == Kind::kKernel) {
    EXPECT_EQ(backend_->Allocate({.size_bytes = 10, .model = model + 1000}).status().code(), Code::kNotFound);
  }
}

TEST_P(BackendTest, PinsCountAndBringThePages) {
  Result<std::unique_ptr<TensorBuffer>> buffer = backend_->Allocate({.size_bytes = 8192});
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ((*buffer)->Unpin().code(), Code::kFailedPrecondition);
  ASSERT_TRUE((*buffer)->Pin().ok());
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // under them mlock() does nothing
  EXPECT_EQ((*buffer)->ResidentBytes().value(), 8192u);
#endif
  ASSERT_TRUE((*buffer)->Pin().ok());
  EXPECT_TRUE((*buffer)->Unpin().ok());
  EXPECT_TRUE((*buffer)->Unpin().ok());
  EXPECT_EQ((*buffer)->Unpin().code(), Code::kFailedPrecondition);
}

TEST_P(BackendTest, AFileIsReadWhereItIsTouched) {
  const auto path = MakeFile(20000);
  Result<std::unique_ptr<TensorBuffer>> buffer =
      backend_->Allocate({.size_bytes = 10000, .backing = path, .backing_offset = 4096});
  ASSERT_TRUE(buffer.ok()) << buffer.status().message();
  EXPECT_TRUE((*buffer)->Prefetch(true).ok());
  EXPECT_EQ((*buffer)->bytes()[9999], static_cast<std::byte>((4096 + 9999) * 7));
  EXPECT_TRUE((*buffer)->Pin().ok());
  EXPECT_TRUE((*buffer)->Unpin().ok());
}

TEST_P(BackendTest, ImpossibleBuffersAreRefused) {
  EXPECT_EQ(backend_->Allocate({.size_bytes = 0}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(backend_->Allocate({.size_bytes = 8, .numa_node = 900, .strict_node = true}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(backend_->Allocate({.size_bytes = 8, .backing = "/nonexistent/file"}).status().code(),
            Code::kNotFound);
  const auto path = MakeFile(5000);
  EXPECT_EQ(backend_->Allocate({.size_bytes = 5001, .backing = path}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(backend_->Allocate({.size_bytes = 905, .backing = path, .backing_offset = 4096}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(backend_->Allocate({.size_bytes = 5000, .backing = path, .discardable = true}).status().code(),
            Code::kInvalidArgument);
}

TEST_P(BackendTest, ExecutionsAreTimedPerModel) {
  const uint64_t model = backend_->RegisterModel("m").value();
  EXPECT_EQ(backend_->Latency(model)->samples, 0u);
  for (int i = 0; i < 3; ++i) {
    Result<std::unique_ptr<Execution>> execution = backend_->Begin({.model = model});
    ASSERT_TRUE(execution.ok()) << execution.status().message();
    usleep(2000);
    if (i == 2) (*execution)->Fail();
  }
  const LatencySummary latency = backend_->Latency(model).value();
  EXPECT_EQ(latency.samples, 2u);
  EXPECT_GE(latency.p50_ns, 2'000'000);
  EXPECT_GE(latency.p99_ns, latency.p50_ns);
  EXPECT_EQ(backend_->stats().executions, 3u);
  EXPECT_TRUE(backend_->UnregisterModel(model).ok());
  EXPECT_EQ(backend_->Latency(model).status().code(), Code::kNotFound);
}

TEST_P(BackendTest, AModelInUseStaysRegistered) {
  const uint64_t model = backend_->RegisterModel("m").value();
  std::unique_ptr<Execution> execution = std::move(backend_->Begin({.model = model}).value());
  EXPECT_EQ(backend_->UnregisterModel(model).code(), Code::kFailedPrecondition);
  execution.reset();
  EXPECT_TRUE(backend_->UnregisterModel(model).ok());
  EXPECT_EQ(backend_->Begin({.model = model}).status().code(), Code::kNotFound);
}

TEST_P(BackendTest, ADeadlineInThePastIsRefused) {
  const uint64_t model = backend_->RegisterModel("m").value();
  EXPECT_EQ(backend_->Begin({.model = model, .deadline_ns = 1}).status().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(backend_->Begin({.model = model, .threads = 0}).status().code(), Code::kInvalidArgument);
}

TEST_P(BackendTest, TheUpperClassesAreRaisedForAsLongAsTheyRun) {
  const uint64_t model = backend_->RegisterModel("m").value();
  std::thread([&] {
    const os::ThreadPriority before = os::GetThreadPriority(os::ThisThread()).value();
    auto execution =
        std::move(backend_->Begin({.model = model, .execution_class = ExecutionClass::kHigh}).value());
    const os::ThreadPriority now = os::GetThreadPriority(os::ThisThread()).value();
    if (execution->boost() == "realtime") {
      EXPECT_EQ(now.policy, os::ThreadPolicy::kRealtime);
    } else if (execution->boost() == "nice") {
      EXPECT_LT(now.nice, before.nice);
    } else {
      EXPECT_EQ(now.nice, before.nice);
      EXPECT_GE(backend_->stats().boost_refused, 1u);
    }
    execution.reset();
    const os::ThreadPriority after = os::GetThreadPriority(os::ThisThread()).value();
    EXPECT_EQ(after.policy, before.policy);
    EXPECT_EQ(after.nice, before.nice);
  }).join();
}

TEST_P(BackendTest, TheThreadsNamedAreRaisedNotTheCaller) {
  const uint64_t model = backend_->RegisterModel("m").value();
  std::latch started(1), end(1);
  int tid = 0;
  std::thread other([&] {
    tid = os::ThisThread();
    started.count_down();
    end.wait();
  });
  started.wait();
  const os::ThreadPriority mine = os::GetThreadPriority(os::ThisThread()).value();
  auto execution = std::move(
      backend_->Begin({.model = model, .execution_class = ExecutionClass::kRealtime, .tids = {tid}}).value());
  EXPECT_EQ(os::GetThreadPriority(os::ThisThread())->policy, mine.policy);
  if (execution->boost() == "realtime") {
    EXPECT_EQ(os::GetThreadPriority(tid)->policy, os::ThreadPolicy::kRealtime);
  }
  execution.reset();
  EXPECT_EQ(os::GetThreadPriority(tid)->policy, os::ThreadPolicy::kNormal);
  end.count_down();
  other.join();
}

INSTANTIATE_TEST_SUITE_P(All, BackendTest, testing::Values(Kind::kUserspace, Kind::kKernel),
                         [](const auto& kind) {
                           return kind.param == Kind::kUserspace ? "Userspace" : "Kernel";
                         });

TEST(OpenBackendTest, WithoutTheDeviceSaysWhyAndWorks) {
  const std::unique_ptr<Backend> backend = OpenBackend("/nonexistent/mlos-ml");
  EXPECT_EQ(backend->mode(), RuntimeMode::kUserspace);
  EXPECT_THAT(backend->why(), testing::HasSubstr("/nonexistent/mlos-ml"));
  EXPECT_TRUE(backend->Allocate({.size_bytes = 1}).ok());
  EXPECT_EQ(RuntimeModeName(backend->mode()), "userspace");
}

TEST(OpenBackendTest, AFileThatIsNotTheDeviceIsNotUsed) {
  EXPECT_EQ(OpenBackend("/dev/null")->mode(), RuntimeMode::kUserspace);
}

}  // namespace
}  // namespace mlos::resources
