// SPDX-License-Identifier: Apache-2.0
// What a thread that serves events puts off until it has served those that are there: so that work which several of them bring is done
// together.
#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace mlos {

// One on the stack of a thread's event loop, which calls End() when no event is left or enough were served. Of that thread only.
class EventTurn {
 public:
  EventTurn() : before_(std::exchange(current_, this)) {}
  ~EventTurn() {
    End();
    current_ = before_;
  }
  EventTurn(const EventTurn&) = delete;
  EventTurn& operator=(const EventTurn&) = delete;

  // This thread's; null where no loop has one.
  static EventTurn* Current() { return current_; }

  // `work` is called once, by End(), however often `owner` asks before. What it touches must live until then.
  void AtEnd(const void* owner, std::function<void()> work) {
    for (const auto& [known, unused] : works_) {
      if (known == owner) return;
    }
    works_.emplace_back(owner, std::move(work));
  }
  bool pending() const { return !works_.empty(); }

  // Also does what the work itself puts off.
  void End() {
    while (!works_.empty()) {
      const auto works = std::exchange(works_, {});
      for (const auto& [owner, work] : works) work();
    }
  }

 private:
  inline static thread_local EventTurn* current_ = nullptr;

  EventTurn* const before_;
  std::vector<std::pair<const void*, std::function<void()>>> works_;
};

}  // namespace mlos
