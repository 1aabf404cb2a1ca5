// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "axon/cli.h"
#include "axon/doctor_checks.h"
#include "base/version.h"
#include "client/testing/fake_core.h"
#include "os/directory.h"
#include "os/file.h"

namespace mlos::axon {
namespace {

using os::Mechanism;
using os::MechanismState;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kGiB = uint64_t{1} << 30;

const Finding& Find(const Findings& findings, const std::string& check) {
  static const Finding kNone{"", "none", Verdict::kFail, "", ""};
  for (const Finding& finding : findings) {
    if (finding.check == check) return finding;
  }
  ADD_FAILURE() << "no finding '" << check << "'";
  return kNone;
}

os::MachineFacts GoodMachine() {
  os::MachineFacts facts;
  facts.kernel = "6.1.0";
  facts.architecture = "x86_64";
  facts.distribution = "Debian";
  facts.cpu_model = "Xeon";
  facts.cpus = 8;
  facts.cpu_features = {"avx2", "avx512f"};
  facts.transparent_huge_pages = "madvise";
  facts.memory_pressure = true;
  return facts;
}
Findings Machine(const os::MachineFacts& facts, os::MachineMemory memory = {16 * kGiB, 8 * kGiB},
                 const os::CgroupMemory& cgroup = {}, const Status& realtime = OkStatus()) {
  return CheckMachine(facts, memory, cgroup, realtime);
}

TEST(DoctorMachineTest, FindsNothingWrongWithAGoodMachine) {
  for (const Finding& finding : Machine(GoodMachine())) {
    EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.check;
    EXPECT_THAT(finding.advice, IsEmpty()) << finding.check;
    EXPECT_FALSE(finding.found.empty()) << finding.check;
  }
  EXPECT_EQ(Find(Machine(GoodMachine()), "cpu").found, "Xeon, 8 CPUs; avx2 avx512f");
}

TEST(DoctorMachineTest, WarnsWithAdviceAboutEachLack) {
  os::MachineFacts facts = GoodMachine();
  facts.cpu_features = {"sse4_2"};
  facts.transparent_huge_pages = "never";
  facts.memory_pressure = false;
  const os::CgroupMemory cgroup{2, "/sys/fs/cgroup/x", "", kGiB};
  const Findings findings = Machine(facts, {16 * kGiB, kGiB}, cgroup, PermissionDenied("not permitted"));
  for (const char* check : {"cpu", "memory", "memory limit", "huge pages", "memory pressure", "real time"}) {
    EXPECT_EQ(Find(findings, check).verdict, Verdict::kWarn) << check;
    EXPECT_FALSE(Find(findings, check).advice.empty()) << check;
  }
  EXPECT_THAT(Find(findings, "memory limit").found, HasSubstr("/sys/fs/cgroup/x"));
}

os::SandboxReport Report(const std::vector<Mechanism>& missing) {
  os::SandboxReport report;
  for (const Mechanism mechanism : os::kAllMechanisms) {
    const bool lacks = std::find(missing.begin(), missing.end(), mechanism) != missing.end();
    report.mechanisms.push_back({mechanism,
                                 lacks ? MechanismState::State::kMissing : MechanismState::State::kInForce,
                                 lacks ? "not in this kernel" : "yes"});
  }
  return report;
}

TEST(DoctorSandboxTest, NamesEachMechanismAndWhyItIsMissing) {
  const Findings findings = CheckSandbox(Report({Mechanism::kLandlock}));
  EXPECT_EQ(findings.size(), std::size(os::kAllMechanisms));
  EXPECT_EQ(Find(findings, "system_calls").verdict, Verdict::kOk);
  EXPECT_EQ(Find(findings, "landlock").verdict, Verdict::kWarn);
  EXPECT_EQ(Find(findings, "landlock").found, "not in this kernel");
  EXPECT_THAT(Find(findings, "landlock").advice, HasSubstr("confines files all the same"));
}

TEST(DoctorSandboxTest, WarnsWhenNothingConfinesFiles) {
  const Findings findings = CheckSandbox(Report({Mechanism::kLandlock, Mechanism::kMountNamespace}));
  EXPECT_THAT(Find(findings, "landlock").advice, HasSubstr("can read every file that mlos-core can"));
}

TEST(DoctorSandboxTest, ASandboxThatCannotBeTriedIsAWarning) {
  const Findings findings = CheckSandbox(Internal("fork: no"));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kWarn);
}

TEST(DoctorStoreTest, AWritableFolderIsFineAndLeftAsItWas) {
  const os::TemporaryDirectory folder;
  const Findings findings = CheckStore(folder.path() / "store");
  EXPECT_EQ(Find(findings, "folder").verdict, Verdict::kOk);
  EXPECT_EQ(Find(findings, "hard links").verdict, Verdict::kOk);
  EXPECT_THAT(os::ListDirectory(folder.path() / "store").value(), IsEmpty());
}

TEST(DoctorStoreTest, AFolderThatCannotBeMadeIsAFailure) {
  const os::TemporaryDirectory folder;
  ASSERT_TRUE(os::WriteFile(folder.path() / "file", "x").ok());
  const Findings findings = CheckStore(folder.path() / "file" / "store");
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kFail);
  EXPECT_THAT(findings[0].advice, HasSubstr("MLOS_HOME"));
}

