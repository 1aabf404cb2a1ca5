// SPDX-License-Identifier: Apache-2.0
// The queue of inferences against a list of what is in it.
#include "kernel_core.h"

extern "C" {
#include "queue.h"
}
#undef min
#undef max

namespace {

constexpr uint32_t kCapacity = 12;
// One class is often full, the others are not; the last is none.
constexpr uint32_t kClasses[] = {0, 1, 1, 1, 1, 2, 3, MLOS_CLASSES};

struct Waiting {
  uint32_t klass;
  uint64_t deadline, enqueued, sequence;
};
using Model = std::map<mlos_qnode*, Waiting>;

uint64_t Key(uint64_t deadline) { return deadline ? deadline : ~0ULL; }

uint32_t AgedClass(const Waiting& w, uint64_t now, uint64_t aging) {
  const uint64_t raised = aging ? (now - w.enqueued) / aging : 0;
  return raised >= w.klass ? 0 : static_cast<uint32_t>(w.klass - raised);
}

uint32_t Count(const Model& model, uint32_t klass) {
  return static_cast<uint32_t>(
      std::count_if(model.begin(), model.end(), [&](auto& m) { return m.second.klass == klass; }));
}

void CheckPush(mlos_queue* q, Model* model, mlos_qnode* node, const Waiting& w) {
  const int ret = mlos_queue_push(q, node, w.klass, w.deadline, w.enqueued);
  if (w.klass >= MLOS_CLASSES || model->count(node)) {
    MUST(ret == -EINVAL);
  } else if (Count(*model, w.klass) >= kCapacity) {
    MUST(ret == -EAGAIN);
  } else {
    MUST(ret == 0);
    (*model)[node] = w;
  }
}

// Without aging the order is exact. With it: nothing that waits counts higher, and what is offered first in its class is the earliest
// deadline or the oldest.
void CheckPeek(const mlos_queue* q, const Model& model, uint64_t now, uint64_t aging) {
  mlos_qnode* got = mlos_queue_peek(q, now, aging);
  MUST((got == nullptr) == model.empty());
  if (!got) return;
  const Waiting& best = model.at(got);
  bool earliest = true, oldest = true;
  for (const auto& [node, w] : model) {
    MUST(AgedClass(w, now, aging) >= AgedClass(best, now, aging));
    if (w.klass != best.klass || node == got) continue;
    earliest &=
        std::make_pair(Key(best.deadline), best.sequence) < std::make_pair(Key(w.deadline), w.sequence);
    oldest &= best.sequence < w.sequence;
  }
  MUST(earliest || oldest);
  if (aging == 0) MUST(earliest);
}

void CheckPosition(const mlos_queue* q, const Model& model, uint32_t klass, uint64_t deadline) {
  uint32_t before = 0;
  for (const auto& [node, w] : model) {
    before += w.klass < klass || (w.klass == klass && Key(w.deadline) <= Key(deadline));
  }
  MUST(mlos_queue_position(q, klass, deadline) == before);
}

bool Before(const mlos_qnode* a, const mlos_qnode* b) {
  return std::make_pair(Key(a->deadline_ns), a->sequence) < std::make_pair(Key(b->deadline_ns), b->sequence);
}

void CheckAll(const mlos_queue* q, const Model& model, const std::vector<mlos_qnode>& nodes) {
  MUST(mlos_queue_length(q) == model.size());
  for (uint32_t klass = 0; klass < MLOS_CLASSES; ++klass) {
    MUST(q->count[klass] == Count(model, klass));
    for (uint32_t i = 0; i < q->count[klass]; ++i) {
      const mlos_qnode* node = q->heap[klass][i];
      MUST(node->heap_index == i + 1);
      MUST(i == 0 || !Before(node, q->heap[klass][(i - 1) / 2]));
    }
  }
  for (const mlos_qnode& node : nodes)
    MUST(mlos_queued(&node) == (model.count(const_cast<mlos_qnode*>(&node)) != 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos::fuzz::Steps steps(data, size);
  mlos_queue q;
  MUST(mlos_queue_init(&q, kCapacity) == 0);
  std::vector<mlos_qnode> nodes(32);
  Model model;
  uint64_t now = 1, sequence = 0;
  while (!steps.Done()) {
    mlos_qnode* node = &nodes[steps.Below(32)];
    now += steps.Below(64);
    switch (steps.Below(4)) {
      case 0:
      case 1: {
        const uint32_t klass = kClasses[steps.Below(8)];
        CheckPush(&q, &model, node, {klass, steps.Below(3) ? now + steps.Byte() : 0, now, sequence++});
        break;
      }
      case 2:
        if (model.erase(node)) mlos_queue_remove(&q, node);
        break;
      case 3:
        CheckPeek(&q, model, now, steps.Byte());
        CheckPosition(&q, model, steps.Below(MLOS_CLASSES + 1), steps.Below(2) ? now + steps.Byte() : 0);
        break;
    }
    CheckPeek(&q, model, now, 0);
    CheckAll(&q, model, nodes);
  }
  while (mlos_qnode* node = mlos_queue_peek(&q, now, 10)) mlos_queue_remove(&q, node);
  mlos_queue_destroy(&q);
  return 0;
}
