// SPDX-License-Identifier: Apache-2.0
// The queue of inferences against a list of what is in it.
#include "kernel_core.h"

extern "C" {
#include "queue.h"
}
#undef min
#undef max

namespace {

constexpr uint32_t kCapacity = 24;
// One class is often full, the others are not; the last is none.
constexpr uint32_t kClasses[] = {0, 1, 1, 1, 1, 2, 3, MLOS_CLASSES};

struct Waiting {
  uint32_t klass;
  uint64_t deadline, work, enqueued, sequence;
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
  const int ret = mlos_queue_push(q, node, w.klass, w.deadline, w.work, w.enqueued);
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

void CheckAhead(const Model& model, const mlos_ahead& got, const Waiting& of) {
  mlos_ahead ahead{};
  for (const auto& [node, w] : model) {
    if (std::make_tuple(w.klass, Key(w.deadline), w.sequence) >=
        std::make_tuple(of.klass, Key(of.deadline), of.sequence))
      continue;
    ++ahead.count;
    ahead.work_ns += std::min<uint64_t>(w.work, MLOS_QUEUE_MAX_WORK_NS);
  }
  MUST(got.count == ahead.count && got.work_ns == ahead.work_ns);
}

bool Before(const mlos_qnode* a, const mlos_qnode* b) {
  return std::make_pair(Key(a->deadline_ns), a->sequence) < std::make_pair(Key(b->deadline_ns), b->sequence);
}

// Between `from` and `to`, balanced, and with the sums of what is below.
void CheckTree(const mlos_qnode* tree, const mlos_qnode* from, const mlos_qnode* to) {
  if (!tree) return;
  MUST((!from || Before(from, tree)) && (!to || Before(tree, to)));
  CheckTree(tree->before, from, tree);
  CheckTree(tree->after, tree, to);
  mlos_ahead left{}, right{};
  if (tree->before) left = tree->before->sum;
  if (tree->after) right = tree->after->sum;
  MUST(tree->sum.count == left.count + right.count + 1);
  MUST(tree->sum.work_ns == left.work_ns + right.work_ns + tree->work_ns);
  MUST(left.count + 1 <= 3 * (right.count + 1) && right.count + 1 <= 3 * (left.count + 1));
}

void CheckAll(const mlos_queue* q, const Model& model, const std::vector<mlos_qnode>& nodes) {
  for (uint32_t klass = 0; klass < MLOS_CLASSES; ++klass) {
    MUST(mlos_queue_count(q, klass) == Count(model, klass));
    CheckTree(q->root[klass], nullptr, nullptr);
  }
  for (const mlos_qnode& node : nodes) {
    const auto found = model.find(const_cast<mlos_qnode*>(&node));
    MUST(mlos_queued(&node) == (found != model.end()));
    if (found != model.end()) CheckAhead(model, mlos_queue_ahead_of(q, &node), found->second);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos::fuzz::Steps steps(data, size);
  mlos_queue q;
  mlos_queue_init(&q, kCapacity);
  std::vector<mlos_qnode> nodes(64);
  Model model;
  uint64_t now = 1, sequence = 0;
  while (!steps.Done()) {
    mlos_qnode* node = &nodes[steps.Below(64)];
    now += steps.Below(64);
    switch (steps.Below(4)) {
      case 0:
      case 1: {
        const uint32_t klass = kClasses[steps.Below(8)];
        const uint64_t deadline = steps.Below(3) ? now + steps.Byte() : 0;
        CheckPush(&q, &model, node, {klass, deadline, steps.Number(), now, sequence++});
        break;
      }
      case 2:
        if (model.erase(node)) mlos_queue_remove(&q, node);
        break;
      default: {
        CheckPeek(&q, model, now, steps.Byte());
        const uint32_t klass = steps.Below(MLOS_CLASSES + 1);
        const uint64_t deadline = steps.Below(2) ? now + steps.Byte() : 0;
        CheckAhead(model, mlos_queue_ahead(&q, klass, deadline), {klass, deadline, 0, 0, ~0ULL});
        break;
      }
    }
    CheckPeek(&q, model, now, 0);
    CheckAll(&q, model, nodes);
  }
  return 0;
}
