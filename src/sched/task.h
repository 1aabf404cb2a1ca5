// SPDX-License-Identifier: Apache-2.0
// What the scheduler knows of a request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mlos::sched {

class ExecutionProfile;

enum class TaskClass { kRealtime = 0, kHigh = 1, kNormal = 2, kBatch = 3 };
inline constexpr size_t kTaskClasses = 4;

// How much an execution computes.
struct RunSize {
  uint64_t row_elements = 1;  // elements of all inputs, of one row
  uint32_t rows = 1;          // along the batch dimension; 1 for what cannot be batched
};

struct TaskInfo {
  TaskClass task_class = TaskClass::kNormal;
  int64_t deadline_ns = 0;  // CLOCK_MONOTONIC; 0 = none
  RunSize size;
  // Tasks of one group, other than 0, may run together as one execution.
  uint64_t group = 0;
  uint32_t max_rows = 0;  // of an execution that it shares; 0 = the scheduler's limit
  // What is known of the model's speed; outlives the task. Null: predicted_ns holds for one thread and all others.
  ExecutionProfile* profile = nullptr;
  int64_t predicted_ns = 0;  // without a profile; 0 = not known
  // For the wait of others when nothing is predicted, because it is too vague to judge the task by; 0 = not known.
  int64_t planned_ns = 0;
};

// Why a task is not run.
enum class Refusal {
  kNone,
  kQueueFull,
  kPast,      // the deadline passed before the task came
  kTooShort,  // the deadline is shorter than the execution takes
  kNoTime,    // the deadline cannot be met behind what waits
  kExpired,   // too late to start it: it waited too long
  kCancelled,
  kStopping,
};

}  // namespace mlos::sched
