// SPDX-License-Identifier: Apache-2.0
// Answers HTTP requests as told, one connection each, and remembers the last body: an mlos-core for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace mlos::client {

class FakeCore {
 public:
  FakeCore();
  ~FakeCore();
  std::string url() const;
  // `request`: "GET /models". Anything else gets 404.
  void Answer(const std::string& request, int status, const std::string& body);
  std::string last_body() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlos::client