TEST(DoctorPluginsTest, TellsPluginsThatOpenFromThoseThatDoNot) {
  const os::TemporaryDirectory folder;
  for (const char* name : {"libmlos_good.so", "libmlos_bad.so", "libother.so"}) {
    ASSERT_TRUE(os::WriteFile(folder.path() / name, "").ok());
  }
  const Findings findings =
      CheckPlugins({"/no/such/folder", folder.path()}, [](const std::filesystem::path& library) {
        return library.filename() == "libmlos_bad.so" ? Unimplemented("libfoo.so.1: not found") : OkStatus();
      });
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(Find(findings, "good").verdict, Verdict::kOk);
  EXPECT_EQ(Find(findings, "bad").verdict, Verdict::kFail);
  EXPECT_EQ(Find(findings, "bad").found, "libfoo.so.1: not found");
}

TEST(DoctorPluginsTest, NoPluginAtAllIsAFailureThatNamesTheFolders) {
  const Findings findings =
      CheckPlugins({"/no/such/folder"}, [](const std::filesystem::path&) { return OkStatus(); });
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kFail);
  EXPECT_THAT(findings[0].found, HasSubstr("/no/such/folder"));
}

constexpr const char* kHealth = R"({"status":"healthy","version":"9","ready":true})";

TEST(DoctorCoreTest, ACoreThatDoesNotRunIsAWarning) {
  const Findings findings =
      CheckCore("http://x", Unavailable("nobody answers at http://x"), Unavailable(""), "9");
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].verdict, Verdict::kWarn);
  EXPECT_THAT(findings[0].advice, HasSubstr("not run"));
}

TEST(DoctorCoreTest, AnotherProgramOnThePortIsAFailure) {
  for (const char* answer : {"<html>", "{}", "[]", ""}) {
    const Findings findings = CheckCore("http://x", std::string(answer), NotFound(""), "9");
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kFail) << answer;
  }
}

TEST(DoctorCoreTest, SaysWhatEveryWorkerReports) {
  const Findings findings = CheckCore("http://x", std::string(kHealth), std::string(R"({
    "plugins": [{"id": "onnxruntime"}],
    "workers": [
      {"model_id": "a", "pid": 7, "sandbox": [{"mechanism": "landlock", "state": "in_force", "detail": "x"}]},
      {"model_id": "b", "pid": 8, "sandbox": [{"mechanism": "landlock", "state": "missing", "detail": "old kernel"},
                                              {"mechanism": "limits", "state": "off", "detail": ""}]},
      {"model_id": "c", "pid": 0, "sandbox": []},
      {"model_id": "d", "pid": 9, "sandbox": []}]})"),
                                      "9");
  EXPECT_EQ(Find(findings, "mlos-core").verdict, Verdict::kOk);
  EXPECT_EQ(Find(findings, "plugins").found, "onnxruntime");
  EXPECT_EQ(Find(findings, "a").verdict, Verdict::kOk);
  EXPECT_THAT(Find(findings, "a").found, HasSubstr("process 7: 1 of 1"));
  EXPECT_EQ(Find(findings, "b").verdict, Verdict::kWarn);
  EXPECT_THAT(Find(findings, "b").found,
              AllOf(HasSubstr("landlock (old kernel)"), HasSubstr("turned off: limits")));
  EXPECT_THAT(Find(findings, "c").found, HasSubstr("inside mlos-core"));
  EXPECT_THAT(Find(findings, "d").found, HasSubstr("no sandbox"));
}

