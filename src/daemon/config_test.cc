// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace mlos::daemon {
namespace {

CommandLine Parse(std::vector<const char*> args, const std::map<std::string, std::string>& environment = {}) {
  args.insert(args.begin(), "mlos-core");
  return ParseCommandLine(static_cast<int>(args.size()), args.data(),
                          [&](const std::string& name) -> std::optional<std::string> {
                            const auto it = environment.find(name);
                            if (it == environment.end()) return std::nullopt;
                            return it->second;
                          });
}

std::string WriteTemporary(const std::string& text) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "mlos_config_test.yaml";
  std::ofstream(path) << text;
  return path.string();
}

TEST(ConfigTest, ReadsEveryDocumentedKey) {
  Config c;
  const Status s = ApplyYaml(
      "api: {http: {enabled: true, hosts: [0.0.0.0], port: 9000, unix_socket: /run/x, cors_origin: '*', "
      "io_threads: 3},\n"
      "      grpc: {enabled: false}, ipc: {enabled: false}}\n"
      "core: {home: /h, plugin_dirs: [/p], threads: 2, max_queue: 7, scan_at_start: true, memory_budget: "
      "80%,\n"
      "       keep_alive: 1h, load_timeout_ms: 9, preload: [hf/x]}\n"
      "limits: {max_body_mb: 5, request_timeout_ms: 100, drain_timeout_ms: 200}\n"
      "logging: {level: debug, file: /l}\n"
      "workers: {control_groups: false}\n"
      "weight_cache: {enabled: false, dir: /w, limit_mb: 9}\n"
      "security: {auth_enabled: false}\n",
      &c);
  ASSERT_TRUE(s.ok()) << s.message();
  EXPECT_EQ(c.hosts, (std::vector<std::string>{"0.0.0.0"}));
  EXPECT_EQ(c.port, 9000);
  EXPECT_EQ(c.unix_socket, "/run/x");
  EXPECT_EQ(c.cors_origin, "*");
  EXPECT_EQ(c.io_threads, 3);
  EXPECT_EQ(c.home, "/h");
  EXPECT_EQ(c.plugin_dirs, (std::vector<std::filesystem::path>{"/p"}));
  EXPECT_EQ(c.threads, 2);
  EXPECT_EQ(c.max_queue, 7u);
  EXPECT_TRUE(c.scan_at_start);
  EXPECT_EQ(c.memory_budget, "80%");
  EXPECT_EQ(c.keep_alive_ns, int64_t{3600} * 1'000'000'000);
  EXPECT_EQ(c.load_timeout.count(), 9);
  EXPECT_EQ(c.preload, (std::vector<std::string>{"hf/x"}));
  EXPECT_EQ(c.max_body_mb, 5u);
  EXPECT_EQ(c.request_timeout.count(), 100);
  EXPECT_EQ(c.drain_timeout.count(), 200);
  EXPECT_EQ(c.log_level, "debug");
  EXPECT_EQ(c.log_file, "/l");
  EXPECT_FALSE(c.worker_groups);
  EXPECT_FALSE(c.weight_cache);
  EXPECT_EQ(c.weight_cache_dir, "/w");
  EXPECT_EQ(c.weight_cache_limit_mb, 9u);
}

TEST(ConfigTest, ErrorsNameTheLineAndTheKey) {
  Config c;
  EXPECT_EQ(ApplyYaml("api:\n  http:\n    port: many\n", &c).message(),
            "config line 3: 'api.http.port' wants a whole number");
  EXPECT_EQ(ApplyYaml("api:\n  http:\n    port: 70000\n", &c).message(),
            "config line 3: 'api.http.port' is 70000, wanted 0..65535");
  EXPECT_THAT(
      ApplyYaml("core:\n  thread: 2\n", &c).message(),
      testing::AllOf(
          testing::StartsWith(
              "config line 2: unknown key 'core.thread'; known here: execution_threads, express_slots, "),
          testing::EndsWith(", threads, traces")));
  EXPECT_THAT(ApplyYaml("core:\n  keep_alive: soon\n", &c).message(),
              testing::StartsWith("config line 2: 'core.keep_alive': 'soon' is no keep-alive"));
  EXPECT_EQ(ApplyYaml("core: 3\n", &c).message().substr(0, 34), "config line 1: 'core' wants keys: ");
  EXPECT_NE(ApplyYaml("a: [\n", &c).message().find("config line"), std::string::npos);
}

TEST(ConfigTest, RefusesFeaturesThatAreNotThere) {
  Config c;
  EXPECT_NE(ApplyYaml("api: {grpc: {enabled: true}}", &c).message().find("unsupported"), std::string::npos);
  EXPECT_NE(ApplyYaml("security: {auth_enabled: true}", &c).message().find("unsupported"), std::string::npos);
  EXPECT_EQ(Parse({"--grpc-port", "8081"}).action, CommandLine::Action::kUsageError);
  EXPECT_EQ(Parse({"--no-grpc", "--no-ipc"}).action, CommandLine::Action::kServe);
}

TEST(ConfigTest, FlagsWinOverEnvironmentWinsOverFile) {
  const std::string file = WriteTemporary("api: {http: {port: 1}}\ncore: {threads: 1, max_queue: 1}\n");
  const CommandLine line =
      Parse({"--config", file.c_str(), "-p", "3"}, {{"MLOS_HTTP_PORT", "2"}, {"MLOS_THREADS", "2"}});
  ASSERT_EQ(line.action, CommandLine::Action::kServe) << line.text;
  EXPECT_EQ(line.config.port, 3);
  EXPECT_EQ(line.config.threads, 2);
  EXPECT_EQ(line.config.max_queue, 1u);
}

TEST(ConfigTest, AcceptsTheOriginalsFormsOfThePortFlag) {
  for (const std::vector<const char*>& args : std::vector<std::vector<const char*>>{
           {"-p", "18080"}, {"--http-port", "18080"}, {"--port", "18080"}, {"serve", "--port", "18080"}}) {
    EXPECT_EQ(Parse(args).config.port, 18080);
  }
}

TEST(ConfigTest, SaysWhatIsWrongWithACommandLine) {
  EXPECT_EQ(Parse({"--nonsense"}).action, CommandLine::Action::kUsageError);
  EXPECT_EQ(Parse({"--port", "70000"}).action, CommandLine::Action::kUsageError);
  EXPECT_EQ(Parse({"--log-level", "loud"}).action, CommandLine::Action::kUsageError);
  EXPECT_NE(Parse({"-c", "/nonexistent.yaml"}).text.find("/nonexistent.yaml"), std::string::npos);
  EXPECT_NE(Parse({}, {{"MLOS_HTTP_PORT", "x"}}).text.find("MLOS_HTTP_PORT"), std::string::npos);
  EXPECT_EQ(Parse({"--help"}).action, CommandLine::Action::kHelp);
  EXPECT_EQ(Parse({"--version"}).action, CommandLine::Action::kVersion);
}

TEST(ConfigTest, WorkersHaveSettingsOfTheirOwn) {
  Config config;
  ASSERT_TRUE(ApplyYaml("core:\n  isolation: none\nworkers:\n  sandbox: require\n  hang_timeout_ms: 500\n"
                        "  private_mb: 2048\n  read_paths: [/data]\n",
                        &config)
                  .ok());
  EXPECT_EQ(config.isolation, "none");
  EXPECT_EQ(config.worker_sandbox, "require");
  EXPECT_EQ(config.worker_hang_timeout.count(), 500);
  EXPECT_EQ(config.worker_private_mb, 2048U);
  EXPECT_EQ(config.worker_read_paths, std::vector<std::filesystem::path>{"/data"});
  EXPECT_TRUE(ApplyYaml("workers:\n  sandbox: off\n", &config).ok());
  EXPECT_EQ(config.worker_sandbox, "off");
  EXPECT_EQ(ApplyYaml("workers:\n  sandbox: perhaps\n", &config).code(), Code::kInvalidArgument);
}

TEST(ConfigTest, ReadsTheSchedulersSettings) {
  Config c;
  ASSERT_TRUE(
      ApplyYaml(
          "core: {scheduler: fifo, max_batch: 1, express_slots: 0, plan_threads: false, max_sequences: 2,\n"
          "       traces: 10, execution_threads: 3}\n",
          &c)
          .ok());
  EXPECT_TRUE(c.fifo);
  EXPECT_EQ(c.max_batch, 1);
  EXPECT_EQ(c.express_slots, 0);
  EXPECT_FALSE(c.plan_threads);
  EXPECT_EQ(c.execution_threads, 3);
  EXPECT_EQ(c.max_sequences, 2);
  EXPECT_EQ(c.traces, 10u);
  EXPECT_EQ(ApplyYaml("core: {scheduler: lottery}\n", &c).message(),
            "config line 1: 'core.scheduler' is 'lottery', wanted deadline or fifo");
}

}  // namespace
}  // namespace mlos::daemon
