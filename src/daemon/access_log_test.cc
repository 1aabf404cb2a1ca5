// SPDX-License-Identifier: Apache-2.0
#include "daemon/access_log.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <thread>
#include <vector>

namespace mlos::daemon {
namespace {

std::string Contents(std::FILE* file) {
  std::rewind(file);
  std::string out;
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file)) out.append(buffer, n);
  return out;
}

frontend::AccessRecord Record(std::string_view id) {
  return {.method = "POST",
          .path = "/models/a/inference",
          .status = 200,
          .bytes_in = 17,
          .bytes_out = 300,
          .duration_ns = 25'900,
          .request_id = id,
          .peer = "127.0.0.1:1"};
}

TEST(AccessLogWriterTest, WritesEveryLineBeforeItEnds) {
  std::FILE* file = std::tmpfile();
  {
    AccessLogWriter log(file, false, Clock::Real());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&log] {
        for (int i = 0; i < 500; ++i) log.Write(Record("r"));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const std::string text = Contents(file);
  const std::string line = "info POST /models/a/inference 200 in=17 out=300 25 us id=r peer=127.0.0.1:1\n";
  EXPECT_EQ(text.size(), 2000 * line.size());
  EXPECT_EQ(text.substr(0, line.size()), line);
  std::fclose(file);
}

TEST(AccessLogWriterTest, StampsLinesWithTheTimeToTheMillisecond) {
  std::FILE* file = std::tmpfile();
  FakeClock clock;
  {
    AccessLogWriter log(file, true, clock);
    log.Write(Record("a"));
    clock.AdvanceNs(1'042'000'000);
    log.Write(Record("b"));
  }
  const std::string text = Contents(file);
  EXPECT_TRUE(std::regex_search(
      text, std::regex(R"(^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000[+-]\d{4} info POST .* id=a )")))
      << text;
  EXPECT_TRUE(std::regex_search(
      text, std::regex(R"(\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.042[+-]\d{4} info POST .* id=b )")))
      << text;
  std::fclose(file);
}

}  // namespace
}  // namespace mlos::daemon
