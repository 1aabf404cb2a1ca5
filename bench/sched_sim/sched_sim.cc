// SPDX-License-Identifier: Apache-2.0
// Simulates a machine under Poisson load and asks the scheduler's own code (src/sched/scheduler.h) what to do; time is simulated,
// decisions are real. Prints one JSON line per policy and load.
// usage: bench_sched_sim SECONDS CORES NOISE SEED LOAD...       NOISE: standard deviation of a run's time, as a share of it
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "sched/scheduler.h"

namespace {

using mlos::sched::AdmissionRule;
using mlos::sched::Decision;
using mlos::sched::ExecutionProfile;
using mlos::sched::Order;
using mlos::sched::Scheduler;
using mlos::sched::SchedulerOptions;
using mlos::sched::TaskInfo;

constexpr double kMs = 1e6;

struct Model {
  double run_ms;
  double share;
  double slo_ms;
};
constexpr std::array<Model, 3> kModels = {{{5, 0.70, 25}, {25, 0.25, 100}, {75, 0.05, 300}}};

struct Policy {
  const char* name;
  SchedulerOptions options;
};

std::vector<Policy> Policies(int cores) {
  SchedulerOptions fifo = SchedulerOptions::Fifo(cores, std::numeric_limits<size_t>::max());
  SchedulerOptions fifo_drop = fifo;
  fifo_drop.drop_late = true;
  SchedulerOptions edf = fifo;
  edf.order = Order::kDeadline;
  SchedulerOptions edf_drop = edf;
  edf_drop.drop_late = true;
  SchedulerOptions edf_admission = edf_drop;
  edf_admission.admission = AdmissionRule::kStrict;
  SchedulerOptions ours;
  ours.slots = cores;
  ours.max_queue = fifo.max_queue;
  ours.plan_threads = false;
  ours.max_batch_rows = 1;
  SchedulerOptions no_express = ours;
  no_express.express_slots = 0;
  SchedulerOptions lazy = no_express;
  lazy.admission = AdmissionRule::kNone;
  return {{"FIFO", fifo},
          {"FIFO+drop", fifo_drop},
          {"EDF", edf},
          {"EDF+drop", edf_drop},
          {"EDF+admission", edf_admission},
          {"mlOS, no express slot, no admission", lazy},
          {"mlOS, no express slot", no_express},
          {"mlOS", ours}};
}

struct Request {
  double arrives_ns;
  double needs_ns;  // on a core of its own
  size_t model;
  double deadline_ns() const { return arrives_ns + kModels[model].slo_ms * kMs; }
};

std::vector<Request> Arrivals(double seconds, double load, int cores, double noise, uint64_t seed) {
  double mean_ns = 0;
  for (const Model& m : kModels) mean_ns += m.share * m.run_ms * kMs;
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap(load * cores / mean_ns);
  std::discrete_distribution<size_t> pick({kModels[0].share, kModels[1].share, kModels[2].share});
  std::normal_distribution<double> factor(1, noise);
  std::vector<Request> out;
  for (double at = gap(random); at < seconds * 1e9; at += gap(random)) {
    const size_t model = pick(random);
    out.push_back({at, kModels[model].run_ms * kMs * std::max(0.2, factor(random)), model});
  }
  return out;
}

struct Outcome {
  std::array<size_t, kModels.size()> asked{};
  std::array<size_t, kModels.size()> on_time{};
  double useful_ns = 0;  // core time of runs that were on time
  double busy_ns = 0;
  size_t refused = 0;
  size_t dropped = 0;
  std::vector<double> latency_ms;
};

// One machine: cores are shared evenly when more runs than cores are under way.
class Simulation {
 public:
  Simulation(const SchedulerOptions& options, const std::vector<Request>& requests)
      : cores_(options.slots), scheduler_(options), requests_(requests) {
    for (size_t m = 0; m < kModels.size(); ++m) {
      profiles_[m] = std::make_unique<ExecutionProfile>();
      for (int i = 0; i < 8; ++i) profiles_[m]->Observe({}, 1, static_cast<int64_t>(kModels[m].run_ms * kMs));
    }
  }

  Outcome Run() {
    size_t next = 0;
    while (next < requests_.size() || !runs_.empty() || scheduler_.queued() > 0) {
      const double arrival = next < requests_.size() ? requests_[next].arrives_ns : kNever;
      const double end = NextEnd();
      const int64_t drop = scheduler_.NextDropNs();
      const double when =
          std::min({arrival, end, drop > 0 ? std::max(static_cast<double>(drop), now_) : kNever});
      if (when == kNever) break;
      Advance(when);
      if (when == end) Finish();
      if (when == arrival) Arrive(next++);
      Decide();
    }
    return std::move(outcome_);
  }

