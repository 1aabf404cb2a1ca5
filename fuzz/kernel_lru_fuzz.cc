// SPDX-License-Identifier: Apache-2.0
// Resident memory and its eviction against a list in the order of last use.
#include "kernel_core.h"

extern "C" {
#include "lru.h"
}
#undef min
#undef max

namespace {

struct Body {
  mlos_lru_node node;
  bool stays = false;
};
static_assert(offsetof(Body, node) == 0);

// Least recently used first, with what each holds.
using Model = std::vector<std::pair<Body*, uint64_t>>;

Model::iterator Find(Model& model, const Body* body) {
  return std::find_if(model.begin(), model.end(), [&](auto& m) { return m.first == body; });
}

uint64_t Sum(const Model& model) {
  uint64_t sum = 0;
  for (const auto& [body, units] : model) sum += units;
  return sum;
}

uint64_t Give(mlos_lru_node* node, void* asked) {
  const Body* body = reinterpret_cast<Body*>(node);
  static_cast<std::vector<const Body*>*>(asked)->push_back(body);
  return body->stays ? 0 : node->charged;
}

void CheckCharge(mlos_lru* lru, Model* model, Body* body, uint64_t limit) {
  const int ret = mlos_lru_charge(lru, &body->node, limit);
  MUST(ret == (limit && Sum(*model) >= limit ? -ENOMEM : 0));
  if (ret) return;
  const auto at = Find(*model, body);
  if (at == model->end()) {
    model->emplace_back(body, 1);
  } else {
    ++at->second;
  }
}

void Use(mlos_lru* lru, Model* model, Body* body) {
  mlos_lru_used(lru, &body->node);
  const auto at = Find(*model, body);
  if (at != model->end()) std::rotate(at, at + 1, model->end());
}

void CheckEvict(mlos_lru* lru, Model* model, uint64_t target) {
  std::vector<const Body*> asked, expected;
  const uint64_t before = lru->evicted, nodes_before = lru->evicted_nodes;
  uint64_t freed = 0, resident = Sum(*model);
  uint32_t gone = 0, told = 0;
  Model left;
  for (const auto& [body, units] : *model) {
    const bool ask = resident > target;
    if (ask) expected.push_back(body);
    if (ask && !body->stays) {
      resident -= units;
      freed += units;
      ++gone;
    } else {
      left.emplace_back(body, units);
    }
  }
  MUST(mlos_lru_evict(lru, target, Give, &asked, &told) == freed);
  MUST(told == gone && asked == expected);
  MUST(lru->evicted == before + freed && lru->evicted_nodes == nodes_before + gone);
  *model = left;
}

void CheckAll(const mlos_lru& lru, const Model& model, const std::vector<Body>& bodies) {
  MUST(lru.resident == Sum(model));
  const list_head* at = &lru.nodes;
  for (const auto& [body, units] : model) {
    at = at->next;
    MUST(at == &body->node.link && body->node.charged == units && units > 0);
  }
  MUST(at->next == &lru.nodes);
  for (const Body& body : bodies) {
    const bool in = std::any_of(model.begin(), model.end(), [&](auto& m) { return m.first == &body; });
    MUST(list_empty(&body.node.link) == !in && (in || body.node.charged == 0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos::fuzz::Steps steps(data, size);
  mlos_lru lru;
  mlos_lru_init(&lru);
  std::vector<Body> bodies(12);
  for (Body& body : bodies) mlos_lru_node_init(&body.node);
  Model model;
  while (!steps.Done()) {
    Body* body = &bodies[steps.Below(12)];
    switch (steps.Below(6)) {
      case 0:
      case 1:
        CheckCharge(&lru, &model, body, steps.Below(2) ? steps.Below(40) : 0);
        break;
      case 2: {
        const auto at = Find(model, body);
        const uint64_t units = at == model.end() ? 0 : steps.Byte() % (at->second + 1);
        mlos_lru_uncharge(&lru, &body->node, units);
        if (at != model.end() && (at->second -= units) == 0) model.erase(at);
        break;
      }
      case 3:
        Use(&lru, &model, body);
        break;
      case 4:
        body->stays = !body->stays;
        break;
      case 5:
        CheckEvict(&lru, &model, steps.Byte());
        break;
    }
    CheckAll(lru, model, bodies);
  }
  return 0;
}