TEST(DoctorCoreTest, WarnsOfAnotherVersionAndOfNotBeingReady) {
  EXPECT_EQ(Find(CheckCore("http://x", std::string(kHealth), std::string("{}"), "8"), "mlos-core").verdict,
            Verdict::kWarn);
  const std::string starting = R"({"version":"9","ready":false})";
  EXPECT_EQ(Find(CheckCore("http://x", starting, std::string("{}"), "9"), "mlos-core").verdict,
            Verdict::kWarn);
}

TEST(DoctorCoreTest, AnAnswerThatIsNoDoctorIsAWarning) {
  EXPECT_EQ(Find(CheckCore("http://x", std::string(kHealth), NotFound("no route"), "9"), "workers").verdict,
            Verdict::kWarn);
  EXPECT_EQ(Find(CheckCore("http://x", std::string(kHealth), std::string("{"), "9"), "workers").verdict,
            Verdict::kWarn);
}

TEST(DoctorCoreTest, SaysWhyWorkersHaveNoControlGroups) {
  const auto findings = [](const std::string& groups) {
    return CheckCore("http://x", std::string(kHealth),
                     R"({"version":"9","ready":true,"plugins":[{"id":"echo"}],"worker_groups":)" + groups +
                         R"(,"workers":[]})",
                     "9");
  };
  const Finding without =
      Find(findings(R"({"in_force":false,"detail":"it is not delegated"})"), "worker memory");
  EXPECT_EQ(without.verdict, Verdict::kWarn);
  EXPECT_EQ(without.found, "no control group for each worker: it is not delegated");
  EXPECT_EQ(Find(findings(R"({"in_force":true,"detail":"each below /x"})"), "worker memory").verdict,
            Verdict::kOk);
}

class DoctorVerbTest : public testing::Test {
 protected:
  DoctorVerbTest() {
    setenv("MLOS_HOME", folder_.path().c_str(), 1);
    setenv("MLOS_CORE_ENDPOINT", core_.url().c_str(), 1);
    setenv("MLOS_PLUGIN_PATH", (folder_.path() / "plugins").c_str(), 1);
    core_.Answer("GET /health", 200, std::string(R"({"version":")") + kVersion + R"(","ready":true})");
    core_.Answer("GET /doctor", 200, R"({"plugins":[{"id":"echo"}],"workers":[]})");
  }
  ~DoctorVerbTest() override { unsetenv("MLOS_PLUGIN_PATH"); }
  int Run(const std::vector<std::string>& words, std::string* out) {
    testing::internal::CaptureStdout();
    const int exit_status = RunCommandLine(words, &interrupted_);
    std::fflush(stdout);
    *out = testing::internal::GetCapturedStdout();
    return exit_status;
  }

  std::atomic<bool> interrupted_{false};
  os::TemporaryDirectory folder_;
  client::FakeCore core_;
};

TEST_F(DoctorVerbTest, FailsWhenSomethingWillNotWork) {
  std::string out;
  EXPECT_EQ(Run({"doctor"}, &out), 1);
  EXPECT_THAT(out, AllOf(HasSubstr("plugins/folders"), HasSubstr("fail"), HasSubstr("-> install the plugins"),
                         HasSubstr("1 failure,")));
}

TEST_F(DoctorVerbTest, PrintsJson) {
  std::string out;
  EXPECT_EQ(Run({"doctor", "--json"}, &out), 1);
  EXPECT_THAT(
      out,
      AllOf(HasSubstr(R"("fail":1)"), HasSubstr(R"({"group":"store","check":"folder","verdict":"ok")"),
            HasSubstr(R"({"group":"core","check":"plugins","verdict":"ok","found":"echo","advice":""})")));
}

}  // namespace
}  // namespace mlos::axon