 private:
  struct Running {
    uint64_t execution;
    size_t request;
    double left_ns;
  };
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  double Speed() const {
    return runs_.empty() ? 1 : std::min(1.0, static_cast<double>(cores_) / static_cast<double>(runs_.size()));
  }
  double NextEnd() const {
    double least = kNever;
    for (const Running& run : runs_) least = std::min(least, run.left_ns);
    return now_ + least / Speed();
  }
  void Advance(double when) {
    const double done = (when - now_) * Speed();
    for (Running& run : runs_) run.left_ns -= done;
    outcome_.busy_ns += done * static_cast<double>(runs_.size());
    now_ = when;
  }
  int64_t Now() const { return static_cast<int64_t>(now_) + 1; }

  void Finish() {
    const auto run = std::min_element(
        runs_.begin(), runs_.end(), [](const Running& a, const Running& b) { return a.left_ns < b.left_ns; });
    const Request& request = requests_[run->request];
    if (now_ <= request.deadline_ns()) {
      ++outcome_.on_time[request.model];
      outcome_.useful_ns += request.needs_ns;
    }
    outcome_.latency_ms.push_back((now_ - request.arrives_ns) / kMs);
    if (scheduler_.Finish(run->execution, Now()))
      profiles_[request.model]->Observe({}, 1, static_cast<int64_t>(request.needs_ns));
    runs_.erase(run);
  }

  void Arrive(size_t index) {
    const Request& request = requests_[index];
    ++outcome_.asked[request.model];
    const TaskInfo task{.deadline_ns = static_cast<int64_t>(request.deadline_ns()),
                        .profile = profiles_[request.model].get()};
    if (scheduler_.Add(index + 1, task, Now()).refusal != mlos::sched::Refusal::kNone) ++outcome_.refused;
  }

  void Decide() {
    Decision decision;
    for (scheduler_.Next(Now(), &decision); decision.kind != Decision::Kind::kNothing;
         scheduler_.Next(Now(), &decision)) {
      if (decision.kind == Decision::Kind::kDrop) {
        outcome_.dropped += decision.tasks.size();
        continue;
      }
      const size_t index = decision.tasks.front() - 1;
      runs_.push_back({decision.execution, index, requests_[index].needs_ns});
    }
  }

  const int cores_;
  Scheduler scheduler_;
  const std::vector<Request>& requests_;
  std::array<std::unique_ptr<ExecutionProfile>, kModels.size()> profiles_;
  std::vector<Running> runs_;
  double now_ = 0;
  Outcome outcome_;
};

double Share(size_t part, size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

void Print(const char* policy, double load, Outcome o) {
  size_t asked = 0;
  size_t on_time = 0;
  for (size_t m = 0; m < kModels.size(); ++m) {
    asked += o.asked[m];
    on_time += o.on_time[m];
  }
  std::sort(o.latency_ms.begin(), o.latency_ms.end());
  const double p99 = o.latency_ms.empty() ? 0 : o.latency_ms[o.latency_ms.size() * 99 / 100];
  std::printf(R"({"policy":"%s","load":%g,"requests":%zu,"on_time":%.4f,"by_model":[%.4f,%.4f,%.4f],)"
              R"("useful_work":%.4f,"refused":%.4f,"dropped":%.4f,"p99_ms":%.1f})"
              "\n",
              policy, load, asked, Share(on_time, asked), Share(o.on_time[0], o.asked[0]),
              Share(o.on_time[1], o.asked[1]), Share(o.on_time[2], o.asked[2]),
              o.busy_ns > 0 ? o.useful_ns / o.busy_ns : 0, Share(o.refused, asked), Share(o.dropped, asked),
              p99);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: %s SECONDS CORES NOISE SEED LOAD...\n", argv[0]);
    return 2;
  }
  const double seconds = std::atof(argv[1]);
  const int cores = std::max(1, std::atoi(argv[2]));
  for (int i = 5; i < argc; ++i) {
    const double load = std::atof(argv[i]);
    const std::vector<Request> requests =
        Arrivals(seconds, load, cores, std::atof(argv[3]), std::strtoull(argv[4], nullptr, 10));
    for (const Policy& policy : Policies(cores))
      Print(policy.name, load, Simulation(policy.options, requests).Run());
  }
  return 0;
}
